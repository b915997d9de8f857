import { describe, expect, it } from 'vitest';
import { leave, take } from '../support/restart.ts';
import { catalogWith, registration, statuses } from './fixture.ts';

describe('leases', () => {
  it('hold for the TTL after each sign of life, and no longer than a sweep after it', async () => {
    const { catalog, clock, events } = catalogWith();
    catalog.register(registration('a'));
    await clock.advance(29_999);
    catalog.sweep();
    expect(statuses(catalog)).toEqual(['a up']);
    catalog.heartbeat('search', 'a');
    await clock.advance(29_999);
    catalog.sweep();
    expect(statuses(catalog)).toEqual(['a up']);
    await clock.advance(1);
    catalog.sweep();
    expect(statuses(catalog)).toEqual(['a down']);
    expect(events.of('instance-expired')).toEqual([
      { service: 'search', instance: 'a', here: true, silentMs: 30_000 },
    ]);
  });

  it('of one that was down for the retention are forgotten, and it must register anew', async () => {
    const { catalog, clock, events } = catalogWith({ retention: '1m' });
    catalog.register(registration('a'));
    await clock.advance(30_000);
    catalog.sweep();
    await clock.advance(60_000);
    catalog.sweep();
    expect(catalog.size).toBe(0);
    expect(catalog.heartbeat('search', 'a')).toBeUndefined();
    expect(events.of('instance-left')).toEqual([
      { service: 'search', instance: 'a', here: true, reason: 'expired' },
    ]);
    await clock.advance(60_000);
    catalog.sweep();
    expect(catalog.services).toEqual([]);
  });

  it('come back with a heartbeat: the instance is what it said of itself', async () => {
    const { catalog, clock } = catalogWith();
    catalog.register(registration('a', { status: 'degraded' }));
    await clock.advance(30_000);
    catalog.sweep();
    expect(statuses(catalog)).toEqual(['a down']);
    catalog.heartbeat('search', 'a');
    expect(statuses(catalog)).toEqual(['a degraded']);
    catalog.sweep();
    expect(statuses(catalog)).toEqual(['a degraded']);
  });
});

describe('a registration', () => {
  it('that says the same again renews the lease and changes nothing', async () => {
    const { catalog, clock, events } = catalogWith();
    const said = registration('a', { zone: 'x', metadata: { tools: 'web' } });
    expect(catalog.register(said)).toMatchObject({ ok: true, created: true });
    const { revision } = catalog;
    await clock.advance(20_000);
    expect(catalog.register({ ...said, metadata: { ...said.metadata } })).toMatchObject({
      ok: true,
      created: false,
    });
    expect(catalog.revision).toBe(revision);
    expect(catalog.entry('search', 'a')?.expiresAt).toBe(clock.now() + 30_000);
    expect(events.names).toEqual(['instance-registered']);
  });

  it('that says something else replaces all that was said', () => {
    const { catalog, events } = catalogWith();
    catalog.register(registration('a', { zone: 'x', weight: 3, metadata: { tools: 'web' } }));
    catalog.register(registration('a', { status: 'stopping' }));
    expect(catalog.instancesOf('search')).toMatchObject([
      { status: 'stopping', weight: 1, zone: undefined, metadata: {} },
    ]);
    expect(events.of('instance-changed')).toMatchObject([{ from: 'up', to: 'stopping' }]);
  });

  it('that does not fit takes the place of whoever is down longest, and else is refused', async () => {
    const { catalog, clock, events } = catalogWith({ maxInstances: 2 });
    catalog.register(registration('a'));
    catalog.register(registration('b'));
    expect(catalog.register(registration('c'))).toEqual({ ok: false, limit: 'maxInstances' });
    expect(events.of('registry-full')).toHaveLength(1);
    await clock.advance(10_000);
    catalog.heartbeat('search', 'b');
    await clock.advance(20_000);
    catalog.sweep();
    expect(catalog.register(registration('c'))).toMatchObject({ ok: true });
    expect(statuses(catalog)).toEqual(['b up', 'c up']);
    expect(events.of('instance-left')).toMatchObject([{ instance: 'a', reason: 'evicted' }]);
  });

  it('that does not fit is told of with its number, and how many it were when nobody was refused for a minute', async () => {
    const { catalog, clock, events } = catalogWith({ maxInstances: 1 });
    catalog.register(registration('a', { ttlMs: 3_600_000 }));
    for (const id of ['b', 'c', 'b']) {
      catalog.register(registration(id));
      await clock.advance(1_000);
    }
    expect(events.of('registry-full').map(({ refused }) => refused)).toEqual([1, 2, 3]);
    await clock.advance(58_999);
    catalog.sweep();
    expect(events.of('registry-not-full')).toEqual([]);
    await clock.advance(1);
    for (let sweep = 0; sweep < 2; sweep++) catalog.sweep();
    expect(events.of('registry-not-full')).toEqual([{ limit: 'maxInstances', refused: 3, lastedMs: 2_000 }]);
    catalog.register(registration('b'));
    expect(events.of('registry-full').at(-1)).toMatchObject({ refused: 1 });
  });

  it('of one more service than there may be takes the place of one in which nobody lives', async () => {
    const { catalog, clock, events } = catalogWith({ maxServices: 1 });
    for (const id of ['a', 'b']) catalog.register(registration(id));
    await clock.advance(30_000);
    catalog.sweep();
    catalog.heartbeat('search', 'b');
    const other = registration('a', { service: 'other' });
    expect(catalog.register(other)).toEqual({ ok: false, limit: 'maxServices' });
    await clock.advance(30_000);
    catalog.sweep();
    expect(catalog.register(other)).toMatchObject({ ok: true, created: true });
    expect(events.of('instance-left').map(({ reason }) => reason)).toEqual(['evicted', 'evicted']);
    expect([catalog.size, catalog.services.map(({ name }) => name)]).toEqual([1, ['other']]);
  });

  it('of one more service than there may be is refused until one is empty', () => {
    const { catalog } = catalogWith({ maxServices: 1 });
    catalog.register(registration('a'));
    const other = registration('a', { service: 'other' });
    expect(catalog.register(other)).toEqual({ ok: false, limit: 'maxServices' });
    catalog.deregister('search', 'a');
    expect(catalog.register(other)).toMatchObject({ ok: true, created: true });
    expect(catalog.services.map(({ name }) => name)).toEqual(['other']);
  });
});

describe('statistics', () => {
  it('count what happened to a service, and age with it', async () => {
    const { catalog, clock } = catalogWith();
    catalog.register(registration('a'));
    catalog.register(registration('b', { status: 'starting' }));
    catalog.register(registration('c'));
    catalog.heartbeat('search', 'a');
    catalog.deregister('search', 'c');
    await clock.advance(10_000);
    catalog.heartbeat('search', 'a');
    await clock.advance(25_000);
    catalog.sweep();
    expect(catalog.service('search')?.statistics(clock.now())).toEqual({
      ...{ service: 'search', instances: 2, registrations: 3, deregistrations: 1 },
      ...{ heartbeats: 2, expiries: 1, ageMs: 35_000 },
      byStatus: { up: 1, starting: 0, degraded: 0, stopping: 0, down: 1 },
    });
  });
});

describe('a restart', () => {
  it('gives everybody the rest of the lease and a whole one more, and does not raise the dead', async () => {
    const { catalog, clock } = catalogWith();
    catalog.register(registration('dead'));
    await clock.advance(30_000);
    catalog.sweep();
    catalog.register(registration('alive', { zone: 'x', weight: 2, metadata: { tools: 'web' } }));
    await clock.advance(10_000);
    const left = leave({ part: catalog, clock });

    const next = catalogWith();
    expect(take(left, { part: next.catalog, clock: next.clock }, 5_000)).toBe(true);
    expect(statuses(next.catalog)).toEqual(['alive up', 'dead down']);
    expect(next.catalog.instancesOf('search')[0]).toMatchObject({
      zone: 'x',
      weight: 2,
      metadata: { tools: 'web' },
    });
    await next.clock.advance(44_000);
    next.catalog.sweep();
    expect(statuses(next.catalog)).toEqual(['alive up', 'dead down']);
    await next.clock.advance(1_100);
    next.catalog.sweep();
    expect(statuses(next.catalog)).toEqual(['alive down', 'dead down']);
  });

  it('takes an instance that was written twice back once', () => {
    const { catalog, clock } = catalogWith();
    catalog.register(registration('a'));
    const left = leave({ part: catalog, clock });
    const twice = JSON.parse(
      JSON.stringify(left).replace(/"instances":\[(.*?\})\]/, '"instances":[$1,$1]'),
    ) as typeof left;
    const next = catalogWith();
    expect(take(twice, { part: next.catalog, clock: next.clock }, 0)).toBe(true);
    expect(next.catalog.size).toBe(1);
  });

  it('after longer than the retention finds nobody', async () => {
    const { catalog, clock } = catalogWith();
    catalog.register(registration('a'));
    const left = leave({ part: catalog, clock });
    const next = catalogWith();
    expect(take(left, { part: next.catalog, clock: next.clock }, 10 * 60_000)).toBe(true);
    expect(next.catalog.size).toBe(0);
  });

  it('takes nothing that is no catalog, and of one only what is whole', () => {
    const { catalog, clock } = catalogWith();
    const taken = { instant: clock.wallMs(), wallMs: clock.wallMs() };
    for (const state of [null, 1, [], { instances: 1 }])
      expect(take({ state, taken }, { part: catalog, clock })).toBe(false);
    const expiresAt = clock.wallMs() + 10_000;
    const good = { service: 's', id: 'a', url: 'http://h', expiresAt, ttlMs: 30_000, here: true };
    const instances = [good, { ...good, id: '/' }, { ...good, url: 'x' }, null, { ...good, expiresAt: 'x' }];
    expect(take({ state: { instances }, taken }, { part: catalog, clock })).toBe(true);
    expect(statuses(catalog, 's')).toEqual(['a up']);
  });

  it('says the same while nothing happens', async () => {
    const { catalog, clock } = catalogWith();
    expect(leave({ part: catalog, clock }).state).toBeNull();
    catalog.register(registration('a'));
    const { state } = leave({ part: catalog, clock });
    await clock.advance(3_000);
    expect(leave({ part: catalog, clock }).state).toEqual(state);
  });
});

describe('those who follow', () => {
  it('hear once of several changes, after them', async () => {
    const { catalog, clock } = catalogWith();
    let heard = 0;
    const off = catalog.onChange(() => (heard += 1));
    catalog.register(registration('a'));
    catalog.register(registration('b'));
    catalog.heartbeat('search', 'a');
    expect(heard).toBe(0);
    await clock.advance(0);
    expect(heard).toBe(1);
    catalog.heartbeat('search', 'a');
    await clock.advance(0);
    expect(heard).toBe(1);
    off();
    catalog.deregister('search', 'a');
    await clock.advance(0);
    expect(heard).toBe(1);
  });

  it('read on from where they were, or learn that they cannot', () => {
    const { catalog } = catalogWith();
    catalog.register(registration('a'));
    const known = catalog.revision;
    catalog.register(registration('b'));
    catalog.deregister('search', 'a');
    const kinds = catalog.changesAfter(known, 10)?.map(({ kind, instance }) => `${instance.id} ${kind}`);
    expect(kinds).toEqual(['b registered', 'a left']);
    expect(catalog.changesAfter(catalog.revision, 10)).toEqual([]);
    expect(catalog.changesAfter(catalog.revision + 1, 10)).toBeUndefined();
    for (let i = 0; i < 5_000; i++) catalog.register(registration('b', { weight: i }));
    expect(catalog.changesAfter(known, 10)).toBeUndefined();
    expect(catalog.changesAfter(catalog.revision - 4_000, 5)).toHaveLength(5);
  });
});
