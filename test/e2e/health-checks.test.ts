/** Active checks of a whole sidecar: endpoints leave and come back by themselves, over reloads, and nothing is refused meanwhile. */
import { describe, expect, it } from 'vitest';
import { ownSidecar } from '../incidents/own-sidecar.ts';
import type { OwnSidecar } from '../incidents/own-sidecar.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import type { ScriptedUpstream } from '../support/scripted-upstream.ts';
import { respond, respondWith } from '../support/steps/answers.ts';
import { stall } from '../support/steps/silence.ts';

const QUICK = 'interval: 10s, jitter: 0, rise: 2, fall: 3';
const HTTP = `http: { path: /healthz }, ${QUICK}`;

/** Answers calls always, and checks as `health` says. */
const agent = (name: string, health: { status: number }) =>
  respondWith((request) =>
    request.target === '/healthz' ? { status: health.status } : { body: name, headers: { 'x-agent': name } },
  );

const yaml = (upstreams: readonly ScriptedUpstream[], check: string, more = ''): string => {
  const endpoints = upstreams.map(({ origin }) => `{ url: "${origin}" }`).join(', ');
  return `upstreams: { api: { route: /api, endpoints: [${endpoints}], healthCheck: { ${check} }, ${more} } }\n`;
};

async function whoAnswers(own: OwnSidecar, calls = 6): Promise<string> {
  const names = new Set<string>();
  for (let n = 0; n < calls; n++) names.add(await (await own.send()).text());
  return [...names].sort().join('');
}

/** Moves time in small steps, so that checks on real sockets can end in between, until `count` such events are there. */
async function pass(own: OwnSidecar, to: string, count: number): Promise<void> {
  for (let step = 0; step < 120; step++) {
    if (own.events.of('health-changed').filter((event) => event.to === to).length >= count) return;
    const before = own.events.of('health-checked').length;
    await own.clock.advance(500);
    await expect
      .poll(() => own.events.of('health-checked').length - before, { interval: 1, timeout: 15 })
      .toBeGreaterThan(0)
      .catch(() => undefined);
  }
  throw new Error(`no ${count} changes to ${to}`);
}

describe('endpoints that are checked', () => {
  it('leave the rotation after `fall` failures and rejoin after `rise` successes', async () => {
    const health = { status: 200 };
    await using a = await scriptedUpstream([agent('a', health)]);
    await using b = await scriptedUpstream([agent('b', { status: 200 })]);
    await using own = await ownSidecar(yaml([a, b], HTTP));
    await pass(own, 'healthy', 2);
    expect(await whoAnswers(own)).toBe('ab');
    health.status = 503;
    await pass(own, 'unhealthy', 1);
    expect(await whoAnswers(own)).toBe('b');
    expect(own.events.of('health-changed').at(-1)).toMatchObject({
      endpoint: a.origin,
      to: 'unhealthy',
      detail: 'status 503, expected 2xx',
    });
    health.status = 200;
    await pass(own, 'healthy', 3);
    expect(await whoAnswers(own)).toBe('ab');
    expect(own.events.of('health-check-failed')).toHaveLength(1);
  });

  it('leave when they die, and rejoin when they are back', async () => {
    await using a = await scriptedUpstream([agent('a', { status: 200 })]);
    await using b = await scriptedUpstream([agent('b', { status: 200 })]);
    await using own = await ownSidecar(yaml([a, b], `tcp: {}, ${QUICK}`));
    await pass(own, 'healthy', 2);
    await a.kill();
    await pass(own, 'unhealthy', 1);
    expect(await whoAnswers(own)).toBe('b');
    await a.restart();
    await pass(own, 'healthy', 3);
    expect(await whoAnswers(own)).toBe('ab');
  });

  it('are given calls before the first check has ended: nothing is refused for want of one', async () => {
    const answering = respondWith((request) => ({ body: request.target }));
    await using a = await scriptedUpstream([stall(), answering]);
    await using own = await ownSidecar(yaml([a], HTTP));
    await a.waitForRequest(1);
    expect([(await own.send()).status, own.events.of('panic-changed')]).toEqual([200, []]);
    expect(await own.series('outrigger_upstream_panic')).toEqual([
      'outrigger_upstream_panic{upstream="api"} 0',
    ]);
  });

  it('are shown with what was found', async () => {
    await using a = await scriptedUpstream([agent('a', { status: 200 })]);
    await using own = await ownSidecar(yaml([a], HTTP));
    await pass(own, 'healthy', 1);
    const { port } = own.sidecar.admin.address()!;
    const shown = (await (await fetch(`http://127.0.0.1:${port}/admin/upstreams/api`)).json()) as {
      endpoints: { check: Record<string, unknown> }[];
    };
    expect(shown.endpoints[0]?.check).toMatchObject({
      result: 'ok',
      detail: 'status 200',
      successes: 1,
      failures: 0,
    });
    expect(shown.endpoints[0]?.check['at']).toMatch(/^2026-01-01T/);
    expect(await own.series('outrigger_health_check')).toEqual(
      expect.arrayContaining([
        'outrigger_health_checks_total{upstream="api",result="ok"} 1',
        `outrigger_health_check_passing{upstream="api",endpoint="${a.origin}"} 1`,
      ]),
    );
  });
});

describe('a reload', () => {
  it('keeps what was found; only switching checks off forgets it', async () => {
    const health = { status: 503 };
    await using a = await scriptedUpstream([agent('a', health)]);
    await using b = await scriptedUpstream([agent('b', { status: 200 })]);
    await using own = await ownSidecar(yaml([a, b], `${HTTP}, startGrace: 0s`));
    await pass(own, 'unhealthy', 1);
    expect((await own.edit(yaml([a, b], `${HTTP}, startGrace: 0s`, 'forwarded: true'))).changed).toBe(true);
    expect(await whoAnswers(own)).toBe('b');
    expect((await own.edit(yaml([a, b], `${HTTP}, startGrace: 0s, timeout: 2s`))).changed).toBe(true);
    expect(await whoAnswers(own)).toBe('b');
    const checks = own.events.of('health-checked').length;
    await own.edit(yaml([a, b], HTTP).replace(/healthCheck: \{[^}]*\}[^}]*\}/, 'healthCheck: false'));
    expect(await whoAnswers(own)).toBe('ab');
    await own.clock.advance(60_000);
    expect(own.events.of('health-checked')).toHaveLength(checks);
    expect(await own.series('outrigger_health_check_passing')).not.toContain('{');
  });

  it('that is refused starts no checks', async () => {
    await using a = await scriptedUpstream([respond()]);
    await using own = await ownSidecar(
      `upstreams: { api: { route: /api, endpoints: [{ url: "${a.origin}" }] } }`,
    );
    const armed = own.clock.pendingTimers;
    const refused = await own.edit(
      yaml([a], HTTP, 'policies: { fallback: [{ static: { file: /there/is/none } }] }'),
    );
    expect(refused.applied).toBe(false);
    expect([own.clock.pendingTimers, a.requests.length]).toEqual([armed, 0]);
  });
});

it('the end of the sidecar ends checks that are under way', async () => {
  await using a = await scriptedUpstream([stall()]);
  const own = await ownSidecar(yaml([a], HTTP));
  await a.waitForRequest(1);
  await own.sidecar.close();
  await a.waitForOpenConnections(0);
  expect(own.clock.pendingTimers).toBe(0);
});
