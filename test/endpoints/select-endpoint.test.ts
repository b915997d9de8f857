import { describe, expect, it } from 'vitest';
import type { Attempt, Classify } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { verdictOf } from '../../src/core/verdict.ts';
import { generic } from '../../src/dialects/generic.ts';
import { classifier } from '../../src/endpoints/classify.ts';
import { withRemainingTime } from '../../src/endpoints/remaining-time.ts';
import { selectEndpoint } from '../../src/endpoints/select-endpoint.ts';
import { endpointSetOf } from '../support/endpoint-sets.ts';
import { settle } from '../support/fake-clock.ts';
import {
  Script,
  after,
  attemptAt,
  bodyOf,
  exchangeAt,
  fail,
  finish,
  kit,
  refuse,
} from '../support/policy-kit.ts';
import { respond, silence } from '../support/policy-kit.ts';
import type { ExchangeParts, Step } from '../support/policy-kit.ts';

const byTheBook = classifier([], generic, () => new Date(0));

function rig(
  steps: readonly Step<Attempt>[],
  options: { classify?: Classify; urls?: readonly string[] } = {},
) {
  const { clock, events } = kit();
  const { classify = byTheBook, urls = ['http://a.test', 'http://b.test'] } = options;
  const script = new Script<Attempt>(clock, ...steps);
  const set = endpointSetOf(urls, script.next, clock);
  const select = selectEndpoint(set, classify, { clock, emit: events.emit, upstream: 'main' });
  const start = (parts: ExchangeParts = {}) => {
    const exchange = exchangeAt(clock, parts);
    let outcome: Outcome | undefined;
    void select(exchange, exchange.cancellation).then((settled) => (outcome = settled));
    return { exchange, outcome: () => outcome };
  };
  return { clock, events, script, start };
}

describe('selectEndpoint', () => {
  it('makes an attempt of an exchange, and sends it to the endpoint whose turn it is', async () => {
    const { script, start, clock } = rig([respond()]);
    const { exchange } = start();
    await settle();
    const attempt = script.calls[0]?.scope;
    expect(exchange.attempts).toEqual([attempt]);
    expect(attempt).toMatchObject({ number: 1, startedAt: clock.now(), endpoint: { name: 'http://a.test' } });
    expect(script.calls[0]?.cancellation).toBe(attempt?.cancellation);
  });

  it('notes how the attempt ended, and tells of it', async () => {
    const { clock, events, script, start } = rig([() => after(clock, 70, respond(503))(scope(), cancel())]);
    const scope = () => script.calls[0]?.scope as Attempt;
    const cancel = () => scope().cancellation;
    start();
    await clock.advance(70);
    expect(scope()).toMatchObject({
      status: 503,
      reason: undefined,
      durationMs: 70,
      verdict: { class: 'transient' },
    });
    expect(events.of('attempt-ended')).toEqual([{ attempt: scope(), upstream: 'main' }]);
  });

  it('notes why an attempt failed', async () => {
    const { script, start } = rig([fail('connection_refused')]);
    const { outcome } = start();
    await settle();
    expect(script.calls[0]?.scope).toMatchObject({ status: undefined, reason: 'connection_refused' });
    expect(outcome()).toMatchObject({ kind: 'failure', verdict: { class: 'transient', result: 'failure' } });
  });

  it('judges anew what comes, and leaves the rest of it as it is', async () => {
    const answer = respond(200);
    const { start } = rig([answer], { classify: () => verdictOf('quota') });
    const { outcome } = start();
    await settle();
    expect(outcome()).toEqual({ ...answer, verdict: verdictOf('quota') });
    expect(bodyOf(outcome()).discards).toBe(0);
  });

  it('passes on the very outcome where its verdict is right', async () => {
    const answer = respond(200);
    const { start } = rig([answer]);
    const { outcome } = start();
    await settle();
    expect(outcome()).toBe(answer);
  });

  it('passes a refusal of an inner policy on, without calling it an attempt that ended', async () => {
    const refusal = refuse('connection_limit');
    const { events, start } = rig([refusal]);
    const { outcome } = start();
    await settle();
    expect(outcome()).toBe(refusal);
    expect(events.all).toEqual([]);
  });

  it('refuses where there is no endpoint', async () => {
    const { start } = rig([], { urls: [] });
    const { outcome, exchange } = start();
    await settle();
    expect(outcome()).toMatchObject({ kind: 'rejection', reason: 'no_endpoint', by: 'select-endpoint' });
    expect(exchange.attempts).toEqual([]);
  });

  it('gives each attempt a cancellation of its own, that follows the exchange’s', async () => {
    const { script, start } = rig([silence, respond()]);
    const { exchange, outcome } = start();
    script.calls[0]?.scope.cancellation.cancel('first-byte-timeout');
    await settle();
    expect(outcome()).toMatchObject({ reason: 'first_byte_timeout' });
    expect(exchange.cancellation.cancelled).toBe(false);
    const second = start();
    await settle();
    second.exchange.cancellation.cancel('client-aborted');
    expect(await bodyOf(second.outcome()).completion).toMatchObject({ end: 'client-aborted' });
  });

  it.each([
    ['a failure', () => fail()],
    ['a refusal', () => refuse()],
    ['an answer', () => respond()],
  ])('leaves no listener on the exchange after %s', async (_, make) => {
    const { start } = rig([make()]);
    const { exchange, outcome } = start();
    await settle();
    finish(outcome() as Outcome);
    await settle();
    expect(exchange.cancellation.listenerCount).toBe(0);
  });

  it('does not blame the endpoint for too little time given by the caller', async () => {
    const { script, start } = rig([silence]);
    const { exchange, outcome } = start();
    exchange.cancellation.cancel('caller-deadline');
    await settle();
    expect(outcome()).toMatchObject({
      reason: 'deadline_exceeded',
      verdict: { class: 'abandoned', result: 'neutral' },
    });
    expect(script.calls[0]?.scope.verdict).toEqual(verdictOf('abandoned'));
  });

  it('blames it for the operator’s own deadline: it had the time that was agreed', async () => {
    const { start } = rig([silence]);
    const { exchange, outcome } = start();
    exchange.cancellation.cancel('deadline');
    await settle();
    expect(outcome()).toMatchObject({ reason: 'deadline_exceeded', verdict: { result: 'failure' } });
  });
});

describe('withRemainingTime', () => {
  async function sentWith(leftMs: number, headers: readonly string[] = []): Promise<readonly string[]> {
    const { clock } = kit();
    const exchange = exchangeAt(clock, { request: { headers } });
    exchange.deadlineAt = clock.now() + leftMs;
    const attempt = attemptAt(clock, exchange);
    await withRemainingTime(() => Promise.resolve(respond()), clock)(attempt);
    return attempt.headers;
  }

  it('says how much is left, in whole milliseconds, replacing what the client said', async () => {
    expect(await sentWith(1_500.7, ['X-Request-Timeout-Ms', '99'])).toEqual(['x-request-timeout-ms', '1500']);
  });

  it.each([0.2, 0, -5])('says 1 where %d ms are left: 0 would mean no bound', async (leftMs) => {
    expect(await sentWith(leftMs)).toEqual(['x-request-timeout-ms', '1']);
  });

  it('says nothing where nothing bounds the exchange', async () => {
    expect(await sentWith(Number.POSITIVE_INFINITY, ['accept', '*/*'])).toEqual(['accept', '*/*']);
  });
});
