/** From findings to problems: positions, excerpts, redaction, order, and no problem twice. */
import { pathInDefaults } from './defaults.ts';
import type { Finding } from './finding.ts';
import { formatOrigin, originOfPlace } from './origins.ts';
import { formatPath } from './path.ts';
import type { Problem } from './problem.ts';
import { applyMasks, credentialMasks, HIDDEN } from './redact.ts';
import type { Mask } from './redact.ts';
import type { SourceText } from './source-text.ts';
import type { Span } from './tree.ts';

export interface ReportContext {
  /** In layer order; findings are told in this order. */
  readonly sources: readonly SourceText[];
  /** What must not be shown around an offset of a source. */
  readonly masks: (source: SourceText, offset: number) => readonly Mask[];
  /** Resolved values that no message may repeat, longest first. */
  readonly hiddenValues: () => readonly string[];
}

export const MAX_PROBLEMS = 100;

export function toProblems(findings: readonly Finding[], context: ReportContext): readonly Problem[] {
  const told = new Set(findings.filter(({ viaDefaults }) => !viaDefaults).map(spotOf));
  const distinct = new Map<string, Finding>();
  for (const finding of findings) {
    const spot = spotOf(finding);
    if (finding.viaDefaults && told.has(spot)) continue;
    const identity = `${spot}\n${finding.message}`;
    if (!distinct.has(identity)) distinct.set(identity, finding);
  }
  const ordered = [...distinct.values()].sort(
    (a, b) => rank(a, context) - rank(b, context) || startOf(a) - startOf(b),
  );
  return ordered.slice(0, MAX_PROBLEMS).map((finding) => toProblem(finding, context));
}

/** What the defaults section causes is one problem, however many upstreams it reaches: place and path are the same. */
function spotOf(finding: Finding): string {
  const { place } = finding;
  const path = formatPath(shownPath(finding));
  const where =
    place.kind === 'file'
      ? `${place.span.source.name}:${place.span.start}`
      : formatOrigin(originOfPlace(place, false));
  return `${where}\n${path}`;
}

const shownPath = (finding: Finding): Finding['path'] =>
  finding.viaDefaults ? pathInDefaults(finding.path) : finding.path;

function rank({ place }: Finding, { sources }: ReportContext): number {
  if (place.kind === 'file') return sources.indexOf(place.span.source);
  return place.kind === 'env' ? sources.length : sources.length + 1;
}

const startOf = ({ place }: Finding): number => (place.kind === 'file' ? place.span.start : 0);

function toProblem(finding: Finding, context: ReportContext): Problem {
  const scrub = (text: string): string =>
    finding.foreign ? scrubValues(text, context.hiddenValues()) : text;
  const { place, expected, got, severity = 'error' } = finding;
  const words = {
    severity,
    path: formatPath(shownPath(finding)),
    message: scrub(finding.message),
    ...(expected !== undefined && { expected: scrub(expected) }),
    ...(got !== undefined && { got: scrub(got) }),
  };
  if (place.kind !== 'file')
    return { ...words, file: formatOrigin(originOfPlace(place, false)), line: 0, column: 0 };
  const { source, start } = place.span;
  const position = source.positionOf(start);
  return { ...words, file: source.name, ...position, ...excerptOf(place.span, context) };
}

function scrubValues(text: string, values: readonly string[]): string {
  let shown = text;
  for (const value of values) shown = shown.replaceAll(value, HIDDEN);
  return shown;
}

/** Characters shown left and right of the caret. */
const WINDOW = 100;
/** Characters looked at, so that a credential that starts outside the window is still recognised. */
const MARGIN = 1_000;

function excerptOf({ source, start }: Span, context: ReportContext): Pick<Problem, 'sourceLine' | 'caret'> {
  const line = source.lineAround(start);
  const column = start - line.start;
  const from = Math.max(0, column - MARGIN);
  const text = line.text.slice(from, column + MARGIN);
  const hidden = context.masks(source, start).map((mask) => shift(mask, line.start + from, text.length));
  const masks = [...hidden.filter(({ start: s, end }) => end > s), ...credentialMasks(text)];
  const { shown, caret } = maskAround(text, column - from, masks);
  const left = Math.max(0, caret - WINDOW);
  const right = Math.min(shown.length, caret + WINDOW);
  const cutLeft = left > 0 || from > 0 ? '…' : '';
  const cutRight = right < shown.length || column + MARGIN < line.text.length ? '…' : '';
  return {
    sourceLine: `${cutLeft}${readable(shown.slice(left, right))}${cutRight}`,
    caret: caret - left + cutLeft.length,
  };
}

const shift = (mask: Mask, by: number, length: number): Mask => ({
  start: Math.max(0, mask.start - by),
  end: Math.min(length, mask.end - by),
  shown: mask.shown,
});

/** Masks change lengths, so the caret moves with the text before it; inside a mask it points to the mask's start. */
function maskAround(text: string, caret: number, masks: readonly Mask[]): { shown: string; caret: number } {
  const covering = masks.find((mask) => mask.start < caret && caret < mask.end);
  const anchor = covering ? covering.start : caret;
  const before = masks.filter((mask) => mask.end <= anchor);
  return { shown: applyMasks(text, masks), caret: applyMasks(text.slice(0, anchor), before).length };
}

/** Control and direction characters would act on the terminal instead of being read. */
const readable = (text: string): string =>
  text.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '·');
