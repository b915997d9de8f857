/** What endpoints are called while lists change, where several share one address. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RoundRobin } from '../../src/balancing/round-robin.ts';
import type { EndpointDescription } from '../../src/core/endpoint.ts';
import { EndpointSet } from '../../src/endpoints/endpoint-set.ts';
import { ChangingSource } from '../support/changing-source.ts';
import { endpointSetOf, rosterOf } from '../support/endpoint-sets.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { respond } from '../support/policy-kit.ts';

const URL = 'http://a.test';
const WAY = {
  send: () => Promise.resolve(respond()),
  connections: () => ({ connected: 0, free: 0, running: 0 }),
};

function rig(...first: readonly EndpointDescription[]) {
  const clock = new FakeClock();
  const source = new ChangingSource();
  source.become(...first);
  const roster = rosterOf(clock);
  const set = new EndpointSet({
    ...{ source, roster, balancer: new RoundRobin(), now: () => clock.now(), reach: () => WAY },
  });
  set.takeOver();
  /** Name and state by what tells them apart. */
  const all = (): string[] =>
    set.members.map(({ endpoint: { instance, basePath, metadata, name }, member }) => {
      const who = instance ?? metadata['model'] ?? basePath;
      return `${who} ${name.slice(URL.length)} ${member.state}`;
    });
  return { clock, source, roster, set, all };
}

const instance = (id: string): EndpointDescription => ({ url: URL, instance: id });
const at = (path: string): EndpointDescription => ({ url: URL + path });
const model = (name: string): EndpointDescription => ({ url: URL, metadata: { model: name } });

describe('endpoints that share an origin', () => {
  it.each([
    ['instances', instance],
    ['base paths', at],
    ['metadata', model],
  ])('are told apart by their %s: who stays keeps name and state when another goes', (_, one) => {
    const { source, set, all } = rig(one('/x'), one('/y'));
    set.members[0]?.member.operate('draining');
    set.members[1]?.member.setEjected(true);
    expect(all()).toEqual(['/x  draining', '/y #2 ejected']);
    source.become(one('/y'));
    expect(all()).toEqual(['/y #2 ejected']);
    source.become(one('/z'), one('/y'));
    expect(all()).toEqual(['/z  available', '/y #2 ejected']);
  });

  it('keep their names whatever the order of the list', () => {
    const { source, all } = rig(instance('x'), instance('y'), instance('z'));
    source.become(instance('z'), instance('x'), instance('y'));
    expect(all()).toEqual(['z #3 available', 'x  available', 'y #2 available']);
  });

  it('do not get the name of one that goes with the same change', () => {
    const { source, set, all } = rig(instance('x'), instance('y'));
    set.members[0]?.member.operate('disabled');
    source.become(instance('y'), instance('z'));
    expect(all()).toEqual(['y #2 available', 'z #3 available']);
  });

  it('are the same in a reload', () => {
    const { clock, roster, set } = rig(at('/x'), at('/y'));
    set.members[1]?.member.operate('draining');
    const next = endpointSetOf([at('/y'), at('/z')], WAY.send, clock, { roster });
    set.dispose();
    next.takeOver();
    expect(next.members.map(({ name, member }) => [name, member.state])).toEqual([
      [`${URL}#2`, 'draining'],
      [`${URL}#3`, 'available'],
    ]);
  });

  it('that nothing tells apart are numbered as they stand', () => {
    const { source, all } = rig(at('/x'), at('/x'));
    source.become(at('/x'), at('/x'), at('/x'));
    expect(all()).toEqual(['/x  available', '/x #2 available', '/x #3 available']);
  });
});

describe('an endpoint that is alone at its origin', () => {
  it('is the same one when it is described in another way', () => {
    const { source, set, all } = rig(instance('x'));
    set.members[0]?.member.operate('draining');
    source.become({ ...instance('y'), metadata: { model: 'm' }, weight: 3 });
    expect(all()).toEqual(['y  draining']);
  });

  it('keeps its address for a name when it is found elsewhere there', () => {
    const { source, set, all } = rig(at('/x'));
    set.members[0]?.member.setEjected(true);
    source.become(at('/y'));
    expect(all()).toEqual(['/y  available']);
    source.become(at('/z'), at('/y'));
    expect(all()).toEqual(['/z #2 available', '/y  available']);
  });
});

it('whatever the lists, names differ, stay with their instances, and are no more than two lists need', () => {
  const list = fc.uniqueArray(fc.constantFrom(...'abcdefgh'), { maxLength: 5 });
  fc.assert(
    fc.property(fc.array(list, { minLength: 1, maxLength: 12 }), (lists) => {
      const { source, set } = rig();
      let before = new Map<string | undefined, string>();
      for (const ids of lists) {
        source.become(...ids.map(instance));
        const now = new Map(set.members.map(({ endpoint, name }) => [endpoint.instance, name]));
        expect(new Set(now.values()).size).toBe(ids.length);
        const isAlone = before.size === 1 && now.size === 1;
        for (const [id, name] of now) if (!isAlone && before.has(id)) expect(name).toBe(before.get(id));
        const numbers = [...now.values()].map((name) => Number(name.split('#')[1] ?? 1));
        expect(Math.max(0, ...numbers)).toBeLessThanOrEqual(10);
        before = now;
      }
    }),
  );
});
