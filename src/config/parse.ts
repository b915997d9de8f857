/** YAML text to a tree: one document, one map at the top, and the reason with its position where it is not. */
import { Composer, DEFAULT_PARSE_LIMITS, offsetOf, placeIn } from './compose.ts';
import type { Parsed, ParseLimits } from './compose.ts';
import type { Finding } from './finding.ts';
import type { SourceText } from './source-text.ts';
import { readEvents, YAML_EVENT } from './yaml.ts';
import type { YamlEvent } from './yaml.ts';

/** Reads one document whose top level is a map. Reports everything wrong with it; never throws for bad text. */
export function parseYaml(source: SourceText, limits: ParseLimits = DEFAULT_PARSE_LIMITS): Parsed {
  const events = readEvents(source.text, limits.maxDepth);
  if ('reason' in events) return { root: undefined, findings: [syntaxFinding(source, events)] };
  const problem = documentProblem(source, events);
  if (problem) return { root: undefined, findings: [problem] };
  return new Composer(source, events, limits).compose();
}

function syntaxFinding(source: SourceText, fault: { reason: string; offset: number }): Finding {
  const line = source.lineAround(fault.offset).text;
  return {
    place: placeIn(source, fault.offset),
    path: [],
    message: `${fault.reason}${syntaxHint(line, fault.reason)}`,
  };
}

/** The two mistakes whose reason alone misleads. */
function syntaxHint(line: string, reason: string): string {
  if (line.includes('${') && /comma|flow/.test(reason))
    return '; inside { } or [ ] a value with ${…} needs quotes';
  return line.includes('\t') && reason === 'deficient indentation'
    ? '; the line holds a tab: use spaces'
    : '';
}

function documentProblem(source: SourceText, events: readonly YamlEvent[]): Finding | undefined {
  const documents = events.filter((event) => event.type === YAML_EVENT.DOCUMENT);
  const start = (message: string, offset = 0): Finding => ({
    place: placeIn(source, offset),
    path: [],
    message,
  });
  const first = events[1];
  if (documents.length === 0 || !first) return start('expected a map of settings, got an empty file');
  if (documents.some((document) => document.directives.some(({ kind }) => kind === 'tag')))
    return start('%TAG directives are not supported');
  if (documents.length > 1) {
    const second = events.lastIndexOf(documents[1] as YamlEvent) + 1;
    const offset = offsetOf(events[second]);
    return start('expected one YAML document, got several: another one starts here', offset);
  }
  if (first.type === YAML_EVENT.MAPPING) return undefined;
  if (first.type === YAML_EVENT.SCALAR && first.valueStart < 0)
    return start('expected a map of settings, got an empty file');
  const got = first.type === YAML_EVENT.SEQUENCE ? 'a list' : 'a single value';
  return start(`expected a map of settings at the top level, got ${got}`, offsetOf(first));
}
