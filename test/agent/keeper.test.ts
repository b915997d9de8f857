import { describe, expect, it } from 'vitest';
import { AgentKeeper } from '../../src/agent/keeper.ts';
import { Recovery } from '../../src/agent/recovery.ts';
import type { ActionResult, Incident, RecoveryAction } from '../../src/agent/recovery.ts';
import type { ProbeResult } from '../../src/health/probes/probe.ts';
import { AGENT, Rig } from './rig.ts';
import { ScriptedRegistrar } from './scripted-registrar.ts';

const INTERVAL_MS = 3_000;
const RULES = { rise: 1, fall: 3 };
const RULE = { after: 3, initialMs: 10_000, maxMs: 60_000, maxPerHour: 6 };

const WELL: ProbeResult = { ok: true, detail: 'status 200', durationMs: 1 };
const ILL: ProbeResult = { ok: false, detail: 'ECONNREFUSED', durationMs: 1 };

/** An action that remembers what it was told and does as `run` says. */
class ScriptedAction implements RecoveryAction {
  readonly name = 'command restart';
  readonly rule = RULE;
  readonly incidents: Incident[] = [];
  underWay = 0;
  mostAtATime = 0;
  run: (incident: Incident, signal: AbortSignal) => Promise<ActionResult>;

  constructor(work: (signal: AbortSignal) => Promise<ActionResult>) {
    this.run = async (incident, signal) => {
      this.incidents.push(incident);
      this.underWay += 1;
      this.mostAtATime = Math.max(this.mostAtATime, this.underWay);
      return work(signal).finally(() => (this.underWay -= 1));
    };
  }
}

function keeping(actions: readonly RecoveryAction[] = [], startGraceMs = 0) {
  const rig = new Rig();
  const agent = { is: WELL };
  const registrar = new ScriptedRegistrar();
  const recovery = new Recovery(actions, rig);
  const keeper = new AgentKeeper(
    {
      ...{ agent: AGENT, recovery, rules: RULES, startGraceMs },
      probe: async () => agent.is,
      intervalMs: INTERVAL_MS,
      timeoutMs: 1_000,
      register: { registrar, heartbeatMs: 10_000, timeoutMs: 1_000 },
    },
    rig,
  );
  return { rig, agent, registrar, keeper, recovery };
}

const quick = async (): Promise<ActionResult> => ({ ok: true, message: 'exit code 0', restarted: true });

describe('an agent that dies', () => {
  it('is degraded with the first failed check and down within `fall` intervals; the registry knows at once', async () => {
    const { rig, agent, registrar, keeper } = keeping();
    keeper.start();
    await rig.clock.advance(INTERVAL_MS);
    agent.is = ILL;
    const diedAt = rig.clock.now();
    while (keeper.snapshot.status !== 'down') await rig.clock.advance(100);
    expect(rig.clock.now() - diedAt).toBeLessThanOrEqual(RULES.fall * INTERVAL_MS);
    expect(rig.named('agent-changed').map(({ from, to }) => `${from} → ${to}`)).toEqual([
      'starting → up',
      'up → degraded',
      'degraded → down',
    ]);
    const statuses = registrar.told.map((line) => line.split(' ')[1]);
    expect(statuses.filter((one, index) => one !== statuses[index - 1])).toEqual([
      'starting',
      'up',
      'degraded',
      'down',
    ]);
  });

  it('is helped up after as many failed checks, with time to start, and up with its first good check', async () => {
    const action = new ScriptedAction(quick);
    const { rig, agent, keeper } = keeping([action], 30_000);
    keeper.start();
    await rig.clock.advance(INTERVAL_MS);
    agent.is = ILL;
    await rig.clock.advance(4 * INTERVAL_MS);
    expect(action.incidents).toMatchObject([
      { agent: AGENT, status: 'down', failures: 3, message: 'ECONNREFUSED', attempt: 1 },
    ]);
    expect(keeper.snapshot).toMatchObject({ status: 'starting', failures: 3 });
    await rig.clock.advance(20_000);
    expect(action.incidents).toHaveLength(1);
    agent.is = WELL;
    await rig.clock.advance(INTERVAL_MS);
    expect(keeper.snapshot).toMatchObject({ status: 'up', failures: 0 });
    expect(rig.named('agent-recovery')).toEqual([
      {
        service: 'planner',
        id: 'planner-1',
        action: 'command restart',
        attempt: 1,
        failures: 3,
        result: 'succeeded',
        message: 'exit code 0',
      },
    ]);
  });

  it('and stays dead is helped again after waits that double, until the limit of an hour, which is told once', async () => {
    const failing = async (): Promise<ActionResult> => ({ ok: false, message: 'exit code 1' });
    const action = new ScriptedAction(failing);
    const { rig, agent, keeper } = keeping([action]);
    agent.is = ILL;
    keeper.start();
    await rig.clock.advance(3_000_000);
    expect(action.incidents.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(rig.named('agent-recovery').map(({ result }) => result)).toEqual([
      ...Array<string>(6).fill('failed'),
      'exhausted',
    ]);
    expect(keeper.snapshot.recovery).toMatchObject([{ action: 'command restart', runsInHour: 6 }]);
  });

  it('in its time to start is not helped', async () => {
    const action = new ScriptedAction(quick);
    const { rig, agent, keeper } = keeping([action], 60_000);
    agent.is = ILL;
    keeper.start();
    await rig.clock.advance(59_000);
    expect([keeper.snapshot.status, action.incidents]).toEqual(['starting', []]);
  });
});

it('an action that takes long is never run beside itself', async () => {
  const { promise, resolve } = Promise.withResolvers<ActionResult>();
  const action = new ScriptedAction(() => promise);
  const { rig, agent, keeper } = keeping([action]);
  agent.is = ILL;
  keeper.start();
  await rig.clock.advance(600_000);
  expect([action.incidents.length, action.mostAtATime]).toEqual([1, 1]);
  resolve({ ok: false, message: 'late' });
  await rig.clock.advance(INTERVAL_MS);
  expect(action.incidents).toHaveLength(2);
});

it('checks never overlap, and a check that hangs has failed at its timeout', async () => {
  const rig = new Rig();
  const looks = { underWay: 0, most: 0, all: 0 };
  const probe = (signal: AbortSignal): Promise<ProbeResult> => {
    looks.all += 1;
    looks.most = Math.max(looks.most, ++looks.underWay);
    return new Promise((resolve) =>
      signal.addEventListener('abort', () => {
        looks.underWay -= 1;
        resolve(ILL);
      }),
    );
  };
  const options = { agent: AGENT, probe, rules: RULES, startGraceMs: 0, register: undefined };
  const recovery = new Recovery([], rig);
  const keeper = new AgentKeeper({ ...options, recovery, intervalMs: 1_000, timeoutMs: 5_000 }, rig);
  keeper.start();
  await rig.clock.advance(16_000);
  expect(looks).toEqual({ underWay: 1, most: 1, all: 4 });
  expect(keeper.snapshot).toMatchObject({
    status: 'down',
    lastCheck: { message: 'not done within 5000 ms' },
  });
  void keeper.stop();
  await rig.clock.advance(0);
  expect([looks.underWay, rig.clock.pendingTimers]).toEqual([0, 0]);
});

it('letting go ends checks and recovery, takes the agent out, and leaves nothing behind', async () => {
  const action = new ScriptedAction(
    (signal) =>
      new Promise((resolve) =>
        signal.addEventListener('abort', () => resolve({ ok: false, message: 'broken off' })),
      ),
  );
  const { rig, agent, registrar, keeper } = keeping([action]);
  agent.is = ILL;
  keeper.start();
  await rig.clock.advance(10_000);
  expect(action.underWay).toBe(1);
  expect(await keeper.leave()).toBe(true);
  await rig.clock.advance(60_000);
  expect(registrar.told.at(-1)).toBe('deregister');
  expect(rig.named('agent-changed').at(-1)).toMatchObject({ from: 'down', to: 'stopping' });
  expect([action.underWay, action.incidents.length, rig.clock.pendingTimers]).toEqual([0, 1, 0]);
});
