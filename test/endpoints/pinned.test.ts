import { describe, expect, it } from 'vitest';
import { selectEndpoint } from '../../src/endpoints/select-endpoint.ts';
import { Subsets } from '../../src/endpoints/subset.ts';
import { subsetSchema } from '../../src/schema/subset.ts';
import { endpointSetOf, rosterOf } from '../support/endpoint-sets.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { attemptAt, exchangeAt, identity, respond } from '../support/policy-kit.ts';

const clock = new FakeClock();

function rig() {
  const roster = rosterOf(clock);
  const subsets = new Subsets(subsetSchema.parse({ rules: [{ value: 'nobody-has-it' }] }));
  const send = () => Promise.resolve(respond());
  const urls = ['http://a.test', 'http://b.test', 'http://c.test'];
  return { roster, set: endpointSetOf(urls, send, clock, { roster, subsets }) };
}

const toB = () => exchangeAt(clock, { pinnedTo: 'http://b.test' });

describe('a call that names its endpoint', () => {
  it('goes there with every try, whatever else is said of the calls', () => {
    const { set } = rig();
    const exchange = toB();
    for (let n = 0; n < 4; n++) {
      const picked = set.pick(exchange);
      expect(picked?.name).toBe('http://b.test');
      if (picked) attemptAt(clock, exchange, picked.endpoint);
    }
  });

  it.each(['ejected', 'unhealthy', 'draining'] as const)('goes there although it is %s', (state) => {
    const { set, roster } = rig();
    const member = roster.member('http://b.test');
    if (state === 'ejected') member.setEjected(true);
    else if (state === 'unhealthy') member.setHealth('unhealthy');
    else member.operate(state);
    expect(set.pick(toB())?.name).toBe('http://b.test');
  });

  it('goes nowhere while an operator has taken it out', () => {
    const { set, roster } = rig();
    roster.member('http://b.test').operate('disabled');
    expect(set.pick(toB())).toBeUndefined();
    expect(set.whyNone(toB())).toEqual({
      reason: 'no_endpoint',
      detail: 'the endpoint that the request names is disabled',
    });
  });

  it.each(['', 'b.test', 'http://B.test', 'http://b.test, http://c.test', '__proto__'])(
    'goes nowhere when nobody is called %j',
    (pinnedTo) => {
      const exchange = exchangeAt(clock, { pinnedTo });
      const { set } = rig();
      expect(set.pick(exchange)).toBeUndefined();
      expect(set.whyNone(exchange)).toEqual({ reason: 'unknown_endpoint' });
    },
  );

  it('is refused in a way that no other try can mend', async () => {
    const deps = { clock, emit: () => undefined, upstream: 'main' };
    const select = selectEndpoint(rig().set, ({ verdict }) => verdict, deps);
    const exchange = exchangeAt(clock, { pinnedTo: 'x' });
    expect(await select(exchange, exchange.cancellation)).toMatchObject({
      kind: 'rejection',
      reason: 'unknown_endpoint',
      verdict: { class: 'permanent' },
    });
    expect(exchange.attempts).toEqual([]);
  });
});

describe('the name', () => {
  it('stays with the call at its upstream, and means nothing at another', () => {
    const exchange = toB();
    expect(exchange.variedBy({}).pinnedTo).toBe('http://b.test');
    expect(exchange.redirectedTo(exchange.upstream, exchange.request).pinnedTo).toBe('http://b.test');
    expect(exchange.redirectedTo(identity('other'), exchange.request).pinnedTo).toBeUndefined();
    expect(exchange.variedBy({ pinnedTo: 'c' }).pinnedTo).toBe('c');
  });
});
