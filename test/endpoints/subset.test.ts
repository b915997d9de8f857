import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EndpointDescription } from '../../src/core/endpoint.ts';
import type { Exchange } from '../../src/core/exchange.ts';
import { mcp } from '../../src/dialects/mcp.ts';
import type { EndpointSet } from '../../src/endpoints/endpoint-set.ts';
import type { Roster } from '../../src/endpoints/roster.ts';
import { Subsets } from '../../src/endpoints/subset.ts';
import { subsetSchema } from '../../src/schema/subset.ts';
import { endpointSetOf, rosterOf } from '../support/endpoint-sets.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { attemptAt, bytesBody, exchangeAt, respond } from '../support/policy-kit.ts';
import type { ExchangeParts } from '../support/policy-kit.ts';

const clock = new FakeClock();

type Parts = Omit<EndpointDescription, 'url'>;

const urlOf = (name: string): string => `http://${name}.test`;

interface Rig {
  readonly set: EndpointSet;
  readonly roster: Roster;
  /** First letters of those that calls of this kind go to, over many of them. */
  readonly goTo: (parts?: ExchangeParts) => string;
}

function rig(endpoints: Readonly<Record<string, Parts>>, options: unknown): Rig {
  const roster = rosterOf(clock);
  const set = endpointSetOf(
    Object.entries(endpoints).map(([name, part]) => ({ url: urlOf(name), ...part })),
    () => Promise.resolve(respond()),
    clock,
    { roster, subsets: new Subsets(subsetSchema.parse(options)) },
  );
  const goTo = (parts: ExchangeParts = {}): string => {
    const names = [1, 2, 3, 4, 5, 6].map(() => set.pick(exchangeAt(clock, parts))?.endpoint.host[0] ?? '');
    return [...new Set(names)].sort().join('');
  };
  return { set, roster, goTo };
}

const can = (capabilities: string): Parts => ({ metadata: { capabilities } });

const needs = (value: string): ExchangeParts => ({ request: { headers: ['X-Required-Capability', value] } });

const BY_HEADER = { rules: [{ from: 'header:x-required-capability' }] };

const THREE = { a: can('vision, ocr'), b: can('vision'), c: {} };

describe('what a call needs', () => {
  it('is nothing while no rule fits it: it may go anywhere', () => {
    expect(rig(THREE, BY_HEADER).goTo()).toBe('abc');
    expect(rig(THREE, BY_HEADER).goTo(needs(' , '))).toBe('abc');
  });

  it.each([
    ['vision', 'ab'],
    ['ocr', 'a'],
    ['vision,ocr', 'a'],
    ['ocr , vision , ocr', 'a'],
    ['Vision', ''],
    ['vis', ''],
    ['vision*', ''],
  ])('as a field says, %j: %j has all of it', (value, who) => {
    expect(rig(THREE, BY_HEADER).goTo(needs(value))).toBe(who);
  });

  it('is what several fields of that name say together', () => {
    const headers = ['x-required-capability', 'vision', 'X-Required-Capability', 'ocr'];
    expect(rig(THREE, BY_HEADER).goTo({ request: { headers } })).toBe('a');
  });

  it('is what a segment of the path says', () => {
    const tenants = { a: { metadata: { tenant: 'red, blue' } }, b: { metadata: { tenant: 'green' } } };
    const { goTo } = rig(tenants, { rules: [{ from: 'path:1', metadata: 'tenant' }] });
    expect(goTo({ request: { target: '/v1/blue/things?x=/green' } })).toBe('a');
    expect(goTo({ request: { target: '/v1/green' } })).toBe('b');
    expect(goTo({ request: { target: '/v1' } })).toBe('ab');
  });

  it('is what a rule says of calls with such a path', () => {
    const { goTo } = rig(THREE, {
      rules: [{ value: ['vision', 'ocr'], when: { path: ['/images/*', '/scan'] } }],
    });
    expect(goTo({ request: { target: '/images/1?size=2' } })).toBe('a');
    expect(goTo({ request: { target: '/scan' } })).toBe('a');
    expect(goTo({ request: { target: '/text' } })).toBe('abc');
  });

  it('is the agent that calls', () => {
    const { goTo } = rig(
      { a: { metadata: { for: 'me' } }, b: {} },
      { rules: [{ from: 'agent', metadata: 'for' }] },
    );
    expect(goTo({ agentId: 'me' })).toBe('a');
    expect(goTo({ agentId: 'you' })).toBe('');
  });

  it('is all that the rules say together', () => {
    const endpoints = {
      a: { metadata: { capabilities: 'ocr', tier: 'gold' } },
      b: { metadata: { capabilities: 'ocr', tier: 'tin' } },
      c: { metadata: { tier: 'gold' } },
    };
    const rules = [{ from: 'header:x-need' }, { value: 'gold', metadata: 'tier', when: { path: '/fast*' } }];
    const { goTo } = rig(endpoints, { rules });
    const headers = ['x-need', 'ocr'];
    expect(goTo({ request: { headers, target: '/fast' } })).toBe('a');
    expect(goTo({ request: { headers, target: '/slow' } })).toBe('ab');
    expect(goTo({ request: { target: '/fast' } })).toBe('ac');
  });
});

describe('the tool that is called', () => {
  const calls = (name: string): ExchangeParts => {
    const json = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name } };
    return {
      upstream: { dialect: mcp },
      request: { method: 'POST', target: '/mcp' },
      body: bytesBody(Buffer.from(JSON.stringify(json))),
    };
  };
  const endpoints = { a: { metadata: { tools: 'ocr_*, scan' } }, b: { metadata: { tools: '*' } }, c: {} };
  const options = { rules: [{ from: 'tool', metadata: 'tools' }] };

  it.each([
    ['ocr_page', 'ab'],
    ['scan', 'ab'],
    ['search', 'b'],
  ])('%s goes to %s, whose metadata may have patterns', (tool, who) => {
    expect(rig(endpoints, options).goTo(calls(tool))).toBe(who);
  });

  it('may also be told by a rule', () => {
    const rules = [{ value: 'vision', when: { tool: 'ocr_*', method: 'tools/call' } }];
    expect(rig(THREE, { rules }).goTo(calls('ocr_page'))).toBe('ab');
    expect(rig(THREE, { rules }).goTo(calls('search'))).toBe('abc');
  });

  it('must be read before an endpoint is chosen, and only then the body is waited for', () => {
    expect(rig({ a: {} }, options).set.needsBody).toBe(true);
    expect(rig(THREE, BY_HEADER).set.needsBody).toBe(false);
    expect(rig(THREE, { rules: [{ value: 'x', when: { model: 'm' } }] }).set.needsBody).toBe(true);
    expect(rig(THREE, { rules: [{ value: 'x', when: { path: '/m' } }] }).set.needsBody).toBe(false);
  });
});

describe('where nobody has it', () => {
  it('the call is refused, and told what is missing', () => {
    const { set } = rig(THREE, BY_HEADER);
    expect(set.whyNone(exchangeAt(clock, needs('audio,vision')))).toEqual({
      reason: 'no_endpoint',
      detail: 'nobody has what is needed: capabilities audio, vision',
    });
  });

  it('anybody is asked, where that is allowed', () => {
    expect(rig(THREE, { ...BY_HEADER, otherwise: 'any' }).goTo(needs('audio'))).toBe('abc');
  });

  it.each(['__proto__', 'constructor'])('%s is a key like any other', (metadata) => {
    expect(rig(THREE, { rules: [{ value: 'x', metadata }] }).goTo()).toBe('');
  });
});

describe('states', () => {
  it.each([
    ['refuse', 'ab'],
    ['any', 'c'],
  ])('while none of those who have it is well, %s asks %s', (otherwise, who) => {
    const { roster, goTo } = rig(THREE, { ...BY_HEADER, otherwise });
    for (const name of ['a', 'b']) roster.member(urlOf(name)).setEjected(true);
    expect(goTo(needs('vision'))).toBe(who);
    roster.member(urlOf('b')).setEjected(false);
    expect(goTo(needs('vision'))).toBe('b');
  });

  it('what an operator took out is not asked for what it has', () => {
    const { roster, goTo } = rig(THREE, BY_HEADER);
    roster.member(urlOf('a')).operate('disabled');
    expect(goTo(needs('ocr'))).toBe('');
    roster.member(urlOf('a')).operate('enabled');
    expect(goTo(needs('ocr'))).toBe('a');
  });

  it('priorities count among those who have it', () => {
    const endpoints = { a: {}, b: { ...can('ocr'), priority: 1 }, c: { ...can('ocr'), priority: 2 } };
    const { roster, goTo } = rig(endpoints, BY_HEADER);
    expect(goTo(needs('ocr'))).toBe('b');
    roster.member(urlOf('b')).setHealth('unhealthy');
    expect(goTo(needs('ocr'))).toBe('c');
  });

  it('another try goes to another one that has it, and to the same again rather than to one that has not', () => {
    const { set } = rig(THREE, BY_HEADER);
    const tries = (exchange: Exchange): string =>
      [1, 2, 3]
        .map(() => {
          const picked = set.pick(exchange);
          if (picked) attemptAt(clock, exchange, picked.endpoint);
          return picked?.endpoint.host[0];
        })
        .join('');
    expect(['aba', 'bab']).toContain(tries(exchangeAt(clock, needs('vision'))));
    expect(tries(exchangeAt(clock, needs('ocr')))).toBe('aaa');
  });
});

describe('whatever clients write', () => {
  it('they get those that have all of it, and what is remembered stays bounded', () => {
    const endpoints = Object.fromEntries(
      [...'abcdefgh'].map((name, i) => [name, can([1, 2, 4].filter((bit) => i & bit).join(','))]),
    );
    const { set } = rig(endpoints, BY_HEADER);
    const value = fc.constantFrom('1', '2', '4', '3', 'x', '', ' ', '1 ');
    fc.assert(
      fc.property(fc.array(value, { maxLength: 6 }), (values) => {
        const wanted = new Set(values.map((one) => one.trim()).filter((one) => one !== ''));
        const picked = set.pick(exchangeAt(clock, needs(values.join(','))));
        const having = Object.values(endpoints).filter(({ metadata = {} }) =>
          [...wanted].every((one) => (metadata['capabilities'] ?? '').split(',').includes(one)),
        );
        if (having.length === 0) expect(picked).toBeUndefined();
        else for (const one of wanted) expect(picked?.endpoint.metadata['capabilities']).toContain(one);
      }),
    );
    for (let n = 0; n < 2_000; n++) set.pick(exchangeAt(clock, needs(`${n}`)));
    expect(set.pick(exchangeAt(clock, needs('x'.repeat(5_000))))).toBeUndefined();
    expect(set.pick(exchangeAt(clock, needs('1,2,4')))?.endpoint.host).toBe('h.test');
  });
});

describe('the section', () => {
  it.each([
    [{ rules: [] }],
    [{ rules: [{}] }],
    [{ rules: [{ from: 'tool', value: 'x' }] }],
    [{ rules: [{ from: 'cookie:x' }] }],
    [{ rules: [{ value: 'x', when: {} }] }],
    [{ rules: [{ value: [] }] }],
  ])('refuses %j', (options) => {
    expect(subsetSchema.safeParse(options).success).toBe(false);
  });
});
