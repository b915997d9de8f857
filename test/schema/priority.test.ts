import { describe, expect, it } from 'vitest';
import { prioritySchema, rankOf } from '../../src/schema/priority.ts';
import { exchangeAt } from '../support/policy-kit.ts';

const options = prioritySchema.parse({
  ranks: { urgent: 5, normal: 0, low: -3 },
  agents: { Nightly: 'LOW', desk: 'urgent' },
  routes: { '/batch': 'low' },
});

const rank = (said?: string, agentId?: string, route = '/main'): number =>
  rankOf(
    exchangeAt({ now: () => 0 }, { agentId, route, request: { headers: said ? ['X-Priority', said] : [] } }),
    options,
  );

describe('rankOf', () => {
  it("goes by the call's own word, in any case", () => {
    expect(rank(' Urgent ')).toBe(5);
    expect(rank('low', 'desk')).toBe(-3);
  });

  it('goes by the agent, then by the route, where the call says nothing known', () => {
    expect(rank(undefined, 'Nightly')).toBe(-3);
    expect(rank('first-class', 'desk')).toBe(5);
    expect(rank(undefined, 'desk', '/batch')).toBe(5);
    expect(rank(undefined, 'somebody', '/batch')).toBe(-3);
    expect(rank(undefined, undefined, '/batch')).toBe(-3);
  });

  it('goes by the default for everybody else, whatever they call themselves', () => {
    expect(rank()).toBe(0);
    for (const name of ['constructor', '__proto__', 'toString']) expect(rank(name, name, name)).toBe(0);
  });
});
