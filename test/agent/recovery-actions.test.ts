import { describe, expect, it, onTestFinished } from 'vitest';
import type { ActionResult, Incident } from '../../src/agent/recovery.ts';
import { recoveryActions } from '../../src/agent/recovery-actions.ts';
import { systemClock } from '../../src/core/clock.ts';
import type { Clock } from '../../src/core/clock.ts';
import { seededRandom } from '../../src/core/random.ts';
import { agentSchema } from '../../src/schema/agent.ts';
import { HttpClient } from '../../src/transport/http-client.ts';
import { AGENT } from './rig.ts';
import { localServer } from './local-server.ts';

const INCIDENT: Incident = { agent: AGENT, status: 'down', failures: 3, message: 'ECONNREFUSED', attempt: 2 };

/** Waits are over at once; timeouts are not. */
const hasty: Clock = {
  ...systemClock,
  setTimer: (_ms, fn) => systemClock.setTimer(0, fn),
};

interface Ran {
  readonly name: string;
  readonly result: ActionResult;
  readonly exits: readonly number[];
}

async function run(step: object, more: object = {}, clock: Clock = systemClock): Promise<Ran> {
  const options = agentSchema.parse({
    service: 'planner',
    address: 'http://10.0.0.7:8000',
    recovery: [step],
    ...more,
  });
  const http = new HttpClient({ clock: systemClock });
  onTestFinished(() => http.dispose());
  const exits: number[] = [];
  const exit = (code: number): void => void exits.push(code);
  const [action] = recoveryActions(options, { clock, random: seededRandom(1), http, exit });
  return { name: action!.name, result: await action!.run(INCIDENT, new AbortController().signal), exits };
}

describe('a webhook', () => {
  it('is told what happened, as JSON, with the fields that were written for it', async () => {
    await using server = await localServer((_heard, response) => response.writeHead(204).end());
    const url = `${server.origin}/hooks/T0?x=1`;
    const { name, result } = await run({ webhook: { url, headers: { authorization: 'Bearer t' } } });
    expect([name, result]).toEqual([
      'webhook',
      expect.objectContaining({ ok: true, message: 'answered 204' }),
    ]);
    const [heard] = server.heard;
    expect(heard).toMatchObject({
      method: 'POST',
      url: '/hooks/T0?x=1',
      headers: { authorization: 'Bearer t', 'content-type': 'application/json' },
    });
    expect(JSON.parse(heard!.body)).toEqual({
      event: 'agent-recovery',
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
      service: 'planner',
      id: 'planner-1',
      address: 'http://10.0.0.7:8000',
      zone: 'a',
      status: 'down',
      failures: 3,
      lastCheck: 'ECONNREFUSED',
      attempt: 2,
    });
  });

  it('that fails is tried again as often as was written, with the same report', async () => {
    await using server = await localServer((_heard, response, index) =>
      response.writeHead(index < 2 ? 503 : 200).end(),
    );
    const { result } = await run({ webhook: { url: server.origin, retries: 2 } }, {}, hasty);
    expect(result).toMatchObject({ ok: true });
    expect(new Set(server.heard.map(({ body }) => body)).size).toBe(1);
    expect(server.heard).toHaveLength(3);
    await using worse = await localServer((_heard, response) => response.writeHead(429).end());
    const failed = await run({ webhook: { url: worse.origin, retries: 1 } }, {}, hasty);
    expect([failed.result.ok, failed.result.message, worse.heard.length]).toEqual([false, 'answered 429', 2]);
  });

  it('that says no is not asked again', async () => {
    await using server = await localServer((_heard, response) => response.writeHead(403).end());
    const { result } = await run({ webhook: { url: server.origin } }, {}, hasty);
    expect([result.ok, server.heard.length]).toEqual([false, 1]);
  });

  it('that is away is told of without its path, which may hold a token', async () => {
    const server = await localServer(() => undefined);
    await server[Symbol.asyncDispose]();
    const { result } = await run({ webhook: { url: `${server.origin}/s3cret-path`, retries: 0 } });
    expect(result.ok).toBe(false);
    expect(result.message).toContain(server.origin);
    expect(result.message).not.toContain('s3cret');
  });

  it('that has answered is not sent again because the answer is long or has no end', async () => {
    await using server = await localServer((_heard, response) => {
      response.writeHead(200).write('x'.repeat(200_000));
    });
    const { result } = await run({ webhook: { url: server.origin, timeout: '5s', retries: 2 } }, {}, hasty);
    expect([result.ok, server.heard.length]).toEqual([true, 1]);
  });

  it('that never answers is given up', async () => {
    await using server = await localServer(() => undefined);
    const { result } = await run({ webhook: { url: server.origin, timeout: '100ms', retries: 0 } });
    expect(result).toMatchObject({ ok: false, message: expect.stringContaining('100 ms') as string });
  });
});

describe('a command', () => {
  const COMMANDS = {
    show: [process.execPath, '-e', 'console.log(JSON.stringify(process.env)); process.exit(0)'],
    fail: [process.execPath, '-e', 'console.error("no such unit\\nmore"); process.exit(5)'],
  };

  it('is told of the agent by its environment, which holds nothing of the sidecar’s own', async () => {
    const more = { commands: COMMANDS, env: { TOKEN: 't' } };
    const { name, result } = await run({ command: 'show' }, more);
    expect([name, result.ok, result.restarted]).toEqual(['command show', true, true]);
    expect(result.message).toContain('"TOKEN":"t"');
    expect(result.message).not.toContain('VITEST');
  });

  it('that fails has not started the agent anew; the first line of what it wrote is told', async () => {
    const { result } = await run({ command: 'fail' }, { commands: COMMANDS });
    expect(result).toEqual({ ok: false, message: 'exit code 5: no such unit', restarted: false });
  });

  it('that is not on the list is not run, whatever it is called', async () => {
    for (const command of ['missing', 'constructor', '__proto__']) {
      const { result } = await run({ command }, { commands: COMMANDS });
      expect(result).toEqual({ ok: false, message: `there is no command ${command}` });
    }
  });
});

it('an exit asks for the end of the sidecar with its code', async () => {
  expect(await run({ exit: 42 })).toMatchObject({ name: 'exit', result: { ok: true }, exits: [42] });
});
