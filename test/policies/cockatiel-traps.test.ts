/**
 * Why parts of cockatiel were replaced: each scenario is run against the library and against what stands in its place.
 * When the first half of a test fails after an upgrade, the library may have learnt it, and ours may go (docs/adr/0003).
 */
import * as cockatiel from 'cockatiel';
import { CircuitState, handleAll, handleWhen } from 'cockatiel';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { delays } from '../../src/algorithms/backoff.ts';
import type { BackoffOptions } from '../../src/algorithms/backoff.ts';
import { seededRandom } from '../../src/core/random.ts';
import { retry } from '../../src/policies/retry.ts';
import { settle } from '../support/fake-clock.ts';
import { Script, bodyOf, cancelledOutcome, exchangeAt, fail, kit, respond } from '../support/policy-kit.ts';
import { silence } from '../support/policy-kit.ts';
import { BreakerRig } from './breaker-rig.ts';

const failing = (): Promise<never> => Promise.reject(new Error('upstream'));
const quietly = (call: Promise<unknown>): Promise<unknown> => call.catch(() => undefined);

/** A library call that ends when the test says so. */
function pendingCall() {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  return { fn: () => promise, succeed: () => resolve('ok'), fail: () => reject(new Error('upstream')) };
}

const theirBreaker = (breaker: cockatiel.IBreaker = new cockatiel.ConsecutiveBreaker(5)) =>
  cockatiel.circuitBreaker(handleAll, { breaker, halfOpenAfter: 15_000 });

async function theirTrip(circuit: cockatiel.CircuitBreakerPolicy, failures = 5): Promise<void> {
  for (let i = 0; i < failures; i++) await quietly(circuit.execute(failing));
  expect(circuit.state).toBe(CircuitState.Open);
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'], now: 1_800_000_000_000 });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe('the window', () => {
  it('theirs calls failures of past minutes current; ours lets them age out', async () => {
    const theirs = theirBreaker(
      new cockatiel.SamplingBreaker({ threshold: 0.5, duration: 10_000, minimumRps: 0.5 }),
    );
    const ours = new BreakerRig({ consecutiveFailures: false, window: '10s', minimumCalls: 5 });
    for (let i = 0; i < 5; i++) {
      await quietly(theirs.execute(failing));
      await vi.advanceTimersByTimeAsync(60_000);
      await ours.fail();
      await ours.clock.advance(60_000);
    }
    expect(theirs.state).toBe(CircuitState.Open);
    expect(ours.state).toBe('closed');
  });

  it('theirs is never asked how long a call took; ours opens for slow ones', async () => {
    const heard: unknown[][] = [];
    const theirs = theirBreaker({
      state: undefined,
      success: (...args: unknown[]) => void heard.push(args),
      failure: () => false,
    });
    await theirs.execute(() => vi.advanceTimersByTimeAsync(60_000));
    expect(heard).toEqual([[CircuitState.Closed]]);

    const ours = new BreakerRig({ slowCallRatio: 0.75, slowCall: '2s' });
    for (let i = 0; i < 5; i++) {
      const { exchange } = ours.start(silence);
      await ours.clock.advance(2_000);
      exchange.cancellation.cancel('client-aborted');
      await settle();
    }
    expect(ours.state).toBe('open');
  });
});

describe('the state machine', () => {
  it('theirs makes callers wait behind a probe; ours refuses them at once', async () => {
    const theirs = theirBreaker();
    await theirTrip(theirs);
    await vi.advanceTimersByTimeAsync(15_000);
    const probe = pendingCall();
    void theirs.execute(probe.fn);
    let settled = 0;
    for (let i = 0; i < 3; i++) void quietly(theirs.execute(() => 'ok')).then(() => (settled += 1));
    await vi.advanceTimersByTimeAsync(600_000);
    expect(settled).toBe(0);
    probe.succeed();
    await settle();
    expect(settled).toBe(3);

    const ours = new BreakerRig({});
    await ours.tripAndWait();
    ours.start(silence);
    const others = [ours.start(), ours.start(), ours.start()];
    await settle();
    expect(others.map(({ outcome }) => outcome()?.kind)).toEqual(['rejection', 'rejection', 'rejection']);
  });

  it('theirs lets a failure from before the opening decide the round of a probe; ours does not', async () => {
    const theirs = theirBreaker();
    const late = pendingCall();
    void quietly(theirs.execute(late.fn));
    await theirTrip(theirs);
    await vi.advanceTimersByTimeAsync(15_000);
    const probe = pendingCall();
    void quietly(theirs.execute(probe.fn));
    expect(theirs.state).toBe(CircuitState.HalfOpen);
    late.fail();
    await settle();
    expect(theirs.state).toBe(CircuitState.Open);

    const ours = new BreakerRig({});
    const answer = respond();
    ours.start(answer);
    await ours.tripAndWait();
    ours.start(silence);
    bodyOf(answer).breakOff();
    await settle();
    expect(ours.state).toBe('half-open');
  });

  it('theirs takes what it does not count for a success of the probe; ours gives its place to another', async () => {
    const isUpstreams = (error: unknown): boolean => error instanceof Error && error.message === 'upstream';
    const theirs = cockatiel.circuitBreaker(handleWhen(isUpstreams), {
      breaker: new cockatiel.ConsecutiveBreaker(5),
      halfOpenAfter: 15_000,
    });
    await theirTrip(theirs);
    await vi.advanceTimersByTimeAsync(15_000);
    await quietly(theirs.execute(() => Promise.reject(new Error('the client left'))));
    expect(theirs.state).toBe(CircuitState.Closed);

    const ours = new BreakerRig({});
    await ours.tripAndWait();
    await ours.call(cancelledOutcome('client-aborted'));
    expect(ours.state).toBe('half-open');
  });

  it('theirs waits for a stuck probe for ever; ours gives it up', async () => {
    const theirs = theirBreaker();
    await theirTrip(theirs);
    await vi.advanceTimersByTimeAsync(15_000);
    void theirs.execute(pendingCall().fn);
    let settled = false;
    void quietly(theirs.execute(() => 'ok')).then(() => (settled = true));
    await vi.advanceTimersByTimeAsync(86_400_000);
    expect(settled).toBe(false);

    const ours = new BreakerRig({ probeTimeout: '10s' });
    await ours.tripAndWait();
    ours.start(silence);
    await ours.clock.advance(10_000);
    expect((await ours.call()).passed()).toBe(true);
    expect(ours.state).toBe('closed');
  });

  it('theirs reads the wall clock, and a jump opens or shuts it; ours does not notice', async () => {
    const theirs = theirBreaker();
    await theirTrip(theirs);
    vi.setSystemTime(Date.now() - 3_600_000);
    await vi.advanceTimersByTimeAsync(60_000);
    await quietly(theirs.execute(() => 'ok'));
    expect(theirs.state).toBe(CircuitState.Open);

    const ahead = theirBreaker();
    await theirTrip(ahead);
    vi.setSystemTime(Date.now() + 3_600_000);
    await ahead.execute(() => 'ok');
    expect(ahead.state).toBe(CircuitState.Closed);

    const ours = new BreakerRig({});
    await ours.trip();
    ours.clock.wallOffsetMs = 3_600_000;
    expect((await ours.call()).passed()).toBe(false);
    ours.clock.wallOffsetMs = -3_600_000;
    await ours.clock.advance(15_000);
    expect((await ours.call()).passed()).toBe(true);
  });

  it('theirs is done with a call at its head; ours waits for the body', async () => {
    const theirs = theirBreaker();
    const bodies: Promise<never>[] = [];
    for (let i = 0; i < 5; i++) {
      const body = failing();
      body.catch(() => undefined);
      bodies.push((await theirs.execute(() => Promise.resolve({ body }))).body);
    }
    await Promise.allSettled(bodies);
    expect(theirs.state).toBe(CircuitState.Closed);

    const ours = new BreakerRig({});
    for (let i = 0; i < 5; i++) {
      const answer = respond();
      ours.start(answer);
      await settle();
      bodyOf(answer).breakOff();
      await settle();
    }
    expect(ours.state).toBe('open');
  });

  it('theirs does not say how long it stays open; ours does', async () => {
    const theirs = theirBreaker();
    await theirTrip(theirs);
    const refusal = await theirs.execute(() => 'ok').catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(cockatiel.BrokenCircuitError);
    expect(Object.values(refusal as object).filter((value) => typeof value === 'number')).toEqual([]);

    const ours = new BreakerRig({});
    await ours.trip();
    expect((await ours.call()).outcome()).toMatchObject({ retryAfterMs: 15_000 });
  });
});

describe('the delays', () => {
  const options: BackoffOptions = {
    kind: 'exponential',
    initialMs: 100,
    maxMs: 60_000,
    multiplier: 3,
    jitter: 'none',
    jitterRatio: 0.1,
  };
  const take = (next: () => number, count: number): number[] => Array.from({ length: count }, next);
  function theirDelays<S>(config: Partial<cockatiel.IExponentialBackoffOptions<S>>, count: number) {
    let backoff: cockatiel.IBackoff<unknown> | undefined;
    const factory = new cockatiel.ExponentialBackoff<S>(config);
    return take(() => {
      backoff = backoff ? backoff.next(undefined) : factory.next();
      return backoff.duration;
    }, count);
  }

  it('theirs draw on a global source of chance; ours follow a seed', () => {
    const random = vi.spyOn(Math, 'random');
    theirDelays({ generator: cockatiel.fullJitterGenerator }, 5);
    expect(random).toHaveBeenCalledTimes(5);
    random.mockClear();
    const jittered = { ...options, jitter: 'full' } as const;
    const sequence = take(delays(jittered, seededRandom(1)), 5);
    expect(take(delays(jittered, seededRandom(1)), 5)).toEqual(sequence);
    expect(take(delays(jittered, seededRandom(2)), 5)).not.toEqual(sequence);
    expect(random).not.toHaveBeenCalled();
  });

  it('theirs double whatever the exponent says; ours grow by the multiplier', () => {
    const generator = cockatiel.noJitterGenerator;
    expect(theirDelays({ generator, initialDelay: 100, exponent: 3 }, 4)).toEqual([100, 200, 400, 800]);
    expect(take(delays(options, seededRandom(1)), 4)).toEqual([100, 300, 900, 2_700]);
  });

  it('theirs are no number any more after 1 024 steps from 0; ours stay what they are', () => {
    const generator = cockatiel.noJitterGenerator;
    expect(theirDelays({ generator, initialDelay: 0 }, 1_026).at(-1)).toBeNaN();
    expect(take(delays({ ...options, initialMs: 0 }, seededRandom(1)), 1_026).at(-1)).toBe(0);
  });
});

describe('the retry loop', () => {
  it('theirs sleeps on after an abort, and calls once more; ours ends at once', async () => {
    const theirs = cockatiel.retry(handleAll, {
      maxAttempts: 3,
      backoff: new cockatiel.ConstantBackoff(8_000),
    });
    const abort = new AbortController();
    let calls = 0;
    let settled = false;
    const pending = theirs.execute(() => {
      calls += 1;
      return failing();
    }, abort.signal);
    void quietly(pending).then(() => (settled = true));
    await vi.advanceTimersByTimeAsync(1_000);
    abort.abort();
    await vi.advanceTimersByTimeAsync(6_000);
    expect({ calls, settled }).toEqual({ calls: 1, settled: false });
    await vi.advanceTimersByTimeAsync(1_000);
    expect({ calls, settled }).toEqual({ calls: 2, settled: true });

    const { clock, deps } = kit();
    const backoff = { kind: 'constant', initial: '8s', jitter: 'none' } as const;
    const ours = retry.build(retry.schema.parse({ maxRetries: 3, backoff }), deps, undefined);
    const exchange = exchangeAt(clock);
    const script = new Script<typeof exchange>(clock, fail());
    let outcome: unknown;
    void ours.run(exchange, script.next, exchange.cancellation).then((ended) => (outcome = ended));
    await clock.advance(1_000);
    exchange.cancellation.cancel('client-aborted');
    await settle();
    expect(outcome).toMatchObject({ reason: 'client_aborted' });
    await clock.advance(60_000);
    expect(script.calls).toHaveLength(1);
  });
});

describe('what is used as it is', () => {
  it('ConsecutiveBreaker counts failures in a row and can be carried over a reload', () => {
    const rule = new cockatiel.ConsecutiveBreaker(3);
    expect([rule.failure(), rule.failure()]).toEqual([false, false]);
    rule.success();
    expect([rule.failure(), rule.failure()]).toEqual([false, false]);
    const successor = new cockatiel.ConsecutiveBreaker(3);
    successor.state = rule.state;
    expect(successor.failure()).toBe(true);
  });

  it('ConstantBackoff gives the same delay for ever', () => {
    let backoff: cockatiel.IBackoff<unknown> = new cockatiel.ConstantBackoff(5).next();
    for (let i = 0; i < 3; i++) {
      expect(backoff.duration).toBe(5);
      backoff = backoff.next(undefined);
    }
  });

  it('ExponentialBackoff asks its generator for every delay, once and in order', () => {
    const seen: number[] = [];
    const factory = new cockatiel.ExponentialBackoff<number>({
      generator: (state = 0) => {
        seen.push(state);
        return [state, state + 1];
      },
    });
    let backoff: cockatiel.IBackoff<unknown> = factory.next();
    for (let i = 0; i < 3; i++) backoff = backoff.next(undefined);
    expect(seen).toEqual([0, 1, 2, 3]);
  });
});
