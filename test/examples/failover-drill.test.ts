import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

interface Result {
  readonly fault: string;
  readonly outMs?: number;
  readonly failedBeforeOut?: number;
  readonly failedAfterOut?: number;
  readonly backMs?: number;
  readonly calls: number;
  readonly lost: number;
}

const drill = fileURLToPath(new URL('../../examples/failover-drill/drill.mjs', import.meta.url));

test('the failover drill loses no call, takes each failing agent out, and has it back by itself', async () => {
  const args = [drill, '--json', '--rate', '30', '--fault', '3000'];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 120_000 });
  const results = JSON.parse(stdout) as Result[];
  expect(results.map(({ fault }) => fault)).toEqual(['killed', 'cut off', 'slow']);
  for (const { fault, calls, lost, outMs, backMs } of results) {
    expect(calls, fault).toBeGreaterThan(50);
    expect(lost, fault).toBe(0);
    expect(outMs, fault).toBeDefined();
    expect(backMs, fault).toBeDefined();
  }
  // One, and what was on its way when the agent died: at 30 calls a second hardly any, on a busy machine half a second's.
  expect(results[0]?.failedBeforeOut).toBeLessThanOrEqual(15);
  expect(results[0]?.failedAfterOut).toBeLessThanOrEqual(1);
}, 130_000);
