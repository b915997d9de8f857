import { describe, expect, it } from 'vitest';
import type { Attempt } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { settle } from '../support/fake-clock.ts';
import { fail, respond } from '../support/policy-kit.ts';
import type { ExchangeParts, Step } from '../support/policy-kit.ts';
import { answer, read } from '../policies/cache-rig.ts';
import type { Seen } from '../policies/cache-rig.ts';
import { PipelineRig, stalls } from './pipeline-rig.ts';

const SHORT = ['cache-control', 'max-age=5'] as const;
const RETRY = { maxRetries: 1, backoff: { kind: 'constant', initial: '1s', jitter: 'none' } } as const;

/** An answer on the wire that is there at once. */
const says =
  (text: string, headers: readonly string[] = SHORT, status = 200): Step<Attempt> =>
  (attempt) => {
    attempt.phase = 'ended';
    return { ...answer(headers, [text], status), attempt: attempt.number };
  };

async function get(rig: PipelineRig, parts: ExchangeParts = {}): Promise<Seen> {
  const { outcome } = rig.start(parts);
  await settle();
  const settled = outcome();
  if (!settled) throw new Error('there is no outcome yet');
  return read(settled);
}

const LADDER = [{ upstream: 'other' }, { cache: 'stale' }, { static: { body: 'sorry' } }] as const;

describe('fallback -> cache', () => {
  it('goes from the other path to what is stale, and from there to the default', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { fallback: LADDER, cache: {} }, says('good'), fail());
    const other = rig.upstream('other', {}, says('elsewhere'), fail());
    expect((await get(rig)).text).toBe('good');
    await rig.clock.advance(10_000);
    expect((await get(rig)).text).toBe('elsewhere');
    const stale = await get(rig);
    expect(stale).toMatchObject({ text: 'good', from: 'cache', age: '10' });
    expect(stale.cacheStatus).toBe('outrigger; fwd=stale; ttl=-5; detail=fallback');
    expect((await get(rig, { request: { target: '/never-asked' } })).text).toBe('sorry');
    expect(other.wire.calls).toHaveLength(3);
    const taken = rig.events.of('fallback-taken').map(({ step, answered }) => `${step} ${answered}`);
    expect(taken).toEqual(['other true', 'other false', 'cache true', 'other false', 'static true']);
  });

  it('takes what is not older than said', async () => {
    const rig = new PipelineRig();
    const fallback = [{ cache: 'stale', maxStale: '30s' }, { static: { body: 'sorry' } }];
    rig.upstream('main', { fallback, cache: {} }, says('good'), fail());
    await get(rig);
    await rig.clock.advance(35_000);
    expect((await get(rig)).text).toBe('good');
    await rig.clock.advance(1);
    expect((await get(rig)).text).toBe('sorry');
  });

  it('does not answer from before whom the upstream does not let in any more, unless the step says so', async () => {
    for (const [step, text] of [
      [{ cache: 'stale' }, 'sorry'],
      [{ cache: 'stale', for: ['auth'] }, 'good'],
    ] as const) {
      const rig = new PipelineRig();
      const fallback = [step, { static: { body: 'sorry' } }];
      rig.upstream('main', { fallback, cache: {} }, says('good'), respond(401));
      await get(rig);
      await rig.clock.advance(10_000);
      expect((await get(rig)).text).toBe(text);
    }
  });

  it('answers with it after 800 ms, and gives the slow upstream up', async () => {
    const rig = new PipelineRig();
    const fallback = { after: '800ms', steps: [{ cache: 'stale' }, { static: { body: 'sorry' } }] };
    rig.upstream('main', { fallback, cache: {} }, says('good'), stalls('waiting'));
    await get(rig);
    await rig.clock.advance(10_000);
    const { outcome, exchange } = rig.start();
    await rig.clock.advance(799);
    expect(outcome()).toBeUndefined();
    await rig.clock.advance(1);
    expect(read(outcome() as Outcome)).toMatchObject({ text: 'good', from: 'cache', age: '10' });
    expect(exchange.attempts[0]?.reason).toBe('superseded');
    const never = rig.start({ request: { target: '/never-asked' } });
    await rig.clock.advance(800);
    expect(read(never.outcome() as Outcome).text).toBe('sorry');
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('answers so when the deadline passed, and when the breaker is open', async () => {
    const rig = new PipelineRig();
    const policies = {
      ...{ fallback: [{ cache: 'stale' }], deadline: { after: '1s' }, cache: {} },
      circuitBreaker: { consecutiveFailures: 1 },
    };
    rig.upstream('main', policies, says('good'), stalls('waiting'));
    await get(rig);
    await rig.clock.advance(10_000);
    const late = rig.start();
    await rig.clock.advance(1_000);
    expect(read(late.outcome() as Outcome)).toMatchObject({ text: 'good', age: '11' });
    expect(rig.breakerOf('main').state).toBe('open');
    expect(await get(rig)).toMatchObject({ text: 'good', from: 'cache' });
    const triggers = rig.events.of('fallback-taken').map(({ trigger }) => trigger);
    expect(triggers).toEqual(['deadline_exceeded', 'circuit_open']);
    expect(rig.attempts).toHaveLength(2);
  });

  it('keeps what the other upstream answers apart from its own', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { fallback: [{ upstream: 'other' }], cache: {} }, fail());
    const other = rig.upstream('other', { cache: {} }, says('elsewhere'));
    expect((await get(rig)).from).toBe('upstream');
    expect(await get(rig)).toMatchObject({ text: 'elsewhere', from: 'cache' });
    expect(other.wire.calls).toHaveLength(1);
  });
});

describe('deadline -> cache', () => {
  it('gives everyone who waits for the same their own time', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { deadline: {}, cache: {} }, stalls('waiting'));
    const hasty = rig.start({ callerTimeoutMs: 100 });
    const patient = rig.start({ callerTimeoutMs: 300 });
    await rig.clock.advance(100);
    expect(hasty.outcome()).toMatchObject({ kind: 'failure', reason: 'deadline_exceeded' });
    expect(patient.outcome()).toBeUndefined();
    await rig.clock.advance(200);
    expect(patient.outcome()).toMatchObject({ kind: 'failure', reason: 'deadline_exceeded' });
    expect(rig.attempts).toHaveLength(1);
    await settle();
    expect(rig.clock.pendingTimers).toBe(0);
    expect(rig.upstreams.get('main')?.policies.get('cache')?.snapshot()).toMatchObject({ flights: 0 });
  });
});

describe('cache -> retry', () => {
  it('keeps what a retry brought, and retries what is asked again', async () => {
    const rig = new PipelineRig();
    const tagged = [...SHORT, 'etag', '"one"'];
    rig.upstream(
      'main',
      { cache: {}, retry: RETRY },
      fail(),
      says('good', tagged),
      fail(),
      says('', tagged, 304),
    );
    const first = rig.start();
    await rig.clock.advance(1_000);
    expect(read(first.outcome() as Outcome).text).toBe('good');
    expect(first.exchange.attempts).toHaveLength(2);
    expect(first.exchange.ownsRetries).toBe(true);
    await rig.clock.advance(10_000);
    const again = rig.start();
    await rig.clock.advance(1_000);
    expect(read(again.outcome() as Outcome)).toMatchObject({ text: 'good', from: 'cache', age: '0' });
    expect(again.exchange.attempts.map(({ status, reason }) => status ?? reason)).toEqual([
      'connection_reset',
      304,
    ]);
  });

  it('renews in the background with retries', async () => {
    const rig = new PipelineRig();
    rig.upstream(
      'main',
      { cache: { staleWhileRevalidate: '1m' }, retry: RETRY },
      says('old'),
      fail(),
      says('new'),
    );
    await get(rig);
    await rig.clock.advance(10_000);
    expect((await get(rig)).text).toBe('old');
    await rig.clock.advance(1_000);
    expect(await get(rig)).toMatchObject({ text: 'new', from: 'cache' });
    expect(rig.clock.pendingTimers).toBe(0);
  });
});

describe('cache -> circuit-breaker', () => {
  it('answers hits while it is open, and takes no permit for them', async () => {
    const rig = new PipelineRig();
    const policies = {
      cache: { get: { ttl: '1m' } },
      circuitBreaker: { consecutiveFailures: 1, openFor: '5s' },
    };
    rig.upstream('main', policies, says('good', []), fail(), respond(200));
    await get(rig);
    const { outcome } = rig.start({ request: { target: '/other' } });
    await settle();
    expect(outcome()).toMatchObject({ kind: 'failure' });
    expect(rig.breakerOf('main').state).toBe('open');
    for (let n = 0; n < 3; n++) expect((await get(rig)).from).toBe('cache');
    await rig.clock.advance(5_000);
    // Half-open would take the next call for its probe; a hit is none.
    expect((await get(rig)).from).toBe('cache');
    expect(rig.breakerOf('main').state).toBe('open');
    expect(rig.attempts).toHaveLength(2);
  });

  it('counts one failure for all who waited for it', async () => {
    const rig = new PipelineRig();
    rig.upstream(
      'main',
      { cache: {}, circuitBreaker: { consecutiveFailures: 2 } },
      stalls('waiting'),
      fail(),
    );
    const visits = [rig.start(), rig.start(), rig.start()];
    for (const { exchange } of visits) exchange.cancellation.cancel('client-aborted');
    await settle();
    const more = [rig.start(), rig.start(), rig.start()];
    await settle();
    expect(more.map(({ outcome }) => outcome()?.kind)).toEqual(['failure', 'failure', 'failure']);
    expect(rig.breakerOf('main').state).toBe('closed');
    expect(rig.attempts).toHaveLength(2);
  });
});
