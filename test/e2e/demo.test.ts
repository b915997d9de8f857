import { describe, expect, it } from 'vitest';
import { table } from '../../src/cli/demo/report.ts';
import type { SideResult } from '../../src/cli/demo/report.ts';
import { outrigger } from '../cli/fixture.ts';
import type { Ended } from '../cli/fixture.ts';

/** The two cells of a row of the table. */
function cells({ stdout }: Ended, label: string): [direct: string, sidecar: string] {
  const line = stdout.split('\n').find((one) => one.trim().startsWith(label)) ?? '';
  const [direct = '', sidecar = ''] = line.trim().slice(label.length).trim().split(/ {3,}/);
  return [direct, sidecar];
}

const numbers = (run: Ended, label: string): number[] =>
  cells(run, label).map((cell) => Number.parseFloat(cell));

describe('outrigger demo', () => {
  it('shows the difference between the two sides in one table', async () => {
    const run = await outrigger(['demo', '--calls', '80', '--concurrency', '16']);
    expect(run.code).toBe(0);
    expect(run.stderr).toBe('80 calls on each side, 16 at a time, seed 1\n');
    expect(numbers(run, 'calls')).toEqual([80, 80]);
    const [wholeDirectly = 0, wholeThroughSidecar = 0] = numbers(run, 'whole answers');
    expect(wholeDirectly).toBeLessThan(70);
    expect(wholeThroughSidecar).toBeGreaterThan(wholeDirectly + 5);
    const [requestsDirectly, requestsThroughSidecar] = numbers(run, 'requests at the provider');
    expect(requestsDirectly).toBe(80);
    expect(requestsThroughSidecar).toBeGreaterThan(80);
    expect(cells(run, 'breaker openings')).toEqual(['-', '0']);
    expect(run.stdout).toContain('Notes\n');
  });

  it('says clearly that it needs the SDK where that is not installed', async () => {
    const hook = `import { registerHooks } from 'node:module';
      registerHooks({ resolve: (name, context, next) => {
        if (name === 'openai') throw Object.assign(new Error('not there'), { code: 'ERR_MODULE_NOT_FOUND' });
        return next(name, context);
      } });`;
    const nodeArgs = ['--import', `data:text/javascript,${encodeURIComponent(hook)}`];
    const { code, stdout, stderr } = await outrigger(['demo'], { nodeArgs });
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('the demo needs the openai package');
  });
});

describe('the table', () => {
  const side = (kinds: readonly string[], parts: Partial<SideResult> = {}): SideResult => ({
    ends: kinds.map((kind, index) => ({ kind, streaming: index % 2 === 1, durationMs: 10 * (index + 1) })),
    upstreamRequests: kinds.length,
    breakerOpenings: undefined,
    durationMs: 1_234,
    ...parts,
  });

  it('counts what happened on each side, most frequent errors first', () => {
    const direct = side(['whole', 'broken stream', 'timeout', 'HTTP 503', 'HTTP 503']);
    const sidecar = side(['whole', 'whole', 'whole', 'whole', 'HTTP 504'], {
      upstreamRequests: 7,
      breakerOpenings: 1,
    });
    const lines = table(direct, sidecar).split('\n');
    expect(lines.map((line) => line.trim().split(/ {3,}/))).toEqual([
      ['directly', 'through Outrigger'],
      [expect.stringMatching(/^-+$/)],
      ['calls', '5', '5'],
      ['whole answers', '1 (20.0 %)', '4 (80.0 %)'],
      ['broken streams', '1', '0'],
      ['HTTP 503', '2', '0'],
      ['timeout', '1', '0'],
      ['HTTP 504', '0', '1'],
      ['requests at the provider', '5', '7'],
      ['breaker openings', '-', '1'],
      ['JSON calls, p50 / p99', '30 / 50 ms', '30 / 50 ms'],
      ['streams, p50 / p99', '20 / 40 ms', '20 / 40 ms'],
      ['duration', '1.2 s', '1.2 s'],
      [''],
    ]);
  });
});
