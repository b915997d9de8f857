import { describe, expect, it } from 'vitest';
import { ConsistentHash } from '../../src/balancing/consistent-hash.ts';
import { seededRandom } from '../../src/core/random.ts';
import { affinityOf } from '../../src/endpoints/affinity.ts';
import { balancerOf } from '../../src/runtime/balancers.ts';
import { ALGORITHMS } from '../../src/schema/balance.ts';
import { endpointSetOf } from '../support/endpoint-sets.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { exchangeAt, respond } from '../support/policy-kit.ts';

const clock = new FakeClock();

const weightless = ['a', 'b', 'c'].map((name) => ({ url: `http://${name}.test`, weight: 0 }));

describe('endpoints of which none has a weight', () => {
  it.each(ALGORITHMS)('share the calls evenly: %s', (algorithm) => {
    const balancer = balancerOf(algorithm, seededRandom(2));
    const set = endpointSetOf(weightless, () => Promise.resolve(respond()), clock, { balancer });
    const counts = new Map<string, number>();
    for (let i = 0; i < 600; i++) {
      const name = set.pick(exchangeAt(clock))?.name ?? 'none';
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    expect(counts.size).toBe(3);
    for (const count of counts.values()) expect(Math.abs(count - 200)).toBeLessThan(60);
  });

  it('share the keys, too', () => {
    const affinity = {
      ...affinityOf(['header:x-user'], 10),
      balancer: new ConsistentHash(seededRandom(1), Number.POSITIVE_INFINITY),
    };
    const set = endpointSetOf(weightless, () => Promise.resolve(respond()), clock, { affinity });
    const homes = Array.from(
      { length: 60 },
      (_, i) => set.pick(exchangeAt(clock, { request: { headers: ['x-user', `u${i}`] } }))?.name,
    );
    expect(new Set(homes).size).toBe(3);
  });
});
