/** The demo's table: the two sides beside each other, and what it does not say by itself. */
import { BROKEN_STREAM, WHOLE } from './agent.ts';
import type { CallEnd } from './agent.ts';

export interface SideResult {
  readonly ends: readonly CallEnd[];
  readonly upstreamRequests: number;
  readonly breakerOpenings: number | undefined;
  readonly durationMs: number;
}

type Row = readonly [label: string, direct: string, sidecar: string];

export function table(direct: SideResult, sidecar: SideResult): string {
  const both = (label: string, cell: (side: SideResult) => string): Row => [
    label,
    cell(direct),
    cell(sidecar),
  ];
  const rows: Row[] = [
    ['', 'directly', 'through Outrigger'],
    both('calls', ({ ends }) => String(ends.length)),
    both('whole answers', ({ ends }) => share(countOf(ends, WHOLE), ends.length)),
    both('broken streams', ({ ends }) => String(countOf(ends, BROKEN_STREAM))),
    ...errorKinds([direct, sidecar]).map((kind) => both(kind, ({ ends }) => String(countOf(ends, kind)))),
    both('requests at the provider', ({ upstreamRequests }) => String(upstreamRequests)),
    both('breaker openings', ({ breakerOpenings }) =>
      breakerOpenings === undefined ? '-' : String(breakerOpenings),
    ),
    both('JSON calls, p50 / p99', ({ ends }) => times(ends.filter(({ streaming }) => !streaming))),
    both('streams, p50 / p99', ({ ends }) => times(ends.filter(({ streaming }) => streaming))),
    both('duration', ({ durationMs }) => `${(durationMs / 1_000).toFixed(1)} s`),
  ];
  return align(rows);
}

/** What went wrong on either side, apart from broken streams, most frequent first. */
function errorKinds(sides: readonly SideResult[]): string[] {
  const counts = new Map<string, number>();
  for (const { kind } of sides.flatMap(({ ends }) => ends)) {
    if (kind !== WHOLE && kind !== BROKEN_STREAM) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a).map(([kind]) => kind);
}

const countOf = (ends: readonly CallEnd[], kind: string): number =>
  ends.filter((end) => end.kind === kind).length;

const share = (part: number, whole: number): string => `${part} (${((100 * part) / whole).toFixed(1)} %)`;

/** Over all calls, failed ones included: an agent waits for those, too. */
const times = (ends: readonly CallEnd[]): string =>
  `${Math.round(percentile(ends, 0.5))} / ${Math.round(percentile(ends, 0.99))} ms`;

/** The smallest duration that at least `rank` of all calls do not exceed. */
function percentile(ends: readonly CallEnd[], rank: number): number {
  const sorted = ends.map(({ durationMs }) => durationMs).sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(rank * sorted.length) - 1)] ?? 0;
}

/** Labels to the left, numbers to the right, a rule below the head. */
function align(rows: readonly Row[]): string {
  const width = (column: 0 | 1 | 2): number => Math.max(...rows.map((row) => row[column].length));
  const [first, second, third] = [width(0), width(1), width(2)];
  const lines = rows.map(
    ([label, direct, sidecar]) =>
      `  ${label.padEnd(first)}   ${direct.padStart(second)}   ${sidecar.padStart(third)}`,
  );
  const rule = `  ${'-'.repeat(first + second + third + 6)}`;
  return [lines[0], rule, ...lines.slice(1)].join('\n') + '\n';
}

/** What a reader must know to judge the table. */
export const notes = (facts: { readonly policies: string; readonly clientTimeoutMs: number }): string => `
Notes
- An answer counts as whole when its checksum is right. Both sides wait ${facts.clientTimeoutMs / 1_000} s for an answer to begin; the SDK's own
  retries are off on both.
- An answer that is cut after it began cannot be repaired: the agent has already seen a part of it. What the sidecar
  can do, and does, is to say so: a stream that ends without its end marker becomes an error that the SDK raises
  (broken streams), where the agent alone takes the part for the whole.
- Both providers draw the same sequence of faults, one for each request. Retries are requests too and use it up
  faster, so the two sides do not meet the very same faults call by call.
- Calls are repeated because the configuration says that this is harmless here (idempotent: true). Without it, only
  what was provably not processed is sent again.
- The sidecar's policies:
    ${facts.policies.replaceAll('\n', '\n    ')}
`;
