import { describe, expect, it } from 'vitest';
import { cache } from '../../src/policies/cache.ts';
import { PacedSource, read } from '../streams/shared-rig.ts';
import { exchangeAt, respond, silence } from '../support/policy-kit.ts';
import { answers, CacheRig } from './cache-rig.ts';
import { policyContract } from './contract.ts';

policyContract({
  module: cache,
  options: { keepStale: '0s', coalesce: false },
  scope: (clock) => exchangeAt(clock),
  marksAnswers: true,
});

const MAX_AGE = ['cache-control', 'max-age=60'] as const;

describe('cache: reload', () => {
  it('keeps what is cached and who is under way; the old options hold until the first exchange', async () => {
    const source = new PacedSource();
    const rig = new CacheRig({ maxEntryBytes: '1KiB' }, [
      answers(MAX_AGE, ['x'.repeat(300)]),
      () => respond(200, { headers: MAX_AGE, body: source }),
    ]);
    await rig.get();
    const slow = rig.start({ request: { target: '/slow' } });
    const next = rig.build({ maxEntryBytes: '900B', maxBytes: '1KiB' }, rig.policy);
    rig.policy.dispose();
    expect(next.snapshot()).toEqual(rig.policy.snapshot());
    expect((await rig.get({}, next)).from).toBe('cache');
    const joiner = rig.start({ request: { target: '/slow' } }, next);
    await rig.clock.advance(0);
    const sinks = [slow, joiner].map(({ outcome }) => {
      const settled = outcome();
      return read(settled?.kind === 'response' ? settled.body : undefined);
    });
    source.push('late');
    source.finish();
    expect(sinks.map(({ text }) => text)).toEqual(['late', 'late']);
    expect(rig.asked).toBe(2);
  });

  it('lets go of what smaller bounds have no room for, with the first exchange', async () => {
    const rig = new CacheRig({}, [answers(MAX_AGE, ['x'.repeat(600)])]);
    await rig.get();
    const next = rig.build({ maxEntryBytes: '500B' }, rig.policy);
    expect(next.snapshot()).toMatchObject({ entries: 1 });
    expect((await rig.get({}, next)).from).toBe('upstream');
    expect(next.snapshot()).toMatchObject({ entries: 0 });
  });

  it.each([
    ['another endpoint', { endpoints: ['http://b.test'] }],
    ['another account', { credentials: [{ name: 'key-1', id: 'digest' }] }],
  ])('begins anew for %s', async (_, deps) => {
    const rig = new CacheRig({}, [answers(MAX_AGE)]);
    await rig.get();
    const next = rig.build({}, rig.policy, deps);
    expect((await rig.get({}, next)).from).toBe('upstream');
    expect((await rig.get({}, rig.policy)).from).toBe('cache');
  });

  it('renews in the background over a reload, and no longer than the cache lives', async () => {
    const rig = new CacheRig({ staleWhileRevalidate: '1m' }, [answers(MAX_AGE), silence]);
    await rig.get();
    await rig.clock.advance(70_000);
    await rig.get();
    const next = rig.build({}, rig.policy);
    rig.policy.dispose();
    expect(next.snapshot()).toMatchObject({ refreshing: 1 });
    next.dispose();
    await rig.clock.advance(0);
    expect(next.snapshot()).toMatchObject({ refreshing: 0 });
  });
});

describe('cache: memory', () => {
  it('stays within maxBytes, the least used going first', async () => {
    const rig = new CacheRig({ maxBytes: '4KiB', maxEntryBytes: '2KiB' }, [
      answers(MAX_AGE, ['x'.repeat(900)]),
    ]);
    for (let n = 0; n < 20; n++) {
      await rig.get({ request: { target: `/${n}` } });
      expect(rig.policy.snapshot()['bytes']).toBeLessThanOrEqual(4_096);
    }
    expect(rig.policy.snapshot()).toMatchObject({ entries: 3, bytesOnTheirWay: 0 });
    expect((await rig.get({ request: { target: '/19' } })).from).toBe('cache');
    expect((await rig.get({ request: { target: '/0' } })).from).toBe('upstream');
  });

  it('does not begin to keep what says that it is too large', async () => {
    const rig = new CacheRig({ maxEntryBytes: '1KiB', coalesce: false }, [
      answers([...MAX_AGE, 'content-length', '1025'], ['x'.repeat(1_025)]),
    ]);
    const outcome = await rig.outcomeOf();
    const [given] = rig.upstream.given;
    expect(outcome.kind === 'response' && given?.kind === 'response' && outcome.body === given.body).toBe(
      true,
    );
    expect(rig.kept).toEqual(['too-large']);
  });
});
