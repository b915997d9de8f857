/** Tables in Markdown, readable in a terminal as they are. */
import { countFailures } from './load/jobs.ts';
import type { MachineFacts } from './lab/machine.ts';
import type { PeerFigures, Verdict } from './evaluation.ts';
import type { Peer } from './peers/peer.ts';
import { basePeer } from './peers/catalogue.ts';
import type { ScenarioResult } from './rounds.ts';
import type { Column } from './scenarios/scenario.ts';
import { summarise, type Summary } from './statistics.ts';

/** Median share of the proxy's core that others took, above which a verdict should not be believed. */
const NOISE_WORTH_A_WORD = 0.15;

export function machineSection(facts: MachineFacts, peers: readonly Peer[]): string {
  const tools = Object.entries(facts.tools).map(([tool, version]) => `${tool} ${version}`);
  const lines = [
    '# Outrigger bench',
    '',
    `- ${facts.date}, Node ${facts.node}, ${facts.cores} cores (${facts.cpu}), ${facts.memoryGib} GiB`,
    `- ${tools.join(', ')}`,
    `- pinning: ${facts.pinning}`,
    `- load average at start: ${facts.loadAverage.toFixed(2)}`,
    '- figures: median (min–max) of the turns; “×” is the median of the ratios to the base of the same turn',
  ];
  for (const { name, missing } of peers)
    if (missing !== undefined) lines.push(`- **SKIPPED ${name}: ${missing}**`);
  return lines.join('\n');
}

export function scenarioSection(result: ScenarioResult, peers: readonly PeerFigures[]): string {
  const { scenario, description, broken, cutShort } = result;
  const header = [
    'peer',
    `× ${scenario.peers?.[0] ?? basePeer}`,
    ...scenario.columns.map(({ title }) => title),
    'validity',
  ];
  const rows = peers.map((peer) => [
    peer.peer,
    peer.ratio ? `**${peer.ratio.median.toFixed(2)}** ${range(peer.ratio, 2)}` : '–',
    ...scenario.columns.map((column) => cell(peer, column)),
    validity(peer),
  ]);
  const failures = [...broken].map(([peer, message]) => `**${peer} COULD NOT BE MEASURED**: ${message}`);
  const notes = cutShort
    ? ['**Cut short: the time for this scenario was over before all turns were taken.**']
    : [];
  return [
    `## ${scenario.title}`,
    '',
    `${description}.`,
    '',
    table([header, ...rows]),
    '',
    ...notes,
    ...failures,
  ].join('\n');
}

function cell({ figures }: PeerFigures, { key, digits }: Column): string {
  const summary = figures[key];
  return summary ? `${summary.median.toFixed(digits)} ${range(summary, digits)}` : '–';
}

/** Median and what lies around it, or a dash for nothing. */
export function spread(values: readonly number[], digits: number): string {
  const summary = summarise(values);
  return summary ? `${summary.median.toFixed(digits)} ${range(summary, digits)}` : '–';
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function range({ min, max }: Summary, digits: number): string {
  return `(${min.toFixed(digits)}–${max.toFixed(digits)})`;
}

function validity({ turns, invalidTurns, failures, foreignShare, redone }: PeerFigures): string {
  const parts: string[] = [];
  if (countFailures(failures) > 0) {
    parts.push(
      `**INVALID in ${invalidTurns} of ${turns} turns: ${failures.non2xx} non-2xx, ` +
        `${failures.socketErrors} socket errors, ${failures.incomplete} incomplete**`,
    );
  } else parts.push(`${turns} ok`);
  if (foreignShare) parts.push(`noise ${percent(foreignShare.median)} ≤ ${percent(foreignShare.max)}`);
  if (redone > 0) parts.push(`${redone} redone`);
  return parts.join(', ');
}

export function targetSection(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ scenario, what, limit, aim, ratio, result, noise }) => [
    scenario,
    what,
    `≤ ${limit} ×${aim === undefined ? '' : ` (aim ${aim} ×)`}`,
    ratio === undefined ? '–' : `${ratio.toFixed(2)} ×`,
    `${result === 'met' ? 'met' : `**${result}**`}${noise > NOISE_WORTH_A_WORD ? `, NOISY: ${percent(noise)} by others, repeat` : ''}`,
  ]);
  return ['## Targets', '', table([['scenario', 'what', 'target', 'measured', 'result'], ...rows])].join(
    '\n',
  );
}

/** The first row is the header. Columns are padded so that the source reads as a table too. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((text, column) => text.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const [header = [], ...body] = rows;
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}
