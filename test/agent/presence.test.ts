import { describe, expect, it } from 'vitest';
import { Presence } from '../../src/agent/presence.ts';
import type { AgentStatus } from '../../src/core/agent.ts';
import { AGENT, Rig } from './rig.ts';
import { ScriptedRegistrar } from './scripted-registrar.ts';

const HEARTBEAT_MS = 10_000;

function presence(rig = new Rig(), heartbeatMs: number | undefined = HEARTBEAT_MS) {
  const registrar = new ScriptedRegistrar();
  const agent: { status: AgentStatus } = { status: 'starting' };
  const kept = new Presence(
    { registrar, agent: AGENT, heartbeatMs, timeoutMs: 5_000, status: () => agent.status },
    rig,
  );
  const become = async (status: AgentStatus): Promise<void> => {
    agent.status = status;
    kept.changed();
    await rig.clock.advance(0);
  };
  return { rig, registrar, kept, become };
}

describe('an agent in a registry', () => {
  it('is told of by nobody before an earlier presence has had its last word, whatever its status does', async () => {
    const { registrar, kept, become, rig } = presence();
    const before = Promise.withResolvers<void>();
    kept.start(before.promise);
    await become('up');
    expect(registrar.told).toEqual([]);
    before.resolve();
    await rig.clock.advance(0);
    expect(registrar.told).toEqual(['register up']);
  });

  it('is registered at once, as it is', async () => {
    const { rig, registrar, kept } = presence();
    kept.start();
    await rig.clock.advance(0);
    expect(registrar.told).toEqual(['register starting']);
    expect(rig.named('agent-registered')).toEqual([
      { service: 'planner', id: 'planner-1', registry: 'scripted', why: 'new' },
    ]);
    expect(kept.snapshot).toEqual({ registry: 'scripted', registered: true, error: undefined });
  });

  it('gives signs of life at intervals that differ, none longer than the heartbeat, none a fifth shorter', async () => {
    const { rig, registrar, kept } = presence();
    kept.start();
    const at: number[] = [];
    let known = 0;
    for (let ms = 0; ms < 100_000; ms += 100) {
      await rig.clock.advance(100);
      if (registrar.told.length > known) at.push(rig.clock.now());
      known = registrar.told.length;
    }
    const gaps = at.slice(1).map((one, index) => one - at[index]!);
    expect(gaps.length).toBeGreaterThan(9);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(HEARTBEAT_MS + 100);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0.8 * HEARTBEAT_MS - 100);
    expect(new Set(gaps).size).toBeGreaterThan(3);
  });

  it.each([
    ['as often as the registry asks', { ttlMs: 3_000, heartbeatMs: 1_000 }, undefined, 800, 1_000],
    ['no less often than it was told itself', { ttlMs: 60_000, heartbeatMs: 20_000 }, 5_000, 4_000, 5_000],
    ['at least twice in a TTL', { ttlMs: 4_000, heartbeatMs: 3_600_000 }, undefined, 1_600, 2_000],
    ['never every few milliseconds', { ttlMs: 1, heartbeatMs: 1 }, undefined, 200, 250],
    ['at least every 20 minutes', { ttlMs: 1e9, heartbeatMs: 1e9 }, undefined, 960_000, 1_200_000],
  ])('gives signs of life %s', async (_how, lease, heartbeatMs, least, most) => {
    const { rig, registrar, kept } = presence(new Rig(), heartbeatMs ?? Infinity);
    registrar.lease = lease;
    kept.start();
    await rig.clock.advance(0);
    await rig.clock.advance(least - 1);
    expect(registrar.told).toEqual(['register starting']);
    await rig.clock.advance(most - least + 1);
    expect(registrar.told.slice(1, 2)).toEqual(['heartbeat starting']);
  });

  it('follows a TTL that the registry changes', async () => {
    const { rig, registrar, kept } = presence(new Rig(), Infinity);
    kept.start();
    await rig.clock.advance(0);
    registrar.lease = { ttlMs: 3_000, heartbeatMs: 1_000 };
    await rig.clock.advance(10_000);
    const before = registrar.told.length;
    await rig.clock.advance(5_000);
    expect(registrar.told.length - before).toBeGreaterThanOrEqual(5);
  });

  it('tells a changed status at once, and once', async () => {
    const { rig, registrar, kept, become } = presence();
    kept.start();
    await rig.clock.advance(0);
    await become('up');
    await become('up');
    await become('degraded');
    expect(registrar.told).toEqual(['register starting', 'heartbeat up', 'heartbeat degraded']);
  });

  it('is registered anew by a registry that has forgotten it', async () => {
    const { rig, registrar, kept } = presence();
    kept.start();
    await rig.clock.advance(0);
    registrar.forget();
    await rig.clock.advance(HEARTBEAT_MS);
    expect(registrar.told).toEqual(['register starting', 'heartbeat starting', 'register starting']);
    expect(rig.named('agent-registered').map(({ why }) => why)).toEqual(['new', 'forgotten']);
  });
});

describe('a registry that is away', () => {
  it('is asked again after growing waits up to a heartbeat, and told of once', async () => {
    const { rig, registrar, kept } = presence();
    registrar.mood = 'away';
    kept.start();
    await rig.clock.advance(10_000);
    const early = registrar.told.length;
    expect(early).toBeGreaterThan(3);
    expect(early).toBeLessThan(9);
    await rig.clock.advance(600_000);
    expect(registrar.told.length - early).toBeLessThanOrEqual(2 * (600_000 / HEARTBEAT_MS));
    expect(rig.named('agent-registration-failed')).toEqual([
      {
        service: 'planner',
        id: 'planner-1',
        registry: 'scripted',
        step: 'register',
        message: 'connection refused',
      },
    ]);
    expect(kept.snapshot).toMatchObject({ registered: false, error: 'connection refused' });
  });

  it('is not asked more often because the agent changes', async () => {
    const { rig, registrar, kept, become } = presence();
    kept.start();
    await rig.clock.advance(0);
    registrar.mood = 'away';
    await rig.clock.advance(HEARTBEAT_MS);
    const before = registrar.told.length;
    for (const status of ['up', 'down', 'up', 'down'] as const) await become(status);
    expect(registrar.told.length).toBe(before);
  });

  it('is told how the agent is when it is back, and that is told of', async () => {
    const { rig, registrar, kept, become } = presence();
    kept.start();
    await rig.clock.advance(0);
    registrar.mood = 'away';
    await rig.clock.advance(3 * HEARTBEAT_MS);
    await become('down');
    registrar.mood = 'well';
    await rig.clock.advance(HEARTBEAT_MS);
    expect(registrar.told).toContain('heartbeat down');
    expect(rig.named('agent-registered').map(({ why }) => why)).toEqual(['new', 'reachable']);
    registrar.mood = 'away';
    await rig.clock.advance(2 * HEARTBEAT_MS);
    expect(rig.named('agent-registration-failed')).toHaveLength(2);
  });
});

it('an earlier presence has had its last word before the next one says anything', async () => {
  const rig = new Rig();
  const [first, second] = [presence(rig), presence(rig)];
  first.registrar.mood = 'silent';
  first.kept.start();
  await rig.clock.advance(0);
  const { promise, resolve } = Promise.withResolvers<void>();
  second.kept.start(Promise.all([first.kept.abandon(), promise]));
  await rig.clock.advance(0);
  expect(second.registrar.told).toEqual([]);
  resolve();
  await rig.clock.advance(0);
  expect(second.registrar.told).toEqual(['register starting']);
});

describe('the end', () => {
  it('takes the agent out, and leaves no timer', async () => {
    const { rig, registrar, kept } = presence();
    kept.start();
    await rig.clock.advance(0);
    expect(await kept.leave()).toBe(true);
    expect(registrar.told.at(-1)).toBe('deregister');
    expect(rig.named('agent-deregistered')).toHaveLength(1);
    expect([registrar.disposed, rig.clock.pendingTimers]).toEqual([true, 0]);
  });

  it('waits no longer than its time for a registry that says nothing', async () => {
    const { rig, registrar, kept } = presence();
    kept.start();
    await rig.clock.advance(0);
    registrar.mood = 'silent';
    const left = kept.leave();
    await rig.clock.advance(4_999);
    expect(registrar.disposed).toBe(false);
    await rig.clock.advance(1);
    expect(await left).toBe(true);
    expect(rig.named('agent-registration-failed')).toMatchObject([
      { step: 'deregister', message: 'not done within 5000 ms' },
    ]);
  });

  it('takes out what a registration that is broken off may have brought in', async () => {
    const { rig, registrar, kept } = presence();
    registrar.mood = 'silent';
    kept.start();
    await rig.clock.advance(0);
    registrar.mood = 'well';
    expect(await kept.leave()).toBe(true);
    expect(registrar.told).toEqual(['register starting', 'deregister']);
    expect(rig.named('agent-registration-failed')).toEqual([]);
  });

  it('takes out what a registration without an answer may have brought in', async () => {
    const { rig, registrar, kept } = presence();
    registrar.mood = 'away';
    kept.start();
    await rig.clock.advance(0);
    registrar.mood = 'well';
    expect(await kept.leave()).toBe(true);
    expect(registrar.told).toEqual(['register starting', 'deregister']);
  });

  it('of one that never stood there, as far as is known, is waited for by nobody', async () => {
    const { rig, registrar, kept } = presence();
    registrar.mood = 'away';
    kept.start();
    await rig.clock.advance(0);
    expect(await kept.leave()).toBe(false);
    expect(rig.named('agent-registration-failed').map(({ step }) => step)).toEqual([
      'register',
      'deregister',
    ]);
  });

  it('of a hand-over says nothing to the registry', async () => {
    const { rig, registrar, kept } = presence();
    kept.start();
    await rig.clock.advance(0);
    await kept.abandon();
    await rig.clock.advance(10 * HEARTBEAT_MS);
    expect(registrar.told).toEqual(['register starting']);
    expect([registrar.disposed, rig.clock.pendingTimers]).toEqual([true, 0]);
  });
});
