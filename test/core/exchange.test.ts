import { describe, expect, it } from 'vitest';
import { Cancellation } from '../../src/core/cancellation.ts';
import { Attempt } from '../../src/core/exchange.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { ENDPOINT, NO_BODY, attemptAt, exchangeAt, identity } from '../support/policy-kit.ts';

const clock = new FakeClock();

describe('Exchange', () => {
  it('made for another upstream is the same call: id, client, body and trail', () => {
    const exchange = exchangeAt(clock, {
      id: 'id-1',
      agentId: 'agent',
      callerTimeoutMs: 9,
      clientRetries: 2,
    });
    const request = { ...exchange.request, target: '/other' };
    const redirected = exchange.redirectedTo(identity('other'), request);
    expect(redirected).toMatchObject({ id: 'id-1', agentId: 'agent', callerTimeoutMs: 9, clientRetries: 2 });
    expect(redirected.body).toBe(exchange.body);
    expect(redirected.cancellation).toBe(exchange.cancellation);
    expect(redirected.attempts).toBe(exchange.attempts);
    expect(redirected.upstream.name).toBe('other');
    expect(redirected.request.target).toBe('/other');
    expect(exchange.request.target).toBe('/v1/things');
  });

  it('made for another upstream starts with its own deadline and its own next attempt', () => {
    const exchange = exchangeAt(clock);
    exchange.deadlineAt = 5;
    exchange.nextAttempt = { backoffMs: 9, freshConnection: true };
    const redirected = exchange.redirectedTo(identity('other'), exchange.request);
    expect(redirected.deadlineAt).toBe(Number.POSITIVE_INFINITY);
    expect(redirected.nextAttempt).toEqual({ backoffMs: 0, freshConnection: false });
  });

  it('may carry another body there', () => {
    const body = { ...NO_BODY };
    expect(exchangeAt(clock).redirectedTo(identity('other'), exchangeAt(clock).request, body).body).toBe(
      body,
    );
  });

  it('knows every upstream that was asked, on whatever branch of a ladder', () => {
    const exchange = exchangeAt(clock);
    const b = exchange.redirectedTo(identity('b'), exchange.request);
    b.redirectedTo(identity('c'), exchange.request);
    expect(exchange.visited).toEqual(['main', 'b', 'c']);
    expect(exchangeAt(clock).visited).toEqual(['main']);
  });
});

describe('Attempt', () => {
  it('numbers itself over all upstreams of the exchange', () => {
    const exchange = exchangeAt(clock);
    const redirected = exchange.redirectedTo(identity('b'), exchange.request);
    const attempts = [attemptAt(clock, exchange), attemptAt(clock, redirected), attemptAt(clock, exchange)];
    expect(attempts.map(({ number }) => number)).toEqual([1, 2, 3]);
    expect(exchange.attempts).toEqual(attempts);
  });

  it('takes what retry wants of it, and has a clock and a cancellation of its own', () => {
    const exchange = exchangeAt(clock);
    exchange.nextAttempt = { backoffMs: 70, freshConnection: true };
    const cancellation = new Cancellation(exchange.cancellation);
    const attempt = new Attempt(exchange, ENDPOINT, cancellation, 4_000);
    expect(attempt).toMatchObject({
      backoffMs: 70,
      freshConnection: true,
      startedAt: 4_000,
      lastActivityAt: 4_000,
      phase: 'connecting',
      paused: false,
    });
    cancellation.cancel('connect-timeout');
    expect(exchange.cancellation.cancelled).toBe(false);
  });

  it('changes its own headers only', () => {
    const exchange = exchangeAt(clock, { request: { headers: ['x-a', '1'] } });
    const [first, second] = [attemptAt(clock, exchange), attemptAt(clock, exchange)];
    first.replaceHeaders(['x-b', '2']);
    expect([first.headers, second.headers, exchange.request.headers]).toEqual([
      ['x-b', '2'],
      ['x-a', '1'],
      ['x-a', '1'],
    ]);
  });
});
