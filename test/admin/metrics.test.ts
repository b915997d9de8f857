import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { adminWith, IDLE_UPSTREAM } from './fixture.ts';

const promtool = spawnSync('promtool', ['--version']).error === undefined;
if (!promtool) console.warn('SKIPPED: promtool is not installed, so /metrics is only checked by a pattern');

test('/metrics is the Prometheus text format, under its content type', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  await admin.call('/models/x');
  const answer = await admin.get('/metrics');
  expect(answer.status).toBe(200);
  expect(answer.header('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(answer.header('cache-control')).toBe('no-store');
  expect(answer.text).toContain('outrigger_breaker_state{upstream="models",state="closed"} 1');
  const sample =
    /^[a-z_:][\w:]*(\{([a-z_]\w*="(?:[^"\\\n]|\\.)*",?)*\})? (NaN|[+-]Inf|-?[\d.]+(e[+-]?\d+)?)$/i;
  const wrong = answer.text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#') && !sample.test(line));
  expect(wrong).toEqual([]);
});

test.skipIf(!promtool)('promtool finds nothing wrong with /metrics', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  await admin.call('/models/x');
  const { text } = await admin.get('/metrics');
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
    input: text,
    encoding: 'utf8',
  });
  expect(stdout + stderr).not.toMatch(/outrigger_/);
  expect([0, 3]).toContain(status);
});
