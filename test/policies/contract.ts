/**
 * What every policy owes the others, whatever it does: it never throws, it discards what it does not return, and it
 * leaves nothing behind once the body has ended. Every policy module is put through this.
 */
import fc from 'fast-check';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import type { CancelReason } from '../../src/core/cancellation.ts';
import type { Outcome, ResponseOutcome } from '../../src/core/outcome.ts';
import { isPersistent } from '../../src/core/persistence.ts';
import type { Policy, PolicyDeps, PolicyModule, Scope } from '../../src/core/policy.ts';
import { settle } from '../support/fake-clock.ts';
import type { FakeClock } from '../support/fake-clock.ts';
import { ControlledBody, Script, after, bodyOf, fail, finish, kit } from '../support/policy-kit.ts';
import { refuse, respond, silence } from '../support/policy-kit.ts';
import type { EventLog, Step } from '../support/policy-kit.ts';
import { capture, leave, take } from '../support/restart.ts';

export interface ContractSubject<S extends Scope, Schema extends z.ZodType> {
  readonly module: PolicyModule<S, Schema>;
  /** As an operator would write them. */
  readonly options: z.input<Schema>;
  readonly scope: (clock: FakeClock) => S;
  /** What else it needs; other upstreams are scripted through the rig, so that their outcomes are counted, too. */
  readonly deps?: (rig: Rig<S>) => Partial<PolicyDeps>;
  /** Texts that no snapshot may show. */
  readonly secrets?: readonly string[];
  /** It reads answers itself: such a body is piped into it once, instead of being returned or discarded. */
  readonly readsAnswers?: boolean;
  /** It adds fields to the head of answers; the rest of them is as it was. */
  readonly marksAnswers?: boolean;
  /** Timers it holds while a body is on its way; they must be gone at its end. Default 0. */
  readonly timersDuringBody?: number;
}

export class Rig<S extends Scope> {
  readonly clock: FakeClock;
  readonly events: EventLog;
  readonly policy: Policy<S>;
  /** What stands below the policy, one for each run. */
  readonly scripts: Script<S>[] = [];
  /** What stands beside it: other upstreams. */
  readonly others: Script<S>[] = [];
  readonly #readsAnswers: boolean;
  readonly #marksAnswers: boolean;

  constructor(subject: ContractSubject<S, z.ZodType>, previous?: Policy<S>) {
    const { clock, events, deps } = kit();
    this.#readsAnswers = subject.readsAnswers ?? false;
    this.#marksAnswers = subject.marksAnswers ?? false;
    this.clock = clock;
    this.events = events;
    const all = { ...deps, ...subject.deps?.(this) };
    this.policy = subject.module.build(subject.module.schema.parse(subject.options), all, previous);
  }

  other(...steps: readonly Step<S>[]): Script<S> {
    const script = new Script<S>(this.clock, ...steps);
    this.others.push(script);
    return script;
  }

  get calls(): number {
    return [...this.scripts, ...this.others].reduce((sum, { calls }) => sum + calls.length, 0);
  }

  run(scope: S, ...steps: readonly Step<S>[]): Promise<Outcome> {
    const script = new Script<S>(this.clock, ...steps);
    this.scripts.push(script);
    return this.policy.run(scope, script.next, scope.cancellation);
  }

  /** Lets time pass until there is an outcome; gives up on the client's behalf after a while. */
  async outcome(pending: Promise<Outcome>, scope: S): Promise<Outcome> {
    let outcome: Outcome | undefined;
    void pending.then((settled) => (outcome = settled));
    for (let i = 0; i < 300; i++) {
      await this.clock.advance(i === 0 ? 0 : 250);
      if (outcome) return outcome;
    }
    scope.cancellation.cancel('client-aborted');
    await settle();
    if (!outcome) throw new Error('the policy did not settle, not even when it was cancelled');
    return outcome;
  }

  /** It is that very answer, but for what the policy says of itself in its head. */
  expectPassed(outcome: Outcome, answer: ResponseOutcome): void {
    if (!this.#marksAnswers || outcome.kind !== 'response') return expect(outcome).toBe(answer);
    const { head, ...rest } = outcome;
    expect(rest.body).toBe(answer.body);
    expect({ ...rest, head: answer.head }).toEqual(answer);
    expect(head.headers.slice(0, answer.head.headers.length)).toEqual(answer.head.headers);
  }

  /** Every answer that was given out is either the one returned or discarded, once. */
  expectConserved(returned: Outcome): void {
    for (const outcome of [...this.scripts, ...this.others].flatMap(({ given }) => given)) {
      if (outcome.kind !== 'response') continue;
      if (this.#readsAnswers && bodyOf(outcome).pipes > 0) {
        expect(bodyOf(outcome)).toMatchObject({ pipes: 1, discards: 0 });
        continue;
      }
      const isReturned = returned.kind === 'response' && returned.body === outcome.body;
      expect(bodyOf(outcome).discards).toBe(isReturned ? 0 : 1);
    }
  }

  /** The upstream comes to the end of what the policy reads. */
  endRead(): void {
    for (const outcome of this.scripts.flatMap(({ given }) => given))
      if (outcome.kind === 'response' && bodyOf(outcome).pipes > 0) bodyOf(outcome).complete();
  }

  expectAtRest(scope: S): void {
    expect(this.clock.pendingTimers).toBe(0);
    expect(scope.cancellation.listenerCount).toBe(0);
  }
}

const ENDINGS = {
  'is complete': (body: ControlledBody) => body.complete(),
  'is broken off by the upstream': (body: ControlledBody) => body.breakOff(),
  'is broken off by a timer': (body: ControlledBody) => body.failByTimer(),
  'is broken off by the client': (body: ControlledBody) => body.failByClient(),
  'is discarded by whoever got it': (body: ControlledBody) => body.discard(),
} as const;

const ENDED_BADLY: Readonly<Record<string, () => Outcome>> = {
  'a 503': () => respond(503),
  'a 503 that names a time': () => respond(503, { headers: ['retry-after', '1'] }),
  'a 429': () => respond(429, { headers: ['retry-after-ms', '10'] }),
  'a 404': () => respond(404),
  'a 401': () => respond(401),
  'a refused connection': () => fail('connection_refused', { requestSent: 'no' }),
  'a reset': () => fail('connection_reset'),
  'a stale connection': () => fail('connection_reset', { staleConnection: true }),
  'a bad certificate': () => fail('tls_certificate_error', { requestSent: 'no' }),
  'a timeout': () => fail('first_byte_timeout'),
  'a rejection': () => refuse('no_endpoint'),
  'a rejection that names a time': () => refuse('circuit_open', { retryAfterMs: 5_000 }),
};

const CANCELLATIONS: readonly CancelReason[] = ['client-aborted', 'superseded', 'shutdown', 'deadline'];

export function policyContract<S extends Scope, Schema extends z.ZodType>(
  subject: ContractSubject<S, Schema>,
): void {
  const { module, scope: scopeAt, secrets = [], timersDuringBody = 0 } = subject;
  const rigUp = (previous?: Policy<S>): Rig<S> => new Rig<S>(subject, previous);

  describe(`${module.name}: what every policy owes`, () => {
    it('passes a good answer through untouched', async () => {
      const rig = rigUp();
      const scope = scopeAt(rig.clock);
      const answer = respond(200, { headers: ['x-a', '1'] });
      const outcome = await rig.outcome(rig.run(scope, answer), scope);
      rig.expectPassed(outcome, answer);
      expect(rig.calls).toBe(1);
      expect(rig.scripts[0]?.calls[0]?.scope).toBe(scope);
      expect(bodyOf(answer).pipes).toBe(0);
      rig.expectConserved(outcome);
    });

    it('calls next before it gives way', () => {
      const rig = rigUp();
      void rig.run(scopeAt(rig.clock), respond());
      expect(rig.scripts[0]?.calls).toHaveLength(1);
    });

    it('passes a switch of protocols through and holds no timer on the tunnel', async () => {
      const rig = rigUp();
      const scope = scopeAt(rig.clock);
      const tunnel = respond(101, { tunnel: new PassThrough() });
      const outcome = await rig.outcome(rig.run(scope, tunnel), scope);
      expect(outcome).toBe(tunnel);
      expect(rig.clock.pendingTimers).toBe(0);
      finish(outcome);
      await settle();
      rig.expectAtRest(scope);
    });

    for (const [title, make] of Object.entries(ENDED_BADLY)) {
      it(`turns ${title} into an outcome, not into an exception`, async () => {
        const rig = rigUp();
        const scope = scopeAt(rig.clock);
        const outcome = await rig.outcome(rig.run(scope, make, make, make, make), scope);
        rig.expectConserved(outcome);
        finish(outcome);
        await settle();
        rig.expectAtRest(scope);
      });
    }

    for (const [title, end] of Object.entries(ENDINGS)) {
      it(`keeps nothing once the body ${title}`, async () => {
        const rig = rigUp();
        const scope = scopeAt(rig.clock);
        const outcome = await rig.outcome(rig.run(scope, respond()), scope);
        await rig.clock.advance(10);
        expect(rig.clock.pendingTimers).toBe(timersDuringBody);
        end(bodyOf(outcome));
        await settle();
        rig.expectAtRest(scope);
      });
    }

    describe('when it is cancelled', () => {
      it('beforehand, settles at once and asks below at most once', async () => {
        const rig = rigUp();
        const scope = scopeAt(rig.clock);
        scope.cancellation.cancel('client-aborted');
        const pending = rig.run(scope, silence);
        await settle();
        await expect(settledNow(pending)).resolves.toBe(true);
        expect(rig.calls).toBeLessThanOrEqual(1);
        for (const { cancellation } of rig.scripts[0]?.calls ?? []) expect(cancellation.cancelled).toBe(true);
        rig.expectAtRest(scope);
      });

      for (const reason of CANCELLATIONS) {
        it(`while it waits (${reason}), settles at once, tells below why, and asks no further`, async () => {
          const rig = rigUp();
          const scope = scopeAt(rig.clock);
          const pending = rig.run(scope, silence);
          await rig.clock.advance(20);
          scope.cancellation.cancel(reason);
          await settle();
          await expect(settledNow(pending)).resolves.toBe(true);
          expect(rig.scripts[0]?.calls).toHaveLength(1);
          expect(rig.scripts[0]?.calls[0]?.cancellation.reason).toBe(reason);
          if (reason === 'client-aborted') expect(rig.calls).toBe(1);
          rig.expectAtRest(scope);
        });
      }

      it('after a failure, makes no further try', async () => {
        const rig = rigUp();
        const scope = scopeAt(rig.clock);
        const pending = rig.run(scope, (_, cancellation) => {
          scope.cancellation.cancel('client-aborted');
          return cancellation.cancelled ? fail('connection_reset') : respond();
        });
        const outcome = await rig.outcome(pending, scope);
        expect(rig.calls).toBe(1);
        rig.expectConserved(outcome);
        rig.expectAtRest(scope);
      });

      it('while the body is on its way, lets it break off', async () => {
        const rig = rigUp();
        const scope = scopeAt(rig.clock);
        const outcome = await rig.outcome(rig.run(scope, respond()), scope);
        scope.cancellation.cancel('client-aborted');
        await settle();
        expect(bodyOf(outcome).ended).toBe(true);
        expect(rig.calls).toBe(1);
        rig.expectAtRest(scope);
      });

      it('after the end of the body, does nothing', async () => {
        const rig = rigUp();
        const scope = scopeAt(rig.clock);
        const outcome = await rig.outcome(rig.run(scope, respond()), scope);
        finish(outcome);
        await settle();
        const before = rig.events.all.length;
        scope.cancellation.cancel('client-aborted');
        await rig.clock.advance(600_000);
        expect(rig.calls).toBe(1);
        expect(rig.events.all).toHaveLength(before);
      });
    });

    it('keeps two exchanges apart', async () => {
      const rig = rigUp();
      const [left, right] = [scopeAt(rig.clock), scopeAt(rig.clock)];
      const leaving = rig.run(left, silence);
      const answer = respond();
      const outcome = await rig.outcome(rig.run(right, answer), right);
      left.cancellation.cancel('client-aborted');
      await settle();
      await expect(settledNow(leaving)).resolves.toBe(true);
      rig.expectPassed(outcome, answer);
      expect(bodyOf(answer).ended).toBe(false);
      expect(rig.scripts[1]?.calls[0]?.cancellation.cancelled).toBe(false);
      finish(outcome);
      await settle();
      rig.expectAtRest(right);
    });

    it('shows itself as plain data without secrets', async () => {
      const rig = rigUp();
      const scope = scopeAt(rig.clock);
      finish(await rig.outcome(rig.run(scope, respond(503), respond()), scope));
      const snapshot = rig.policy.snapshot();
      const text = JSON.stringify(snapshot);
      expect(JSON.parse(text)).toEqual(snapshot);
      for (const secret of secrets) expect(text).not.toContain(secret);
    });

    it('leaves plain JSON without secrets, the same while nothing happens, and its follower takes up all of it', async () => {
      const rig = rigUp();
      if (!isPersistent(rig.policy)) return;
      const next = rigUp();
      for (const step of [fail(), respond(503), respond(429, { headers: ['retry-after', '600'] })]) {
        const scope = scopeAt(rig.clock);
        finish(await rig.outcome(rig.run(scope, step), scope));
      }
      await settle();
      const left = leave({ part: rig.policy, clock: rig.clock });
      expect(left.state).toEqual(capture({ part: rig.policy, clock: rig.clock }) ?? null);
      for (const secret of secrets) expect(JSON.stringify(left.state)).not.toContain(secret);
      if (left.state === null) return;
      await rig.clock.advance(10);
      expect(capture({ part: rig.policy, clock: rig.clock })).toEqual(left.state);
      await next.clock.advance(rig.clock.now() - 10 - next.clock.now());
      expect(take(left, { part: next.policy, clock: next.clock })).toBe(true);
      expect(capture({ part: next.policy, clock: next.clock })).toEqual(left.state);
      next.expectAtRest(scopeAt(next.clock));
    });

    it('takes nothing from what is no state of its kind, and works on', async () => {
      const rig = rigUp();
      if (!isPersistent(rig.policy)) return;
      const taken = { instant: 0, wallMs: 0 };
      const before = capture({ part: rig.policy, clock: rig.clock });
      for (const state of [null, undefined, 5, '', [], {}, { keys: 5 }, JSON.parse('{"__proto__":{"x":1}}')])
        expect(take({ state, taken }, { part: rig.policy, clock: rig.clock })).toBe(false);
      fc.assert(
        fc.property(fc.jsonValue(), (state) => {
          take({ state, taken }, { part: rig.policy, clock: rig.clock });
        }),
        { numRuns: 50 },
      );
      expect(capture({ part: rig.policy, clock: rig.clock })).toEqual(before);
      const scope = scopeAt(rig.clock);
      const answer = respond();
      expect(await rig.outcome(rig.run(scope, answer), scope)).toBe(answer);
    });

    it('may be disposed of twice, and lets exchanges under way finish', async () => {
      const rig = rigUp();
      const scope = scopeAt(rig.clock);
      const answer = respond();
      const pending = rig.run(scope, after(rig.clock, 30, answer));
      rig.policy.dispose();
      rig.policy.dispose();
      await rig.clock.advance(30);
      rig.expectPassed(await pending, answer);
      finish(answer);
      await settle();
      rig.expectAtRest(scope);
    });

    it('works when it follows another policy at a reload, be it of its own kind or not', async () => {
      const stranger: Policy<S> = {
        name: 'stranger',
        run: (scope, next, cancellation) => next(scope, cancellation),
        snapshot: () => ({}),
        dispose: () => undefined,
      };
      for (const previous of [rigUp().policy, rigUp(rigUp().policy).policy, stranger]) {
        const rig = rigUp(previous);
        const scope = scopeAt(rig.clock);
        const answer = respond();
        rig.expectPassed(await rig.outcome(rig.run(scope, answer), scope), answer);
      }
    });

    it('loses no answer and leaves nothing behind, whatever happens below and whenever the client leaves', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.constantFrom(...Object.keys(STEPS)), { minLength: 1, maxLength: 5 }),
          fc.option(fc.integer({ min: 0, max: 2_000 }), { nil: undefined }),
          fc.constantFrom(...Object.values(ENDINGS)),
          async (names, leavesAfterMs, end) => {
            const rig = rigUp();
            const scope = scopeAt(rig.clock);
            const pending = rig.run(scope, ...names.map((name) => STEPS[name]?.(rig.clock) ?? respond()));
            if (leavesAfterMs !== undefined) {
              await rig.clock.advance(leavesAfterMs);
              scope.cancellation.cancel('client-aborted');
            }
            const callsWhenLeft = rig.calls;
            const outcome = await rig.outcome(pending, scope);
            if (leavesAfterMs !== undefined) expect(rig.calls).toBe(callsWhenLeft);
            rig.expectConserved(outcome);
            if (outcome.kind === 'response' && outcome.body instanceof ControlledBody) end(outcome.body);
            else finish(outcome);
            rig.endRead();
            await settle();
            rig.expectAtRest(scope);
          },
        ),
        { numRuns: 80 },
      );
    });
  });
}

const STEPS: Readonly<Record<string, (clock: FakeClock) => Step<Scope>>> = {
  ok: () => () => respond(),
  slowlyOk: (clock) => (scope, cancellation) => after(clock, 300, respond())(scope, cancellation),
  late503: (clock) => (scope, cancellation) => after(clock, 700, respond(503))(scope, cancellation),
  ok_stream: () => () => respond(200, { headers: ['content-type', 'text/event-stream'] }),
  unavailable: () => () => respond(503),
  throttled: () => () => respond(429, { headers: ['retry-after-ms', '40'] }),
  notFound: () => () => respond(404),
  unsent: () => () => fail('connection_refused', { requestSent: 'no' }),
  reset: () => () => fail('connection_reset'),
  stale: () => () => fail('connection_reset', { staleConnection: true }),
  rejection: () => () => refuse(),
  silence: () => silence,
};

async function settledNow(pending: Promise<unknown>): Promise<boolean> {
  let done = false;
  void pending.then(() => (done = true));
  await settle();
  return done;
}
