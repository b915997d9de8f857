import { describe, expect, it, onTestFinished } from 'vitest';
import { AgentHost } from '../../src/agent/host.ts';
import type { InstanceRegistrar } from '../../src/core/registry.ts';
import { agentSchema } from '../../src/schema/agent.ts';
import type { AgentOptions } from '../../src/schema/agent.ts';
import { settle } from '../support/fake-clock.ts';
import { Rig } from './rig.ts';

const HANGING = { exec: { command: [process.execPath, '-e', 'setInterval(() => undefined, 1000)'] } };

const LEASE = { ttlMs: 30_000, heartbeatMs: 10_000 };

const section = (more: object = {}): AgentOptions =>
  agentSchema.parse({
    service: 'planner',
    address: 'http://10.0.0.7:8000',
    // Of a check that never ends nothing is learnt: the tests say what there is to know.
    check: { ...HANGING, timeout: '1h' },
    register: { embedded: true },
    ...more,
  });

function hosting() {
  const rig = new Rig();
  const told: string[] = [];
  const registry: InstanceRegistrar = {
    register: async ({ id, weight }) => (told.push(`register ${id} ${weight}`), LEASE),
    heartbeat: async () => LEASE,
    deregister: async (_service, id) => told.push(`deregister ${id}`) > 0,
  };
  const exits: number[] = [];
  const host = new AgentHost({
    ...{ clock: rig.clock, random: rig.random, emit: rig.emit },
    exit: (code) => void exits.push(code),
    registry,
  });
  onTestFinished(() => host.close());
  return { rig, told, host };
}

describe('another configuration', () => {
  it('that says the same of the agent disturbs nothing', async () => {
    const { told, host } = hosting();
    host.configure(section());
    await settle();
    host.configure(section());
    await settle();
    expect(told).toEqual(['register planner-10.0.0.7-8000 1']);
  });

  it('that says other things of it registers it anew, without taking it out', async () => {
    const { told, host } = hosting();
    host.configure(section());
    await settle();
    host.configure(section({ weight: 5 }));
    await settle();
    expect(told).toEqual(['register planner-10.0.0.7-8000 1', 'register planner-10.0.0.7-8000 5']);
  });

  it('with another id, or without an agent, takes the old one out', async () => {
    const { told, host } = hosting();
    host.configure(section({ id: 'one' }));
    await settle();
    host.configure(section({ id: 'two' }));
    await settle();
    host.configure(undefined);
    await settle();
    expect(told).toEqual(['register one 1', 'deregister one', 'register two 1', 'deregister two']);
    expect(host.snapshot).toBeUndefined();
  });

  it('that registers it nowhere takes it out, and its state goes on', async () => {
    const { told, host } = hosting();
    host.configure(section());
    await settle();
    host.configure(section({ register: undefined }));
    await settle();
    expect(told.at(-1)).toBe('deregister planner-10.0.0.7-8000');
    expect(host.snapshot).toMatchObject({ status: 'starting', registration: undefined });
  });
});

it('the drain takes the agent out, then waits for those who look things up; no reload brings it back', async () => {
  const { rig, told, host } = hosting();
  host.configure(section({ drainDelay: '3s' }));
  await settle();
  let drained = false;
  const draining = host.drain().then(() => (drained = true));
  await rig.clock.advance(2_999);
  expect([told.at(-1), drained]).toEqual(['deregister planner-10.0.0.7-8000', false]);
  host.configure(section({ weight: 3 }));
  await rig.clock.advance(1);
  await draining;
  expect(told).toHaveLength(2);
  expect(host.snapshot?.status).toBe('stopping');
});

it('an agent that stood nowhere delays no drain', async () => {
  const { host } = hosting();
  host.configure(section({ register: undefined, drainDelay: '1h' }));
  await host.drain();
  expect(host.snapshot?.status).toBe('stopping');
});
