/** Calls that are for one endpoint alone, among all the policies that know of other answers. */
import { describe, expect, it } from 'vitest';
import { bodyOfBytes } from '../../src/core/request-bodies.ts';
import type { Attempt } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { settle } from '../support/fake-clock.ts';
import { fail, respond } from '../support/policy-kit.ts';
import type { ExchangeParts, Step } from '../support/policy-kit.ts';
import { answer, read } from '../policies/cache-rig.ts';
import { PipelineRig, stalls } from './pipeline-rig.ts';

const ONE = 'http://main-1.test';
const TWO = 'http://main-2.test';

/** The endpoint says its own name. */
const itsName: Step<Attempt> = (attempt) => {
  attempt.phase = 'ended';
  return { ...answer(['cache-control', 'max-age=60'], [attempt.endpoint.name]), attempt: attempt.number };
};

async function ask(rig: PipelineRig, parts: ExchangeParts = {}): Promise<Outcome> {
  const { outcome } = rig.start(parts);
  await settle();
  const settled = outcome();
  if (!settled) throw new Error('there is no outcome yet');
  return settled;
}

const textFrom = async (rig: PipelineRig, parts: ExchangeParts): Promise<string> =>
  read(await ask(rig, parts)).text;

const endpointsOf = (rig: PipelineRig): string[] =>
  rig.upstreams.get('main')?.wire.calls.map(({ scope }) => scope.endpoint.name) ?? [];

describe('fallback -> pinned call', () => {
  it('brings no answer but that of its endpoint, nor an answer that is always there', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { fallback: [{ upstream: 'other' }, { static: { body: 'sorry' } }] }, fail());
    const other = rig.upstream('other', {}, respond());
    expect(await ask(rig, { pinnedTo: TWO })).toMatchObject({ kind: 'failure', reason: 'connection_reset' });
    expect(other.wire.calls).toEqual([]);
  });
});

describe('cache -> pinned call', () => {
  it('is neither answered by what another endpoint said, nor kept for others', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { cache: {} }, itsName);
    expect(await textFrom(rig, { pinnedTo: TWO })).toBe(TWO);
    expect(await textFrom(rig, {})).toBe(ONE);
    expect(await textFrom(rig, { pinnedTo: TWO })).toBe(TWO);
    expect(await textFrom(rig, {})).toBe(ONE);
    expect(endpointsOf(rig)).toEqual([TWO, ONE, TWO]);
  });
});

describe('retry -> pinned call', () => {
  it('is bounded by a budget of such calls, and leaves the others theirs', async () => {
    const rig = new PipelineRig();
    const retry = { maxRetries: 2, backoff: { initial: '0s' }, budget: { ratio: 0, floor: 2 } };
    rig.upstream('main', { retry }, (attempt) => {
      attempt.phase = 'ended';
      return attempt.endpoint.name === TWO ? fail() : answer([], ['well']);
    });
    for (let n = 0; n < 3; n++) await ask(rig, { pinnedTo: TWO });
    expect(endpointsOf(rig)).toEqual([TWO, TWO, TWO, TWO, TWO]);
    expect(await textFrom(rig, {})).toBe('well');
    expect(await textFrom(rig, {})).toBe('well');
    expect(endpointsOf(rig).slice(5)).toEqual([ONE, TWO, ONE]);
  });
});

describe('idempotency -> pinned call', () => {
  it('runs once for each endpoint, whatever key it has', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { idempotency: {} }, itsName);
    const parts = {
      request: { method: 'POST', headers: ['idempotency-key', 'k'] },
      body: bodyOfBytes(Buffer.from('{}')),
    };
    const texts: string[] = [];
    for (const pinnedTo of [ONE, TWO, ONE, TWO]) texts.push(await textFrom(rig, { ...parts, pinnedTo }));
    expect(texts).toEqual([ONE, TWO, ONE, TWO]);
    expect(endpointsOf(rig)).toEqual([ONE, TWO]);
  });
});

describe('retry -> pinned call', () => {
  it('tries again at the same endpoint', async () => {
    const rig = new PipelineRig();
    const retry = { maxRetries: 2, backoff: { kind: 'constant', initial: '1s', jitter: 'none' } };
    rig.upstream('main', { retry }, fail(), fail(), itsName);
    rig.start({ pinnedTo: TWO });
    await rig.clock.advance(2_000);
    expect(endpointsOf(rig)).toEqual([TWO, TWO, TWO]);
  });

  it('does not look again for an endpoint that nobody knows', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { retry: {} }, itsName);
    expect(await ask(rig, { pinnedTo: 'nobody' })).toMatchObject({ reason: 'unknown_endpoint' });
    expect(rig.events.of('retry-scheduled')).toEqual([]);
  });
});

describe('hedge -> pinned call', () => {
  it('has no spare', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { hedge: { after: '100ms', budget: { floor: 10 } } }, stalls('waiting'));
    const { exchange } = rig.start({ pinnedTo: TWO });
    await rig.clock.advance(5_000);
    expect(endpointsOf(rig)).toEqual([TWO]);
    exchange.cancellation.cancel('client-aborted');
  });
});

describe('circuit-breaker -> pinned call', () => {
  const breaker = { consecutiveFailures: 3, openFor: '15s' };

  it('says nothing of the other endpoints: one that is dead cuts nobody off', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { circuitBreaker: breaker }, fail());
    for (let n = 0; n < 20; n++) await ask(rig, { pinnedTo: TWO });
    expect(rig.breakerOf('main').state).toBe('closed');
  });

  it('is refused while the circuit is open, and goes once its time is over, without being a probe', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { circuitBreaker: breaker }, fail());
    for (let n = 0; n < 3; n++) await ask(rig);
    expect(await ask(rig, { pinnedTo: TWO })).toMatchObject({ reason: 'circuit_open' });
    expect(rig.events.of('breaker-refused')).toHaveLength(1);
    await rig.clock.advance(20_000);
    expect(await ask(rig, { pinnedTo: TWO })).toMatchObject({ reason: 'connection_reset' });
    expect(rig.breakerOf('main').state).toBe('open');
  });

  it('is refused while an operator holds the circuit open', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { circuitBreaker: breaker }, itsName);
    rig.breakerOf('main').setOverride('open');
    expect(await ask(rig, { pinnedTo: TWO })).toMatchObject({ reason: 'circuit_open', retryAfterMs: 1_000 });
  });
});

describe('adaptive-throttling -> pinned call', () => {
  it('does not make others be turned away', async () => {
    const rig = new PipelineRig();
    const built = rig.upstream(
      'main',
      { adaptiveThrottling: {} },
      respond(503, { headers: ['retry-after', '1'] }),
    );
    for (let n = 0; n < 50; n++) await ask(rig, { pinnedTo: TWO });
    expect(built.policies.get('adaptive-throttling')?.snapshot()).toMatchObject({ probability: 0 });
  });
});

describe('deadline -> pinned call', () => {
  it('bounds the wait for the answer: request and wait', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { deadline: { after: '30s' } }, stalls('waiting'));
    const { outcome } = rig.start({ pinnedTo: ONE });
    await rig.clock.advance(29_999);
    expect(outcome()).toBeUndefined();
    await rig.clock.advance(1);
    expect(outcome()).toMatchObject({ kind: 'failure', reason: 'deadline_exceeded' });
  });
});
