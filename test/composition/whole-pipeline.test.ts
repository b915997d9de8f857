import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Attempt } from '../../src/core/exchange.ts';
import { requestsLeft } from '../policies/pacing-rig.ts';
import { settle } from '../support/fake-clock.ts';
import type { FakeClock } from '../support/fake-clock.ts';
import { ControlledBody, after, bodyOf, fail, finish, respond } from '../support/policy-kit.ts';
import type { Step } from '../support/policy-kit.ts';
import { PipelineRig, STREAM, answers, stalls } from './pipeline-rig.ts';

const EVERYTHING = {
  deadline: { after: '20s' },
  rateLimit: { requests: 100, per: '500h' },
  bulkhead: { maxConcurrent: 3, adaptive: { min: 1, initial: 2 }, maxQueue: 3, queueTimeout: '4s' },
  retry: { maxRetries: 2 },
  hedge: { after: '500ms', maxSpares: 2, budget: { floor: 5 } },
  pacing: { maxQueue: 3, maxWait: '8s' },
  adaptiveThrottling: { minimumRequests: 3, window: '10s' },
  circuitBreaker: { consecutiveFailures: 4, openFor: '2s', slowCallRatio: 0.9, slowCall: '3s', probes: 2 },
  attemptTimeout: { connect: '1s', firstByte: '4s', idle: '2s' },
  credentials: { value: 'Bearer x' },
};

const WIRE: Readonly<Record<string, (clock: FakeClock) => Step<Attempt>>> = {
  ok: () => answers(),
  stream: () => answers(200, STREAM),
  late: (clock) => (attempt, cancellation) => {
    attempt.phase = 'waiting';
    return after(clock, 1_500, respond())(attempt, cancellation);
  },
  unavailable: () => answers(503),
  throttled: () => answers(429, ['retry-after-ms', '300']),
  notFound: () => answers(404),
  lastOne: () => answers(200, requestsLeft(0, '2s', 4)),
  usedUp: () => answers(429, requestsLeft(0, '5s', 4)),
  refused: () => () => fail('connection_refused', { requestSent: 'no' }),
  reset: () => () => fail(),
  stale: () => () => fail('connection_reset', { staleConnection: true }),
  blackhole: () => stalls('connecting'),
  silence: () => stalls('waiting'),
};

const ENDINGS: readonly ((body: ControlledBody) => void)[] = [
  (body) => body.complete(),
  (body) => body.breakOff(),
  (body) => body.failByClient(),
  (body) => body.discard(),
  // Left to the timers.
  () => undefined,
];

const anyCall = fc.record({
  startsAfterMs: fc.nat(3_000),
  method: fc.constantFrom('GET', 'POST'),
  leavesAfterMs: fc.option(fc.nat(6_000), { nil: undefined }),
  callerTimeoutMs: fc.option(fc.integer({ min: 1, max: 10_000 }), { nil: undefined }),
  end: fc.constantFrom(...ENDINGS),
});

describe('all policies around a call and its attempts', () => {
  it('loses no answer and leaves nothing behind, whatever the upstreams do and whenever clients leave', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...Object.keys(WIRE)), { minLength: 1, maxLength: 12 }),
        fc.array(fc.constantFrom(...Object.keys(WIRE)), { minLength: 1, maxLength: 6 }),
        fc.array(anyCall, { minLength: 1, maxLength: 8 }),
        fc.option(fc.constant('1500ms'), { nil: undefined }),
        async (mainSteps, otherSteps, calls, slowAfter) => {
          const rig = new PipelineRig();
          const ladder = { ...(slowAfter && { after: slowAfter }), steps: [{ upstream: 'other' }] };
          const script = (names: readonly string[]): Step<Attempt>[] =>
            names.map((name) => {
              const make = WIRE[name];
              return (attempt, cancellation) => {
                const step = make?.(rig.clock) ?? fail();
                return typeof step === 'function' ? step(attempt, cancellation) : step;
              };
            });
          rig.upstream('main', { fallback: ladder, ...EVERYTHING }, ...script(mainSteps));
          rig.upstream('other', EVERYTHING, ...script(otherSteps));
          const started = [];
          for (const { startsAfterMs, method, leavesAfterMs, callerTimeoutMs, end } of calls) {
            await rig.clock.advance(startsAfterMs);
            const call = rig.start({ request: { method }, callerTimeoutMs });
            if (leavesAfterMs !== undefined)
              rig.clock.setTimer(leavesAfterMs, () => call.exchange.cancellation.cancel('client-aborted'));
            started.push({ ...call, end });
          }
          await rig.clock.advance(45_000);
          for (const { outcome, end } of started) {
            const settled = outcome();
            // Two deadlines of 20 s in a row bound every exchange.
            expect(settled).toBeDefined();
            if (settled?.kind === 'response' && settled.body instanceof ControlledBody) end(settled.body);
            else if (settled) finish(settled);
          }
          await rig.clock.advance(60_000);
          const returned = new Set(
            started.map(({ outcome }) => {
              const settled = outcome();
              return settled?.kind === 'response' ? settled.body : undefined;
            }),
          );
          for (const { wire } of rig.upstreams.values()) {
            for (const answer of wire.given) {
              if (answer.kind !== 'response') continue;
              const body = bodyOf(answer);
              if (!returned.has(body)) expect(body.discards).toBe(1);
              // Streams without a silence bound would go on; here every body has ended.
              expect(body.ended).toBe(true);
            }
          }
          expect(rig.clock.pendingTimers).toBe(0);
          for (const { name, policies } of rig.upstreams.values()) {
            expect(policies.get('bulkhead')?.snapshot()).toMatchObject({ active: 0, queued: 0 });
            // What was sent counts once, and what was not sent not at all.
            const sent = started.filter(({ exchange }) =>
              exchange.attempts.some((attempt) => attempt.exchange.upstream.name === name),
            ).length;
            expect(policies.get('rate-limit')?.snapshot()['limits']).toMatchObject([
              { remaining: 100 - sent },
            ]);
          }
          for (const { exchange } of started) {
            expect(exchange.cancellation.listenerCount).toBe(0);
            expect(exchange.attempts.length).toBeLessThanOrEqual(2 * 4 * 3);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('finds its way back by itself after an outage, whatever came before', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...Object.keys(WIRE)), { minLength: 1, maxLength: 20 }),
        async (names) => {
          const rig = new PipelineRig();
          let healthy = false;
          let turn = 0;
          rig.upstream('main', EVERYTHING, (attempt, cancellation) => {
            const name = healthy ? 'ok' : (names[turn++ % names.length] ?? 'ok');
            const step = WIRE[name]?.(rig.clock) ?? fail();
            return typeof step === 'function' ? step(attempt, cancellation) : step;
          });
          for (let i = 0; i < names.length; i++) {
            const { exchange } = rig.start();
            await rig.clock.advance(500);
            if (i % 3 === 0) exchange.cancellation.cancel('client-aborted');
          }
          await rig.clock.advance(300_000);
          healthy = true;
          for (let i = 0; i < 10; i++) {
            const { outcome } = rig.start();
            await settle();
            const answer = outcome();
            if (answer) finish(answer);
            await rig.clock.advance(400_000);
          }
          const { outcome } = rig.start();
          await settle();
          expect(outcome()).toMatchObject({ kind: 'response', head: { status: 200 } });
          expect(rig.breakerOf('main').state).toBe('closed');
        },
      ),
      { numRuns: 40 },
    );
  });
});
