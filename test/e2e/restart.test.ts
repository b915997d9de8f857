/** A real sidecar that is killed, or told to stop, and started again: what it had learnt, it knows. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configFile, runSidecar } from '../cli/fixture.ts';
import type { RunningSidecar } from '../cli/fixture.ts';
import type { RawResponse } from '../support/client/raw-response.ts';
import { request } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import type { ScriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';

const FILE = 'outrigger-state.json';

interface Place {
  readonly dir: string;
  readonly config: string;
}

/** `failing` opens its breaker and spends its budget; `keyed` has two keys. The directory is named as its file sees it. */
function placeFor(failing: ScriptedUpstream, keyed: ScriptedUpstream, interval = '50ms'): Place {
  const config = configFile(`
server: { listen: '127.0.0.1:0', admin: '127.0.0.1:0' }
state: { dir: state, interval: ${interval} }
upstreams:
  failing:
    route: /failing
    endpoints: [{ url: '${failing.origin}' }]
    policies:
      retry: { maxRetries: 1, backoff: { initial: 1ms, max: 1ms }, budget: { ratio: 0, floor: 2, window: 5m } }
      circuitBreaker: { consecutiveFailures: 4, openFor: 2m }
  keyed:
    route: /keyed
    endpoints: [{ url: '${keyed.origin}' }]
    credentials: { values: [sk-first-secret, sk-second-secret] }
    policies: { retry: false }
`);
  return { config, dir: join(dirname(config), 'state') };
}

const ask = (sidecar: RunningSidecar, path: string): Promise<RawResponse> => request(sidecar.port, { path });

interface Shown {
  readonly name: string;
  readonly state: Readonly<Record<string, unknown>>;
}

/** What the admin plane shows of a policy. */
async function shown(sidecar: RunningSidecar, upstream: string, policy: string): Promise<Shown['state']> {
  const answer = await fetch(`${sidecar.adminUrl}/admin/upstreams/${upstream}`);
  const { policies } = (await answer.json()) as { readonly policies: readonly Shown[] };
  return policies.find(({ name }) => name === policy)?.state ?? {};
}

/** Two calls, each retried once: four failures open the breaker, and the budget is spent. One key is throttled. */
async function learn(sidecar: RunningSidecar): Promise<void> {
  await ask(sidecar, '/failing');
  await ask(sidecar, '/failing');
  await ask(sidecar, '/keyed');
  expect((await ask(sidecar, '/failing')).header('x-outrigger-code')).toBe('circuit_open');
}

async function expectLearnt(sidecar: RunningSidecar, failing: ScriptedUpstream): Promise<void> {
  const refused = await ask(sidecar, '/failing');
  expect(refused.header('x-outrigger-code')).toBe('circuit_open');
  expect(failing.requests).toHaveLength(4);
  const breaker = await shown(sidecar, 'failing', 'circuit-breaker');
  expect(breaker).toMatchObject({ state: 'open', openings: 1, failures: 4 });
  // Two minutes and a tenth at most, less what passed since.
  expect(breaker['openForMs']).toBeLessThan(132_000);
  expect(breaker['openForMs']).toBeGreaterThan(60_000);
  expect(await shown(sidecar, 'failing', 'retry')).toMatchObject({ budgetRemaining: 0 });
  const { keys } = await shown(sidecar, 'keyed', 'credentials');
  expect(keys).toMatchObject([{ state: 'cooling' }, { state: 'ready' }]);
}

const stateIn = ({ dir }: Place): string => readFileSync(join(dir, FILE), 'utf8');

async function stages(): Promise<{ failing: ScriptedUpstream; keyed: ScriptedUpstream } & AsyncDisposable> {
  const failing = await scriptedUpstream([respond({ status: 503 })]);
  const keyed = await scriptedUpstream([respond({ status: 429, headers: { 'retry-after': '600' } })]);
  return {
    failing,
    keyed,
    [Symbol.asyncDispose]: async () => {
      await failing[Symbol.asyncDispose]();
      await keyed[Symbol.asyncDispose]();
    },
  };
}

const run = ({ config }: Place): Promise<RunningSidecar> => runSidecar(['-c', config]);

describe('a sidecar with state.dir', () => {
  it('that was killed knows after its start what it had learnt, and so does one beside it, which does not write', async () => {
    await using upstreams = await stages();
    const place = placeFor(upstreams.failing, upstreams.keyed);
    {
      await using killed = await run(place);
      await learn(killed);
      await expect.poll(() => stateIn(place), { interval: 5, timeout: 5_000 }).toContain('"cooling"');
      await expect.poll(() => stateIn(place), { interval: 5, timeout: 5_000 }).toContain('"openings":1');
      killed.child.signal('SIGKILL');
      expect(await killed.child.waitForExit()).toMatchObject({ signal: 'SIGKILL' });
    }
    await using again = await run(place);
    await again.child.waitForLine(/"msg":"state restored"/);
    await expectLearnt(again, upstreams.failing);
    // The lock of the dead process is in nobody's way; that of a living one is.
    expect(again.child.stdout).not.toContain('belongs to another process');
    await using second = await run(place);
    const line = await second.child.waitForLine(/"msg":"state belongs to another process"/);
    expect(JSON.parse(line.input)).toMatchObject({ pid: again.child.pid });
    await expectLearnt(second, upstreams.failing);
  });

  it('that is killed a moment after an operator disabled an endpoint does not ask it when it is back', async () => {
    await using upstreams = await stages();
    const place = placeFor(upstreams.failing, upstreams.keyed, '1h');
    {
      await using killed = await run(place);
      await expect.poll(() => stateIn(place), { interval: 5, timeout: 5_000 }).toContain('"parts":{}');
      const answer = await fetch(`${killed.adminUrl}/admin/upstreams/failing/endpoints`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ endpoint: upstreams.failing.origin, state: 'disable' }),
      });
      expect(answer.status).toBe(200);
      await expect.poll(() => stateIn(place), { interval: 5, timeout: 5_000 }).toContain('"disabled"');
      killed.child.signal('SIGKILL');
      expect(await killed.child.waitForExit()).toMatchObject({ signal: 'SIGKILL' });
    }
    await using again = await run(place);
    expect((await ask(again, '/failing')).header('x-outrigger-code')).toBe('no_endpoint');
    expect(upstreams.failing.requests).toEqual([]);
  });

  it('that was told to stop writes at the end, and tells nobody its keys', async () => {
    await using upstreams = await stages();
    const place = placeFor(upstreams.failing, upstreams.keyed, '1h');
    {
      await using stopped = await run(place);
      await learn(stopped);
      stopped.child.signal('SIGTERM');
      expect(await stopped.child.waitForExit()).toMatchObject({ code: 0 });
    }
    expect(readdirSync(place.dir)).toEqual([FILE]);
    expect(stateIn(place)).not.toMatch(/sk-|secret/);
    await using again = await run(place);
    await expectLearnt(again, upstreams.failing);
  });

  it('that finds half a snapshot starts without, says so, and keeps what it found', async () => {
    await using upstreams = await stages();
    const place = placeFor(upstreams.failing, upstreams.keyed);
    const half = '{"format":"outrigger-state","version":1,"wallMs":1795252800123,"insta';
    mkdirSync(place.dir);
    writeFileSync(join(place.dir, FILE), half);
    await using sidecar = await run(place);
    const line = await sidecar.child.waitForLine(/"msg":"state cannot be read; starting without"/);
    const { to, why } = JSON.parse(line.input) as { to: string; why: string };
    expect([why, readFileSync(to, 'utf8')]).toEqual(['corrupt', half]);
    expect((await ask(sidecar, '/keyed')).status).toBe(429);
    const events = await (await fetch(`${sidecar.adminUrl}/admin/events`)).text();
    expect(events).toContain('state-set-aside');
  });

  it.runIf(spawnSync('prlimit', ['--version']).status === 0)(
    'serves on where the disk is full, keeps the snapshot it had, and writes as soon as there is room',
    async () => {
      await using upstreams = await stages();
      const place = placeFor(upstreams.failing, upstreams.keyed);
      await using sidecar = await run(place);
      await expect.poll(() => stateIn(place), { interval: 5, timeout: 5_000 }).toContain('"parts":{}');
      const before = stateIn(place);
      const allow = (bytes: string): unknown =>
        spawnSync('prlimit', ['--pid', `${sidecar.child.pid}`, `--fsize=${bytes}:`]);
      // No file may be larger: writing fails in the middle, as on a full disk.
      allow('64');
      await learn(sidecar);
      await sidecar.child.waitForLine(/"msg":"state is not written"/);
      expect(stateIn(place)).toBe(before);
      expect((await ask(sidecar, '/keyed')).status).toBe(429);
      allow('unlimited');
      await sidecar.child.waitForLine(/"msg":"state is written again"/);
      expect(stateIn(place)).toContain('"openings":1');
      expect(sidecar.child.stdout.match(/"msg":"state is not written"/g)).toHaveLength(1);
      expect(readdirSync(place.dir).sort()).toEqual([FILE, 'outrigger-state.lock']);
    },
  );
});
