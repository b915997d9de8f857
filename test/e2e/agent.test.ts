/** A sidecar and its agent, which is a process: it dies, is noticed, helped up, registered and taken out. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { adminWith, IDLE_UPSTREAM } from '../admin/fixture.ts';
import { consulStub } from '../agent/consul-stub.ts';
import { localServer } from '../agent/local-server.ts';
import { untilGone } from '../agent/processes.ts';
import { configFile, runSidecar, temporaryDirectory } from '../cli/fixture.ts';
import { closedPort } from '../support/dead-ports.ts';
import { request } from '../support/raw-client.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import type { TestSidecar } from '../support/start-sidecar.ts';

/** An agent that runs as a process of its own, and is gone when the test is. */
async function agentProgram() {
  const folder = temporaryDirectory();
  const [program, stateFile] = [join(folder, 'agent.cjs'), join(folder, 'state')];
  // The system gives it a port the first time; started anew it waits for that one, should somebody else have it.
  writeFileSync(
    program,
    `const fs = require('node:fs');
     const stateFile = ${JSON.stringify(stateFile)};
     const before = fs.existsSync(stateFile) ? JSON.parse(fs.readFileSync(stateFile, 'utf8')).port : 0;
     const server = require('node:http').createServer((_, response) => response.end('ok'));
     const listen = () => server.listen(before, '127.0.0.1');
     server.on('error', () => setTimeout(listen, 20));
     server.on('listening', () => {
       fs.writeFileSync(stateFile, JSON.stringify({ pid: process.pid, port: server.address().port }));
       process.stdout.write('listening');
     });
     listen();`,
  );
  /** What an operator would write: starts the agent in the background and returns. */
  const starter = join(folder, 'start.cjs');
  writeFileSync(
    starter,
    `require('node:child_process').spawn(process.execPath, [${JSON.stringify(program)}], { stdio: 'ignore' }).unref();`,
  );
  const state = () => JSON.parse(readFileSync(stateFile, 'utf8')) as { pid: number; port: number };
  const kill = async (): Promise<void> => {
    const { pid } = state();
    process.kill(pid, 'SIGKILL');
    await untilGone(pid);
  };
  onTestFinished(() => kill().catch(() => undefined));
  const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] });
  child.unref();
  await once(child.stdout, 'data');
  return { kill, starter, address: `http://127.0.0.1:${state().port}` };
}

const POLL = { interval: 5, timeout: 5_000 };
const CHECK = 'check: { http: { path: / }, interval: 100ms, timeout: 2s, rise: 1, fall: 3 }';

async function untilStatus(running: TestSidecar, status: string): Promise<void> {
  for (let seen = 1; running.sidecar.agent.snapshot?.status !== status; seen++)
    await running.waitForEvent('agent-changed', seen);
}

describe('an agent that is killed', () => {
  it('is down within three checks, started anew by the command of the list, and up again', async () => {
    const agent = await agentProgram();
    await using running = await startSidecar(`
agent:
  service: planner
  address: ${agent.address}
  ${CHECK}
  recovery: [{ after: 3, command: restart }]
  commands: { restart: ["${process.execPath}", "${agent.starter}"] }
`);
    await untilStatus(running, 'up');
    await agent.kill();
    await running.waitForEvent('agent-recovery');
    const [first] = running.eventsNamed('agent-recovery');
    expect(first).toMatchObject({ action: 'command restart', attempt: 1, failures: 3, result: 'succeeded' });
    await untilStatus(running, 'up');
    const changes = running.eventsNamed('agent-changed').map(({ to }) => to);
    expect(changes.slice(-5)).toEqual(['up', 'degraded', 'down', 'starting', 'up']);
    expect(await running.metric('outrigger_agent_status', { status: 'up' })).toBe(1);
    expect(
      await running.metric('outrigger_agent_recoveries_total', {
        action: 'command restart',
        result: 'succeeded',
      }),
    ).toBe(1);
    expect(await running.waitForLines(({ msg }) => msg === 'agent recovery')).toHaveLength(1);
  });

  it('ends the real sidecar with the exit code that was written, after its drain', async () => {
    await using nobody = await closedPort();
    const path = configFile(`
server: { listen: "127.0.0.1:0", admin: "127.0.0.1:0" }
agent:
  service: planner
  address: http://127.0.0.1:${nobody.port}
  check: { interval: 100ms, startGrace: 0ms }
  recovery: [{ after: 3, exit: 42 }]
`);
    await using sidecar = await runSidecar(['-c', path]);
    expect(await sidecar.child.waitForExit({ timeoutMs: 15_000 })).toEqual({ code: 42, signal: null });
    const lines = sidecar.child.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const messages = lines.map(({ msg }) => msg);
    expect(messages.indexOf('agent recovery')).toBeGreaterThan(messages.indexOf('started'));
    expect(messages.slice(messages.indexOf('recovery: stopping'))).toEqual(
      expect.arrayContaining(['recovery: stopping', 'draining', 'drained']),
    );
  });
});

describe('the registry of an agent', () => {
  const registered = (consul: string, more = ''): string => `
agent:
  service: planner
  id: planner-1
  address: http://127.0.0.1:9
  check: { interval: 50ms, startGrace: 0ms }
  drainDelay: 300ms
  register: { consul: { url: "${consul}", token: t }, heartbeat: 200ms, ttl: 2s }
${more}`;

  it('that lost its memory has the agent again with the next heartbeat', async () => {
    await using consul = await consulStub('t');
    await using running = await startSidecar(registered(consul.server.origin));
    await running.waitForEvent('agent-registered');
    consul.forget();
    await running.waitForEvent('agent-registered', 2);
    expect(running.eventsNamed('agent-registered').map(({ why }) => why)).toEqual(['new', 'forgotten']);
    expect(consul.services.has('planner-1')).toBe(true);
  });

  it('learns that the agent is down, and loses it first when the sidecar drains', async () => {
    await using consul = await consulStub('t');
    await using running = await startSidecar(registered(consul.server.origin));
    await untilStatus(running, 'down');
    while (consul.checks.get('service:planner-1') !== 'critical')
      await consul.server.waitFor(consul.server.heard.length + 1);
    const stopped = running.sidecar.stop();
    await running.waitForEvent('agent-deregistered');
    expect(consul.services.size).toBe(0);
    // Whoever still has the old list gets an answer.
    expect((await request(running.port, { path: '/nowhere' })).status).toBe(404);
    expect((await request(running.adminPort, { path: '/ready' })).status).toBe(503);
    expect(running.eventsNamed('drain-started')).toEqual([]);
    await stopped;
    expect(running.eventsNamed('drain-started')).toHaveLength(1);
  });

  it('of another sidecar has it as it is, again after a restart without its memory, and not after the drain', async () => {
    const startRegistry = (port: number): Promise<TestSidecar> =>
      startSidecar(`registry: { listen: "127.0.0.1:${port}", token: a-long-token }`);
    const registry = await startRegistry(0);
    const port = registry.sidecar.registry.view?.listen.port ?? 0;
    const statusIn = (one: TestSidecar): string | undefined =>
      one.sidecar.registry.catalog.entry('planner', 'planner-1')?.instance.status;
    await using running = await startSidecar(`
agent:
  service: planner
  id: planner-1
  address: http://127.0.0.1:9
  check: { interval: 50ms, startGrace: 0ms }
  drainDelay: 0ms
  register:
    registry: { url: "http://127.0.0.1:${port}", token: a-long-token }
    heartbeat: 200ms
    ttl: 2s
`);
    await running.waitForEvent('agent-registered');
    await untilStatus(running, 'down');
    for (let seen = 1; statusIn(registry) !== 'down'; seen++)
      await registry.waitForEvent('instance-changed', seen);
    await registry[Symbol.asyncDispose]();
    await running.waitForEvent('agent-registration-failed');
    // Somebody else may have the port for a moment, as the near end of a connection.
    await using again = await vi.waitFor(() => startRegistry(port), { timeout: 5_000, interval: 20 });
    await running.waitForEvent('agent-registered', 2);
    expect(statusIn(again)).toBe('down');
    await running.sidecar.stop();
    expect(statusIn(again)).toBeUndefined();
  });

  it('in its own sidecar has it, too, and forgets it when the section goes', async () => {
    const registry = 'registry: { listen: "127.0.0.1:0" }';
    const agent = 'agent: { service: planner, address: "http://127.0.0.1:9", register: { embedded: true } }';
    await using admin = await adminWith(`${registry}\n${agent}`);
    const { catalog } = admin.sidecar.registry;
    await expect.poll(() => catalog.size, POLL).toBe(1);
    expect(catalog.entry('planner', 'planner-127.0.0.1-9')?.instance).toMatchObject({ status: 'starting' });
    await admin.rewrite(registry);
    await admin.post('/admin/reload');
    await expect.poll(() => catalog.size, POLL).toBe(0);
  });

  it('that is away holds neither the start nor the end of the sidecar', async () => {
    await using nobody = await closedPort();
    await using running = await startSidecar(registered(`http://127.0.0.1:${nobody.port}`));
    await running.waitForEvent('agent-registration-failed');
    await running.sidecar.stop();
    expect(running.eventsNamed('agent-registration-failed').map(({ step }) => step)).toEqual([
      'register',
      'deregister',
    ]);
  });
});

describe('a reload', () => {
  const section = (weight: number, interval = '50ms'): string => `
agent:
  service: planner
  address: http://127.0.0.1:9
  weight: ${weight}
  check: { interval: ${interval}, startGrace: 0ms, fall: 2 }
`;

  it('that does not concern the agent leaves it alone; one that does lets its state go on', async () => {
    await using admin = await adminWith(section(1));
    const changes: string[] = [];
    admin.sidecar.bus.on('agent-changed', ({ to }) => changes.push(to));
    await expect.poll(() => admin.sidecar.agent.snapshot?.status, POLL).toBe('down');
    const before = admin.sidecar.agent.snapshot?.failures;
    await admin.rewrite(`${section(1)}\nlogging: { access: errors }`);
    expect((await admin.post('/admin/reload')).json).toMatchObject({ applied: true, changed: true });
    await admin.rewrite(section(7, '40ms'));
    expect((await admin.post('/admin/reload')).json).toMatchObject({ applied: true, changed: true });
    const { status, failures, weight } = admin.sidecar.agent.snapshot ?? {};
    expect([status, weight]).toEqual(['down', 7]);
    expect(failures).toBeGreaterThanOrEqual(before ?? 0);
    expect(changes.filter((to) => to === 'starting' || to === 'stopping')).toEqual([]);
    await admin.rewrite('logging: { access: errors }');
    await admin.post('/admin/reload');
    expect(admin.sidecar.agent.snapshot).toBeUndefined();
    expect(changes.at(-1)).toBe('stopping');
  });
});

describe('the admin plane', () => {
  it('shows the agent, and mentions it in /health without failing it', async () => {
    await using agent = await localServer((_heard, response) => response.writeHead(503).end());
    await using admin = await adminWith(`
agent:
  service: planner
  address: "${agent.origin}"
  zone: a
  check: { http: { path: /ready }, interval: 50ms, startGrace: 0ms, fall: 1 }
  recovery: [{ after: 900, exit: 3 }]
`);
    await agent.waitFor(2);
    expect((await admin.get('/admin/agent')).json).toMatchObject({
      service: 'planner',
      id: `planner-127.0.0.1-${new URL(agent.origin).port}`,
      address: agent.origin,
      zone: 'a',
      status: 'down',
      lastCheck: { result: 'failed', message: 'status 503, expected 2xx' },
      recovery: [{ action: 'exit', after: 900, runsInHour: 0, waitMs: 0 }],
    });
    const health = await admin.get('/health');
    expect(health.status).toBe(200);
    expect(health.json).toMatchObject({ status: 'ok', agent: { status: 'down' } });
    expect((await admin.get('/ready')).status).toBe(200);
  });

  it('has no agent to show where there is none', async () => {
    await using admin = await adminWith(IDLE_UPSTREAM);
    expect((await admin.get('/admin/agent')).json).toMatchObject({ status: 404, code: 'no_agent' });
    expect((await admin.get('/health')).json).not.toHaveProperty('agent');
  });
});
