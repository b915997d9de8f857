/** A real sidecar with a registry that is told to stop, and killed, and started again: its instances are there. */
import { dirname, join } from 'node:path';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { configFile, runSidecar } from '../cli/fixture.ts';
import type { RunningSidecar } from '../cli/fixture.ts';
import { ask, pathOf } from '../registry/fixture.ts';
import type { Asked } from '../registry/fixture.ts';
import { request } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';

const POLL = { interval: 10, timeout: 10_000 };
const TTL_MS = 600_000;

async function registryOf({ adminUrl }: RunningSidecar): Promise<number> {
  const answer = await fetch(`${adminUrl}/admin/registry`);
  const { listen } = (await answer.json()) as { listen: { port: number } };
  return listen.port;
}

const show = (port: number, id: string): Promise<Asked> => ask(port, 'GET', pathOf(id));
const beat = (port: number, id: string): Promise<Asked> =>
  ask(port, 'POST', `${pathOf(id)}/heartbeat`, { body: {} });

it('keeps instances with what is left of their leases and one more, and the dead dead, until they are heard', async () => {
  await using agent = await scriptedUpstream([respond({ status: 200 })]);
  const config = configFile(`
server: { listen: '127.0.0.1:0', admin: '127.0.0.1:0' }
state: { dir: state, interval: 50ms }
registry: { listen: '127.0.0.1:0', sweepInterval: 100ms, retention: 1h }
upstreams: { search: { route: /search, discovery: { registry: { service: search } }, policies: { retry: false } } }
`);
  const start = (): Promise<RunningSidecar> => runSidecar(['-c', config]);
  const body = { url: agent.origin, metadata: { tool: 'ünï' }, zone: 'x', ttlMs: TTL_MS };
  {
    await using first = await start();
    const port = await registryOf(first);
    await ask(port, 'PUT', pathOf('alive'), { body });
    await ask(port, 'PUT', pathOf('dead'), { body: { url: 'http://127.0.0.1:9', ttlMs: 1_000 } });
    await expect.poll(async () => (await show(port, 'dead')).json['status'], POLL).toBe('down');
    first.child.signal('SIGTERM');
    expect(await first.child.waitForExit()).toMatchObject({ code: 0 });
  }
  {
    await using second = await start();
    const port = await registryOf(second);
    const { json } = await show(port, 'alive');
    expect(json).toMatchObject({ status: 'up', url: agent.origin, zone: 'x', metadata: { tool: 'ünï' } });
    expect(json['expiresInMs']).toBeGreaterThan(TTL_MS * 1.8);
    expect(json['expiresInMs']).toBeLessThanOrEqual(TTL_MS * 2);
    expect((await show(port, 'dead')).json).toMatchObject({ status: 'down', expired: true });
    // By nothing but what came back.
    expect((await request(second.port, { path: '/search' })).status).toBe(200);
    expect((await beat(port, 'alive')).status).toBe(200);
    expect((await show(port, 'alive')).json['expiresInMs']).toBeLessThanOrEqual(TTL_MS);
    expect((await beat(port, 'nobody')).status).toBe(404);
    await ask(port, 'PUT', pathOf('late'), { body });
    const state = join(dirname(config), 'state', 'outrigger-state.json');
    await expect.poll(() => readFileSync(state, 'utf8'), POLL).toContain('"late"');
    second.child.signal('SIGKILL');
    expect(await second.child.waitForExit()).toMatchObject({ signal: 'SIGKILL' });
  }
  await using third = await start();
  const port = await registryOf(third);
  const seen = await Promise.all(['alive', 'late', 'dead'].map((id) => show(port, id)));
  expect(seen.map(({ json }) => json['status'])).toEqual(['up', 'up', 'down']);
  expect((await beat(port, 'dead')).json).toMatchObject({ status: 'up' });
}, 40_000);
