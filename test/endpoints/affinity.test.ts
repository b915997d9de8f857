import { describe, expect, it } from 'vitest';
import { ConsistentHash } from '../../src/balancing/consistent-hash.ts';
import type { EndpointDescription } from '../../src/core/endpoint.ts';
import type { Exchange } from '../../src/core/exchange.ts';
import { seededRandom } from '../../src/core/random.ts';
import { openai } from '../../src/dialects/openai.ts';
import { mcp } from '../../src/dialects/mcp.ts';
import { affinityOf } from '../../src/endpoints/affinity.ts';
import type { EndpointSet } from '../../src/endpoints/endpoint-set.ts';
import { endpointSetOf, rosterOf } from '../support/endpoint-sets.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { attemptAt, bytesBody, exchangeAt, respond } from '../support/policy-kit.ts';
import type { ExchangeParts } from '../support/policy-kit.ts';

const clock = new FakeClock();

const asking = (parts: ExchangeParts['request'], more: ExchangeParts = {}): Exchange =>
  exchangeAt(clock, { ...more, request: parts ?? {} });

const prompting = (body: unknown): Exchange =>
  asking(
    { method: 'POST', target: '/v1/chat/completions' },
    { body: bytesBody(Buffer.from(JSON.stringify(body))), upstream: { dialect: openai } },
  );

const keyOf = (by: string, exchange: Exchange, prefix = 200): string | undefined =>
  affinityOf([by], prefix).keyOf(exchange);

describe('the key of a call', () => {
  it.each([
    ['header:X-User', { headers: ['x-user', 'ann'] }, 'ann'],
    ['cookie:sid', { headers: ['cookie', 'a=1; sid=s-7; b=2'] }, 's-7'],
    ['cookie:sid', { headers: ['cookie', 'xsid=1'] }, undefined],
    ['path:0', { target: '/tenants/7?x=/9' }, 'tenants'],
    ['path:1', { target: '/tenants/7?x=/9' }, '7'],
    ['path:2', { target: '/tenants/7?x=/9' }, undefined],
  ])('%s of %j', (by, request, expected) => {
    expect(keyOf(by, asking(request))).toBe(expected);
  });

  it('agent is the agent’s name', () => {
    expect(keyOf('agent', asking({}, { agentId: 'planner' }))).toBe('planner');
    expect(keyOf('agent', asking({}))).toBeUndefined();
  });

  it('session is the protocol’s own field', () => {
    const exchange = asking({ headers: ['Mcp-Session-Id', 'm-1'] }, { upstream: { dialect: mcp } });
    expect(keyOf('session', exchange)).toBe('m-1');
  });

  it('is the first of the list that the call has', () => {
    const { keyOf: key } = affinityOf(['header:x-user', 'path:0'], 10);
    expect(key(asking({ target: '/docs/1', headers: ['x-user', ''] }))).toBe('docs');
  });

  it('is looked for once', () => {
    const exchange = asking({ headers: ['x-user', 'ann'] });
    const { keyOf: key } = affinityOf(['header:x-user'], 10);
    expect([key(exchange), exchange.affinity]).toEqual(['ann', 'ann']);
    const without = asking({});
    expect([key(without), without.affinity]).toEqual([undefined, null]);
  });
});

describe('prompt', () => {
  const system = { role: 'system', content: 'You are a careful planner. '.repeat(20) };
  const turn = (n: number) => ({ role: 'user', content: `question ${n}` });

  it('stays the same while a conversation grows beyond the prefix', () => {
    const short = prompting({ model: 'm', messages: [system, turn(1)] });
    const long = prompting({ model: 'm', messages: [system, turn(1), turn(2), turn(3)] });
    expect(keyOf('prompt', short)).toBe(keyOf('prompt', long));
  });

  it.each(['messages', 'contents', 'input'])(
    'stays the same from the first turn of a short one on: %s',
    (part) => {
      const short = { role: 'system', content: 'Be brief.' };
      const after = (count: number): string | undefined => {
        const said = Array.from({ length: count }, (_, i) => [
          turn(i),
          { role: 'assistant', content: `answer ${i}` },
        ]);
        return keyOf(
          'prompt',
          prompting({ model: 'm', [part]: [short, ...said.flat(), turn(count)] }),
          4_096,
        );
      };
      expect(new Set([0, 1, 2, 5].map(after)).size).toBe(1);
      expect(after(0)).toContain('question 0');
    },
  );

  it('differs with the model, the tools and the beginning of the prompt', () => {
    const keys = [
      { model: 'm', messages: [system] },
      { model: 'n', messages: [system] },
      { model: 'm', tools: [{ name: 't' }], messages: [system] },
      { model: 'm', messages: [{ role: 'system', content: 'Something else' }] },
    ].map((body) => keyOf('prompt', prompting(body)));
    expect(new Set(keys).size).toBe(4);
  });

  it('needs a body that is JSON and holds a prompt', () => {
    expect(keyOf('prompt', prompting({ model: 'm' }))).toBeUndefined();
    expect(keyOf('prompt', asking({}))).toBeUndefined();
    expect(keyOf('prompt', asking({}, { body: bytesBody(Buffer.from('{"messages":')) }))).toBeUndefined();
  });
});

describe('a set with affinity', () => {
  const setOf = (
    endpoints: readonly EndpointDescription[],
    roster = rosterOf(clock),
    maxLoad = 1.25,
  ): EndpointSet =>
    endpointSetOf(endpoints, () => Promise.resolve(respond()), clock, {
      roster,
      affinity: {
        ...affinityOf(['header:x-user'], 10),
        balancer: new ConsistentHash(seededRandom(1), maxLoad),
      },
    });
  const three = [1, 2, 3].map((n) => ({ url: `http://e${n}.test` }));
  const of = (user: string): Exchange => asking({ headers: ['x-user', user] });
  const homeOf = (set: EndpointSet, user: string): string => set.pick(of(user))?.name ?? 'none';

  it('keeps calls of one key together, and leaves an endpoint that is not available', () => {
    const roster = rosterOf(clock);
    const set = setOf(three, roster);
    const home = homeOf(set, 'ann');
    expect(homeOf(set, 'ann')).toBe(home);
    roster.member(home).setEjected(true);
    expect(homeOf(set, 'ann')).not.toBe(home);
    roster.member(home).setEjected(false);
    expect(homeOf(set, 'ann')).toBe(home);
  });

  it('passes calls on once its home has more than its price', () => {
    const roster = rosterOf(clock);
    const set = setOf(three, roster);
    const home = homeOf(set, 'ann');
    roster.member(home).active = 10;
    const second = homeOf(set, 'ann');
    expect(second).not.toBe(home);
    expect(homeOf(set, 'ann')).toBe(second);
  });

  it('another try goes to the key’s second endpoint', () => {
    const set = setOf(three);
    const exchange = of('ann');
    const first = set.pick(exchange);
    if (first) attemptAt(clock, exchange, first.endpoint);
    const second = set.pick(exchange);
    expect(second?.name).not.toBe(first?.name);
  });
});

describe('zone', () => {
  const endpoints = [
    { url: 'http://a1.test', zone: 'a' },
    { url: 'http://a2.test', zone: 'a' },
    { url: 'http://b1.test', zone: 'b' },
  ];
  const rig = () => {
    const roster = rosterOf(clock);
    const options = {
      panicThreshold: 0,
      slowStart: { windowMs: 0, from: 1 },
      zone: { here: 'a', maxActive: 5 },
    };
    const set = endpointSetOf(endpoints, () => Promise.resolve(respond()), clock, { roster, options });
    const asked = (): Set<string> =>
      new Set(Array.from({ length: 6 }, () => set.pick(asking({}))?.endpoint.host.slice(0, 2) ?? 'none'));
    return { roster, asked };
  };

  it('asks those here first', () => {
    expect(rig().asked()).toEqual(new Set(['a1', 'a2']));
  });

  it('asks the others, too, once those here have enough to do', () => {
    const { roster, asked } = rig();
    roster.member('http://a1.test').active = 9;
    expect(asked()).toEqual(new Set(['a1', 'a2']));
    roster.member('http://a2.test').active = 1;
    expect(asked()).toEqual(new Set(['a1', 'a2', 'b1']));
  });

  it('asks the others when none here is available', () => {
    const { roster, asked } = rig();
    roster.member('http://a1.test').setHealth('unhealthy');
    roster.member('http://a2.test').setEjected(true);
    expect(asked()).toEqual(new Set(['b1']));
  });
});
