/** Several keys for one upstream, over real connections: who is asked with which key, and what the caller sees of it. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Sidecar } from '../../src/sidecar.ts';
import { temporaryDirectory } from '../cli/fixture.ts';
import { apiAt, ownSidecar } from '../incidents/own-sidecar.ts';
import type { OwnSidecar } from '../incidents/own-sidecar.ts';
import { keyedUpstream } from '../support/keyed-upstream.ts';
import { request } from '../support/raw-client.ts';
import { respond } from '../support/steps/answers.ts';
import { holdResponse } from '../support/steps/hold-response.ts';

const throttled = (seconds: number) => respond({ status: 429, headers: { 'retry-after': String(seconds) } });
const POOL = 'credentials: { values: [Bearer k1, Bearer k2] }, ';
const POST = { method: 'POST', body: '{}' } as const;

const callAll = async (own: OwnSidecar, count: number): Promise<number[]> => {
  const statuses: number[] = [];
  for (let n = 0; n < count; n++) statuses.push((await own.send(POST)).status);
  return statuses;
};

describe('a key that is turned away', () => {
  it('for its rate is followed by another at once, unseen by the caller, and rests', async () => {
    await using api = await keyedUpstream({ k1: throttled(30) });
    await using own = await ownSidecar(apiAt(api.origin, POOL));
    const response = await own.send(POST);
    expect([response.status, await response.text()]).toEqual([200, 'fine']);
    expect(response.header('x-outrigger-attempts')).toBe('2');
    expect(own.events.of('retry-scheduled')).toMatchObject([{ cause: 'throttled', delayMs: 0 }]);
    expect(await callAll(own, 4)).toEqual([200, 200, 200, 200]);
    expect(api.seen).toEqual({ k1: 1, k2: 5 });
    expect(await own.series('outrigger_credential_state{upstream="api",credential="key-1"')).toEqual([
      'outrigger_credential_state{upstream="api",credential="key-1",state="ready"} 0',
      'outrigger_credential_state{upstream="api",credential="key-1",state="cooling"} 1',
      'outrigger_credential_state{upstream="api",credential="key-1",state="out"} 0',
    ]);
    await own.clock.advance(30_000);
    api.treat.clear();
    await callAll(own, 2);
    expect(api.seen).toEqual({ k1: 2, k2: 6 });
  });

  it.each([
    ['401', respond({ status: 401 })],
    ['402, which another key does not get', respond({ status: 402 })],
  ])('for good (%s) is out, unseen by the caller, until an operator says otherwise', async (_, step) => {
    await using api = await keyedUpstream({ k1: step });
    await using own = await ownSidecar(apiAt(api.origin, POOL));
    expect(await callAll(own, 5)).toEqual([200, 200, 200, 200, 200]);
    expect(api.seen).toEqual({ k1: 1, k2: 5 });
    const port = own.sidecar.admin.address()?.port ?? 0;
    const json = { 'content-type': 'application/json', host: `127.0.0.1:${port}` };
    const path = '/admin/upstreams/api/credentials';
    const reset = await request(port, { method: 'POST', path, headers: json, body: '{"reset":"key-1"}' });
    expect(JSON.parse(await reset.text())).toMatchObject({ keys: [{ name: 'key-1', state: 'ready' }, {}] });
    api.treat.clear();
    await callAll(own, 2);
    expect(api.seen).toEqual({ k1: 2, k2: 6 });
  });

  it('at one endpoint is not tried at another: the keys are the upstream’s', async () => {
    await using first = await keyedUpstream({ k1: respond({ status: 401 }) });
    await using second = await keyedUpstream({ k1: respond({ status: 401 }) });
    await using own = await ownSidecar(
      `upstreams: { api: { route: /api, endpoints: [{ url: "${first.origin}" }, { url: "${second.origin}" }], ${POOL} } }`,
    );
    expect(await callAll(own, 6)).toEqual([200, 200, 200, 200, 200, 200]);
    expect((first.seen['k1'] ?? 0) + (second.seen['k1'] ?? 0)).toBe(1);
  });

  it('is not followed by another where retrying is switched off, but is out for the next call', async () => {
    await using api = await keyedUpstream({ k1: respond({ status: 401 }) });
    await using own = await ownSidecar(apiAt(api.origin, `${POOL} policies: { retry: false }`));
    expect(await callAll(own, 3)).toEqual([401, 200, 200]);
  });
});

describe('all keys at rest', () => {
  it('send nothing, and say when the first can be used', async () => {
    await using api = await keyedUpstream({ k1: throttled(40), k2: throttled(50) });
    await using own = await ownSidecar(apiAt(api.origin, POOL));
    expect((await own.send(POST)).status).toBe(429);
    await own.clock.advance(5_000);
    const refused = await own.send(POST);
    expect([refused.status, refused.header('x-outrigger-code')]).toEqual([429, 'credentials_cooling']);
    expect([refused.header('retry-after'), refused.header('x-outrigger-attempts')]).toEqual(['35', '0']);
    expect(api.seen).toEqual({ k1: 1, k2: 1 });
    expect(await own.series('outrigger_credential_missing_total')).toEqual([
      'outrigger_credential_missing_total{upstream="api",reason="credentials_cooling"} 1',
    ]);
  });

  it('are waited for where that is not too long', async () => {
    await using api = await keyedUpstream({ k1: throttled(3), k2: throttled(5) });
    await using own = await ownSidecar(apiAt(api.origin, POOL));
    const first = own.send(POST);
    await own.until('retry-scheduled', 2);
    const second = own.send(POST);
    const waits = await own.until('retry-scheduled', 3);
    expect(waits.map(({ delayMs }) => delayMs)).toEqual([0, 3_000, 3_000]);
    api.treat.clear();
    await own.clock.advance(3_000);
    expect([(await first).status, (await second).status]).toEqual([200, 200]);
    expect(api.seen).toEqual({ k1: 3, k2: 1 });
  });
});

describe('all keys out', () => {
  it('lead to the ladder without asking again, and the next upstream gets its own key only', async () => {
    await using api = await keyedUpstream({ k1: respond({ status: 401 }), k2: respond({ status: 401 }) });
    await using spare = await keyedUpstream();
    const ladder = `${POOL} policies: { fallback: [{ upstream: spare }] }`;
    const other = `spare: { route: /spare, endpoints: [{ url: "${spare.origin}" }], credentials: { header: x-api-key, value: own } }`;
    await using own = await ownSidecar(apiAt(api.origin, ladder, other));
    expect(await callAll(own, 4)).toEqual([200, 200, 200, 200]);
    expect([api.seen, spare.seen]).toEqual([{ k1: 1, k2: 1 }, { own: 4 }]);
    const sent = JSON.stringify(spare.upstream.requests.map(({ rawHeaders }) => rawHeaders));
    expect(sent).not.toMatch(/k1|k2|Bearer/);
    expect(own.events.of('fallback-taken').at(-1)).toMatchObject({ trigger: 'no_credential' });
  });
});

describe('many calls at once', () => {
  it('that find a key throttled together make no storm', async () => {
    const held = holdResponse(throttled(20));
    await using api = await keyedUpstream({ k1: held });
    await using own = await ownSidecar(apiAt(api.origin, POOL));
    const calls = Array.from({ length: 40 }, () => own.send(POST));
    await held.waitForHeld(20);
    held.release();
    const statuses = (await Promise.all(calls)).map(({ status }) => status);
    const { k1 = 0, k2 = 0 } = api.seen;
    expect(k1).toBe(20);
    // Everybody once, and as many again as the retry budget allows.
    expect(k2).toBeLessThanOrEqual(20 + 3 + 8);
    expect(statuses.filter((status) => status === 200)).toHaveLength(k2);
    expect(own.events.of('credential-cooling')).toHaveLength(1);
  });
});

describe('a key in a file', () => {
  it('is used with the next request once it is rotated, and the others keep what was learnt of them', async () => {
    await using api = await keyedUpstream({ old: respond({ status: 401 }), k2: throttled(600) });
    const folder = temporaryDirectory();
    const file = join(folder, 'key');
    writeFileSync(file, 'old\n');
    const config = join(folder, 'outrigger.yaml');
    const values = `["Bearer \${file:key}", Bearer k2, Bearer k3]`;
    writeFileSync(config, apiAt(api.origin, `credentials: { values: ${values} }`));
    const sets = ['server.listen=127.0.0.1:0', 'server.admin=127.0.0.1:0'];
    const input = { files: [config], env: {}, sets };
    const sidecar = await Sidecar.start({ input, watch: true, logTo: join(folder, 'log') });
    try {
      const port = sidecar.dataPlane.address()?.port ?? 0;
      const send = async (): Promise<number> => (await request(port, { path: '/api/x' })).status;
      expect([await send(), await send()]).toEqual([200, 200]);
      expect(api.seen).toEqual({ old: 1, k2: 1, k3: 2 });
      const applied = new Promise<void>((resolve) => sidecar.bus.on('config-applied', () => resolve()));
      writeFileSync(`${file}.new`, 'new\n');
      renameSync(`${file}.new`, file);
      await applied;
      for (let n = 0; n < 4; n++) expect(await send()).toBe(200);
      expect(api.seen).toEqual({ old: 1, k2: 1, k3: 4, new: 2 });
    } finally {
      await sidecar.close();
    }
  });
});
