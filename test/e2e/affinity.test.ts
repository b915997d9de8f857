/** What keeps calls together, over a real sidecar and real endpoints: every kind of key, and endpoints that come and go. */
import { describe, expect, it } from 'vitest';
import { ownSidecar } from '../incidents/own-sidecar.ts';
import type { OwnSidecar } from '../incidents/own-sidecar.ts';
import { request } from '../support/raw-client.ts';
import type { RequestInit } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import type { ScriptedUpstream } from '../support/scripted-upstream.ts';
import { respondWith } from '../support/steps/answers.ts';

const KEYS = Array.from({ length: 8 }, (_, i) => `k${i}`);

class Group implements AsyncDisposable {
  readonly upstreams: ScriptedUpstream[] = [];

  /** Endpoints that answer with their number. */
  static async of(count: number, headers: Readonly<Record<string, string>> = {}): Promise<Group> {
    const group = new Group();
    for (let i = 0; i < count; i++)
      group.upstreams.push(
        await scriptedUpstream([
          respondWith(() => ({ body: String(i), headers: { 'content-type': 'text/plain', ...headers } })),
        ]),
      );
    return group;
  }

  yaml(count: number, settings: string): string {
    const endpoints = this.upstreams.slice(0, count).map(({ origin }) => `{ url: "${origin}" }`);
    return `upstreams: { api: { route: /api, endpoints: [${endpoints.join(', ')}], ${settings} } }\n`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const upstream of this.upstreams) await upstream[Symbol.asyncDispose]();
  }
}

async function homeOf(own: OwnSidecar, init: RequestInit): Promise<string> {
  const response = await request(own.port, init);
  expect(response.status).toBe(200);
  return response.text();
}

const chat = (key: string, turns: number): RequestInit => ({
  method: 'POST',
  path: '/api/v1/chat/completions',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({
    model: 'm',
    messages: [
      { role: 'system', content: `You are ${key}. ${'Be careful. '.repeat(20)}` },
      ...Array.from({ length: turns }, (_, i) => ({ role: 'user', content: `turn ${i}` })),
    ],
  }),
});

const KINDS: readonly [string, string, (key: string, nth: number) => RequestInit][] = [
  ['header:x-user', '', (key) => ({ path: '/api/x', headers: { 'X-User': key } })],
  ['cookie:sid', '', (key, nth) => ({ path: '/api/x', headers: { cookie: `n=${nth}; sid=${key}` } })],
  ['path:1', '', (key, nth) => ({ path: `/api/tenants/${key}?n=${nth}` })],
  ['agent', '', (key) => ({ path: '/api/x', headers: { 'x-agent-id': key } })],
  ['session', 'dialect: mcp, ', (key) => ({ path: '/api/x', headers: { 'mcp-session-id': key } })],
  ['prompt', 'dialect: generic, ', (key, nth) => chat(key, nth)],
];

describe('calls with the same key go to the same endpoint, and keys to different ones', () => {
  it.each(KINDS)('%s', async (by, dialect, call) => {
    await using group = await Group.of(4);
    const settings = `${dialect}balance: { affinity: { by: ["${by}"], prefix: 128B } }`;
    await using own = await ownSidecar(group.yaml(4, settings));
    const homes = new Map<string, string>();
    for (let nth = 1; nth <= 3; nth++)
      for (const key of KEYS) {
        const home = await homeOf(own, call(key, nth));
        expect(homes.get(key) ?? home).toBe(home);
        homes.set(key, home);
      }
    expect(new Set(homes.values()).size).toBeGreaterThan(1);
  });
});

it('a reload that adds an endpoint moves only keys that the new one gets, and one that takes it away moves them back', async () => {
  await using group = await Group.of(4);
  const settings = 'balance: { affinity: { by: ["header:x-user"] } }';
  await using own = await ownSidecar(group.yaml(3, settings));
  const keys = Array.from({ length: 24 }, (_, i) => `user-${i}`);
  const homes = async (): Promise<string[]> => {
    const all: string[] = [];
    for (const key of keys) all.push(await homeOf(own, { path: '/api/x', headers: { 'x-user': key } }));
    return all;
  };
  const before = await homes();
  await own.edit(group.yaml(4, settings));
  const grown = await homes();
  const moved = grown.filter((home, i) => home !== before[i]);
  expect(new Set(moved)).toEqual(new Set(['3']));
  await own.edit(group.yaml(3, settings));
  expect(await homes()).toEqual(before);
});

it('an MCP session stays with the endpoint that opened it, without being configured', async () => {
  await using group = await Group.of(3);
  for (const [i, upstream] of group.upstreams.entries())
    upstream.play([
      respondWith(({ rawHeaders }) => {
        const session = rawHeaders.find(([name]) => name.toLowerCase() === 'mcp-session-id')?.[1];
        return {
          body: String(i),
          headers: { 'mcp-session-id': session ?? `opened-at-${i}-${own.clock.now()}` },
        };
      }),
    ]);
  await using own = await ownSidecar(group.yaml(3, 'dialect: mcp'));
  for (let n = 0; n < 3; n++) {
    const opened = await request(own.port, { path: '/api/mcp' });
    const [home, session = ''] = [await opened.text(), opened.header('mcp-session-id')];
    for (let call = 0; call < 4; call++)
      expect(await homeOf(own, { path: '/api/mcp', headers: { 'mcp-session-id': session } })).toBe(home);
    await own.clock.advance(1);
  }
});
