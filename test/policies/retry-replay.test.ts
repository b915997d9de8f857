import { describe, expect, it } from 'vitest';
import { fail, respond } from '../support/policy-kit.ts';
import type { ExchangeParts } from '../support/policy-kit.ts';
import { PLAIN, POST, RetryRig, stale, unsent } from './retry-rig.ts';

describe('retry: what may be sent again', () => {
  describe('a stale keep-alive connection', () => {
    it('costs no wait, no retry and no budget, once, and gets a fresh connection', async () => {
      const run = new RetryRig({ maxRetries: 0, budget: { floor: 0, ratio: 0 } });
      const seen: unknown[] = [];
      const answer = respond();
      const { script, outcome } = await run.toTheEnd({}, stale(), (exchange) => {
        seen.push(exchange.nextAttempt);
        return answer;
      });
      expect(outcome()).toBe(answer);
      expect(script.gaps).toEqual([0]);
      expect(seen).toEqual([{ backoffMs: 0, freshConnection: true }]);
      expect(run.events.of('retry-scheduled')).toMatchObject([{ cause: 'stale-connection', delayMs: 0 }]);
    });

    it('is a failure like others the second time, and still gets a fresh connection', async () => {
      const run = new RetryRig({ maxRetries: 1, ...PLAIN });
      const fresh: boolean[] = [];
      const { script } = await run.toTheEnd({}, (exchange) => {
        fresh.push(exchange.nextAttempt.freshConnection);
        return stale();
      });
      expect(script.gaps).toEqual([0, 250]);
      expect(fresh).toEqual([false, true, true]);
      expect(run.refusals).toEqual(['exhausted']);
    });

    it('is not asked for a fresh connection after another failure', async () => {
      const fresh: boolean[] = [];
      await new RetryRig().toTheEnd({}, stale(), fail(), (exchange) => {
        fresh.push(exchange.nextAttempt.freshConnection);
        return respond();
      });
      expect(fresh).toEqual([false]);
    });

    it('does not make a POST safe to repeat: the upstream may have read it', async () => {
      const run = new RetryRig();
      const { script } = await run.toTheEnd(POST, stale());
      expect(script.calls).toHaveLength(1);
      expect(run.refusals).toEqual(['unsafe']);
    });

    it('is tried anew at once for a POST with a key', async () => {
      const request = { method: 'POST', headers: ['Idempotency-Key', 'k-1'] };
      const { script } = await new RetryRig({ maxRetries: 0 }).toTheEnd({ request }, stale(), respond());
      expect(script.gaps).toEqual([0]);
    });
  });

  describe('replays', () => {
    const outcomes = {
      unsent,
      'maybe sent': () => fail('connection_reset'),
      'answered 503': () => respond(503),
      'answered 503 with Retry-After': () => respond(503, { headers: ['retry-after', '0'] }),
      'answered 429': () => respond(429),
      'answered 529': () => respond(529),
      'answered 408': () => respond(408),
    } as const;
    const ALWAYS = Object.keys(outcomes);
    const UNDONE = ['unsent', 'answered 503 with Retry-After', 'answered 429', 'answered 529'];
    const KEYED = ['Idempotency-Key', 'k-1'];
    const cases: readonly [string, ExchangeParts, readonly string[]][] = [
      ...['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE', 'QUERY'].map(
        (method): [string, ExchangeParts, readonly string[]] => [method, { request: { method } }, ALWAYS],
      ),
      ['POST', POST, UNDONE],
      ['PATCH', { request: { method: 'PATCH' } }, UNDONE],
      ['an unknown method', { request: { method: 'PURGE' } }, UNDONE],
      ['get in lower case', { request: { method: 'get' } }, UNDONE],
      ['a keyed POST', { request: { method: 'POST', headers: KEYED } }, ALWAYS],
      ['a keyed PATCH', { request: { method: 'PATCH', headers: KEYED } }, ALWAYS],
      ['a POST with an empty key', { request: { method: 'POST', headers: ['idempotency-key', ''] } }, UNDONE],
      ['a POST declared safe', { ...POST, upstream: { idempotent: true } }, ALWAYS],
    ];
    for (const [title, parts, replayed] of cases) {
      for (const [ended, make] of Object.entries(outcomes)) {
        const expected = replayed.includes(ended);
        it(`${title}, ${ended}: ${expected ? 'sent again' : 'not sent again'}`, async () => {
          const { script } = await new RetryRig().toTheEnd(parts, make, respond());
          expect(script.calls).toHaveLength(expected ? 2 : 1);
        });
      }
    }
  });
});
