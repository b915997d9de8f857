import { describe, expect, it } from 'vitest';
import type { EventName } from '../../src/core/events.ts';
import { Discovered, MAX_ENDPOINTS } from '../../src/discovery/discovered.ts';
import type { ListSink } from '../../src/discovery/kind.ts';
import { FakeClock } from '../support/fake-clock.ts';

function rig() {
  const clock = new FakeClock();
  const events: [EventName, unknown][] = [];
  let list: ListSink | undefined;
  const calls: string[] = [];
  const found = new Discovered({
    clock,
    emit: (name, event) => void events.push([name, event]),
    upstream: 'u',
    kind: 'test',
    build: (sink) => {
      list = sink;
      return { start: () => void calls.push('start'), dispose: () => void calls.push('dispose') };
    },
  });
  return { clock, events, found, calls, list: list as ListSink, names: () => events.map(([name]) => name) };
}

const A = { url: 'http://a.test/base' };
const B = { url: 'http://b.test' };

describe('a list that is discovered', () => {
  it('has a new version when something changed, and only then', () => {
    const { found, list, events } = rig();
    list.replace([A, B]);
    const { version } = found;
    list.replace([A, { ...B }]);
    expect(found.version).toBe(version);
    list.replace([A, { ...B, weight: 2 }]);
    list.replace([{ ...B, weight: 2 }]);
    expect(found.version).toBe(version + 2);
    expect(events.map(([, event]) => event)).toEqual([
      { upstream: 'u', added: ['http://a.test', 'http://b.test'], removed: [], endpoints: 2 },
      { upstream: 'u', added: [], removed: [], endpoints: 2 },
      { upstream: 'u', added: [], removed: ['http://a.test'], endpoints: 1 },
    ]);
  });

  it('takes the first of those with one address, and an empty list for one', () => {
    const { found, list } = rig();
    list.replace([{ ...A, weight: 1 }, { ...A, weight: 2 }, { url: `${A.url}/` }, B]);
    expect(found.endpoints).toEqual([{ ...A, weight: 1 }, B]);
    list.replace([]);
    expect(found.endpoints).toEqual([]);
  });

  it('stays while its source is away; that is told once, and so is its end', async () => {
    const { clock, found, list, names, events } = rig();
    list.replace([A]);
    list.failed('first');
    await clock.advance(2_000);
    list.failed('second');
    expect(found.endpoints).toEqual([A]);
    expect(found.status).toEqual({ kind: 'test', endpoints: 1, ageMs: 2_000, failure: 'second' });
    list.replace([A]);
    expect(names()).toEqual(['discovery-changed', 'discovery-failed', 'discovery-recovered']);
    expect(events.at(-1)?.[1]).toEqual({ upstream: 'u', kind: 'test', awayMs: 2_000 });
    expect(found.status).toEqual({ kind: 'test', endpoints: 1, ageMs: 0, failure: undefined });
  });

  it('is not taken over when it is a mistake', () => {
    const { found, list } = rig();
    list.replace([A]);
    list.replace(Array.from({ length: MAX_ENDPOINTS + 1 }, (_, i) => ({ url: `http://a.test:${i}` })));
    expect(found.endpoints).toEqual([A]);
    expect(found.status.failure).toBe('expected at most 10000 endpoints, got 10001');
  });

  it('has none whose URL is none, whoever found it: no call would get through', () => {
    const { found, list, events } = rig();
    list.replace([{ url: 'http://a b:1', instance: 'i' }, A]);
    expect(found.endpoints).toEqual([A]);
    expect(events[0]?.[1]).toMatchObject({ count: 1, entries: ['i: its URL is none'] });
  });

  it('is there when the first list is, an empty one included', async () => {
    const { found, list } = rig();
    let there = false;
    void found.first.then(() => (there = true));
    list.failed('not yet');
    await Promise.resolve();
    expect(there).toBe(false);
    list.replace([]);
    await found.first;
    expect(there).toBe(true);
  });

  it('outlives the process, and is not taken for newer than what was found', () => {
    const before = rig();
    expect(before.found.capture()).toBeUndefined();
    before.list.replace([{ ...A, status: 'draining', instance: 'i' }, B]);
    const saved = JSON.parse(JSON.stringify(before.found.capture())) as unknown;
    const after = rig();
    expect(after.found.restore(saved)).toBe(true);
    expect(after.found.endpoints).toMatchObject([{ ...A, status: 'draining', instance: 'i' }, B]);
    expect(after.found.status.ageMs).toBeUndefined();
    const later = rig();
    later.list.replace([B]);
    expect(later.found.restore(saved)).toBe(true);
    expect(later.found.endpoints).toEqual([B]);
  });

  it.each([
    ['no list', {}],
    ['no addresses', [{ url: 'file:///etc' }]],
    ['nothing', null],
  ])('takes %s for what it is', (_, saved) => {
    const { found } = rig();
    expect(found.restore(saved)).toBe(false);
    expect(found.endpoints).toEqual([]);
  });

  it('is begun once, and hears nothing after its end', async () => {
    const { found, list, calls, names } = rig();
    found.start();
    found.start();
    found.dispose();
    found.start();
    list.replace([A]);
    list.failed('no');
    await found.first;
    expect([calls, names(), found.endpoints]).toEqual([['start', 'dispose'], [], []]);
  });
});
