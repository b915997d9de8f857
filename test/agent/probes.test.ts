import { expect, it, onTestFinished } from 'vitest';
import { makeProbe } from '../../src/agent/make-probe.ts';
import { systemClock } from '../../src/core/clock.ts';
import { runProbe } from '../../src/health/probes/probe.ts';
import type { ProbeResult } from '../../src/health/probes/probe.ts';
import { agentSchema } from '../../src/schema/agent.ts';
import { HttpClient } from '../../src/transport/http-client.ts';
import { localServer } from './local-server.ts';

const NOBODY = 'http://10.255.255.1:9';

function look(options: object): Promise<ProbeResult> {
  const parsed = agentSchema.parse({ service: 'planner', address: NOBODY, ...options });
  const http = new HttpClient({ clock: systemClock });
  onTestFinished(() => http.dispose());
  const probe = makeProbe(parsed, { clock: systemClock, http });
  return runProbe(probe, { clock: systemClock, timeoutMs: parsed.check.timeout });
}

const exec = (script: string, timeout = '10s'): object => ({
  check: { exec: { command: [process.execPath, '-e', script] }, timeout },
});

it.each([
  ['0 is well', 'process.exit(0)', { ok: true, degraded: false, detail: 'exit code 0' }],
  ['1 is degraded', 'process.exit(1)', { ok: true, degraded: true, detail: 'exit code 1' }],
  [
    '2 has failed',
    'console.log("queue is full"); process.exit(2)',
    { ok: false, detail: 'exit code 2: queue is full' },
  ],
  ['3 has failed, as any other', 'process.exit(3)', { ok: false, detail: 'exit code 3' }],
  ['a signal has failed', 'process.kill(process.pid, "SIGKILL")', { ok: false, detail: 'ended by SIGKILL' }],
])('of a program, %s', async (_title, script, expected) => {
  expect(await look(exec(script))).toMatchObject(expected);
});

it('a program that hangs has failed at the timeout', async () => {
  const result = await look(exec('setInterval(() => undefined, 1000)', '300ms'));
  expect(result.ok).toBe(false);
  expect(result.durationMs).toBeLessThan(3_000);
});

it('a program that is not there has failed', async () => {
  const result = await look({ check: { exec: { command: ['/nowhere/at-all'] } } });
  expect(result).toMatchObject({
    ok: false,
    detail: expect.stringMatching(/^not started: .*ENOENT/) as string,
  });
});

it('over HTTP the agent is asked where it is reached from here, for the path as it is written', async () => {
  await using server = await localServer(({ url }, response) => {
    const status = { '/health?deep=1': 200, '/tired': 429 }[url] ?? 500;
    response.writeHead(status).end();
  });
  const local = `${server.origin}/base`;
  expect(await look({ local, check: { http: { path: '/health?deep=1' } } })).toMatchObject({ ok: true });
  expect(await look({ local, check: { http: { path: '/tired', degradedStatus: [429] } } })).toMatchObject({
    ok: true,
    degraded: true,
  });
  expect(await look({ local, check: { http: {} } })).toMatchObject({ ok: false });
});

it('without a word about it, an agent is well that accepts connections', async () => {
  const server = await localServer(() => undefined);
  expect(await look({ local: server.origin })).toMatchObject({ ok: true });
  await server[Symbol.asyncDispose]();
  expect(await look({ local: server.origin })).toMatchObject({ ok: false });
});
