/** What a breaker and a pool of keys make of what other sidecars say, and what they say themselves. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Random } from '../../src/core/random.ts';
import { CircuitBreaker, circuitBreaker } from '../../src/policies/circuit-breaker.ts';
import { Credentials, credentials } from '../../src/policies/credentials.ts';
import { settle } from '../support/fake-clock.ts';
import { HintBoard } from '../support/hint-board.ts';
import { Script, attemptAt, exchangeAt, fail, finish, kit, respond } from '../support/policy-kit.ts';
import type { Kit } from '../support/policy-kit.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { capture, leave, take } from '../support/restart.ts';

const NO_JITTER: Random = { next: () => 0 };
const ALL_JITTER: Random = { next: () => 0.999_999 };

class SharingBreaker {
  readonly kit: Kit = kit();
  readonly board = new HintBoard(this.kit.clock);
  readonly policy: CircuitBreaker;
  readonly key: string;

  constructor(options: object = {}, parts: { endpoints?: readonly string[]; random?: Random } = {}) {
    const { endpoints = ['http://one.test'], random = NO_JITTER } = parts;
    const deps = { ...this.kit.deps, random, endpoints, stores: this.board.stores };
    this.policy = new CircuitBreaker(circuitBreaker.schema.parse(options), deps, undefined);
    const addresses = createHash('sha256')
      .update(JSON.stringify([...endpoints].sort()))
      .digest('hex');
    this.key = `breaker:main:${addresses.slice(0, 16)}`;
  }

  /** @returns whether it passed */
  async call(outcome: Outcome = respond()): Promise<boolean> {
    const { end } = this.begin(outcome);
    return end();
  }

  /** A call under way. */
  begin(outcome: Outcome = respond()): { readonly end: () => Promise<boolean> } {
    const exchange = exchangeAt(this.kit.clock);
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const script = new Script(this.kit.clock, async () => {
      await held;
      return outcome;
    });
    const pending = this.policy.run(exchange, script.next, exchange.cancellation);
    return {
      end: async () => {
        release();
        finish(await pending);
        await settle();
        return script.calls.length > 0;
      },
    };
  }

  async trip(): Promise<void> {
    for (let n = 0; n < 5; n++) await this.call(fail());
  }

  get openForMs(): number {
    return Number(this.policy.snapshot()['openForMs']);
  }
}

describe('a breaker that hears of another one', () => {
  it('opens for no longer than that one, says why, and then probes by itself', async () => {
    const rig = new SharingBreaker();
    rig.board.other(rig.key, 12_000, 2_000);
    expect(await rig.call()).toBe(false);
    expect(rig.openForMs).toBe(10_000);
    expect(rig.kit.events.of('breaker-changed')).toEqual([
      { upstream: 'main', from: 'closed', to: 'open', openForMs: 10_000, cause: 'hint' },
    ]);
    await rig.kit.clock.advance(10_000);
    const probes = [rig.begin(), rig.begin()];
    expect([await probes[0]?.end(), await probes[1]?.end()]).toEqual([true, false]);
    expect(rig.policy.state).toBe('closed');
  });

  it('probes a little early, by chance, so that not all do at the same time', async () => {
    const rig = new SharingBreaker({}, { random: ALL_JITTER });
    rig.board.other(rig.key, 10_000);
    await rig.call();
    expect(rig.openForMs).toBe(9_000);
  });

  it('opens for no longer than its own configuration allows', async () => {
    const rig = new SharingBreaker({ openFor: '1s', maxOpenFor: '2s' });
    rig.board.other(rig.key, 300_000);
    await rig.call();
    expect(rig.openForMs).toBe(2_200);
  });

  it('passes nothing on', async () => {
    const rig = new SharingBreaker();
    rig.board.other(rig.key, 10_000);
    await rig.call();
    await rig.kit.clock.advance(10_000);
    await rig.call();
    expect(rig.board.said).toEqual([]);
  });

  it('opens by itself where its probe fails, as long as for a first time, and tells of that', async () => {
    const rig = new SharingBreaker();
    rig.board.other(rig.key, 10_000);
    await rig.call();
    await rig.kit.clock.advance(10_000);
    await rig.call(fail());
    expect(rig.openForMs).toBe(15_000);
    expect(rig.board.said).toEqual([[rig.key, 15_000]]);
  });

  it('believes a success of its own that began later', async () => {
    const rig = new SharingBreaker();
    await rig.kit.clock.advance(10);
    const known = rig.begin();
    rig.board.other(rig.key, 60_000, 5);
    await known.end();
    expect(await rig.call()).toBe(true);
    expect(rig.policy.state).toBe('closed');
  });

  it('closes again where a call succeeds that had begun after the hint and before it was heard', async () => {
    const rig = new SharingBreaker();
    await rig.kit.clock.advance(1_000);
    const underWay = rig.begin();
    await rig.kit.clock.advance(200);
    rig.board.other(rig.key, 60_000, 400);
    expect(await rig.call()).toBe(false);
    await underWay.end();
    expect(rig.policy.state).toBe('closed');
    expect(await rig.call()).toBe(true);
  });

  it('stays open where only a call succeeds that had begun before the hint', async () => {
    const rig = new SharingBreaker();
    const underWay = rig.begin();
    await rig.kit.clock.advance(1_000);
    rig.board.other(rig.key, 60_000, 400);
    await rig.call();
    await underWay.end();
    expect(rig.policy.state).toBe('open');
  });

  it('does not open for the same hint again', async () => {
    const rig = new SharingBreaker();
    rig.board.other(rig.key, 60_000);
    await rig.call();
    rig.policy.setOverride('closed');
    rig.policy.setOverride('auto');
    expect(await rig.call()).toBe(true);
  });

  it('stays open for longer where a later hint says so, and never for less', async () => {
    const rig = new SharingBreaker();
    rig.board.other(rig.key, 10_000);
    await rig.call();
    rig.board.other(rig.key, 5_000);
    await rig.call();
    expect(rig.openForMs).toBe(10_000);
    rig.board.other(rig.key, 20_000);
    await rig.call();
    expect(rig.openForMs).toBe(20_000);
  });

  it('goes by its own calls where they opened it', async () => {
    const rig = new SharingBreaker();
    await rig.trip();
    rig.board.other(rig.key, 60_000);
    await rig.call();
    expect(rig.openForMs).toBe(15_000);
  });

  it.each(['open', 'closed'] as const)('does as the operator says who holds it %s', async (override) => {
    const rig = new SharingBreaker();
    rig.policy.setOverride(override);
    rig.board.other(rig.key, 60_000);
    expect(await rig.call()).toBe(override === 'closed');
  });

  it('hears nothing where it does not share, nor of other addresses by the same name', async () => {
    const alone = new SharingBreaker({ shared: false });
    alone.board.other(alone.key, 60_000);
    expect(await alone.call()).toBe(true);
    await alone.trip();
    expect(alone.board.said).toEqual([]);
    const elsewhere = new SharingBreaker({}, { endpoints: ['http://two.test'] });
    elsewhere.board.other(alone.key, 60_000);
    expect(await elsewhere.call()).toBe(true);
  });

  it('takes nothing that it only heard through a restart', async () => {
    const rig = new SharingBreaker();
    rig.board.other(rig.key, 60_000);
    await rig.call();
    expect(capture({ part: rig.policy, clock: rig.kit.clock })).toBeUndefined();
  });
});

describe('a breaker that opens by its own calls', () => {
  it('tells for how long, again each time, and takes it back when it closes', async () => {
    const rig = new SharingBreaker();
    await rig.trip();
    await rig.kit.clock.advance(15_000);
    await rig.call(fail());
    await rig.kit.clock.advance(30_000);
    await rig.call();
    expect(rig.board.said).toEqual([
      [rig.key, 15_000],
      [rig.key, 30_000],
      [rig.key, 0],
    ]);
  });

  it('has told it already when it is open after a restart, or because an operator says so', async () => {
    const before = new SharingBreaker();
    await before.trip();
    const after = new SharingBreaker();
    take(leave({ part: before.policy, clock: before.kit.clock }), {
      part: after.policy,
      clock: after.kit.clock,
    });
    expect(after.policy.state).toBe('open');
    after.policy.setOverride('open');
    expect(after.board.said).toEqual([]);
  });
});

const digest = (value: string): string => createHash('sha256').update(value).digest('hex');

class SharingKeys {
  readonly kit: Kit = kit();
  readonly board = new HintBoard(this.kit.clock);
  readonly policy: Credentials;

  constructor(values: readonly string[] = ['one', 'two'], options: object = {}) {
    const deps = { ...this.kit.deps, stores: this.board.stores };
    this.policy = new Credentials(credentials.schema.parse({ values, ...options }), deps, undefined);
  }

  /** An attempt under way. */
  begin(): { readonly key: string | undefined; readonly end: (outcome: Outcome) => Promise<void> } {
    const attempt = attemptAt(this.kit.clock);
    let release = (_: Outcome): void => undefined;
    const held = new Promise<Outcome>((resolve) => (release = resolve));
    const pending = this.policy.run(attempt, () => held, attempt.cancellation);
    return {
      key: attempt.credential,
      end: async (outcome) => {
        release(outcome);
        await pending;
      },
    };
  }

  async call(outcome: Outcome = respond()): Promise<string | undefined> {
    const { key, end } = this.begin();
    await end(outcome);
    return key;
  }

  get keys(): readonly string[] {
    return this.policy.keys.map(({ state, waitMs }) =>
      waitMs > 0 ? `${state} ${Math.round(waitMs)}` : state,
    );
  }
}

const keyOf = (value: string): string => `credential:main:${digest(value)}`;
const throttled = (seconds: number): Outcome => respond(429, { headers: ['retry-after', `${seconds}`] });

describe('a key that another sidecar found throttled', () => {
  it('rests until then', async () => {
    const rig = new SharingKeys();
    rig.board.other(keyOf('one'), 60_000, 1_000);
    expect([await rig.call(), await rig.call()]).toEqual(['key-2', 'key-2']);
    expect(rig.keys).toEqual(['cooling 59000', 'ready']);
    expect(rig.kit.events.of('credential-cooling')).toMatchObject([{ forMs: 59_000, hinted: true }]);
    expect(rig.board.said).toEqual([]);
    await rig.kit.clock.advance(59_000);
    expect([await rig.call(), await rig.call()]).toContain('key-1');
  });

  it('rests for longer than it does already, never for less', async () => {
    const rig = new SharingKeys();
    await rig.call(throttled(30));
    rig.board.other(keyOf('one'), 10_000);
    await rig.call();
    expect(rig.keys).toEqual(['cooling 30000', 'ready']);
    rig.board.other(keyOf('one'), 50_000);
    await rig.call();
    expect(rig.keys).toEqual(['cooling 50000', 'ready']);
  });

  it('is used on where it was accepted since', async () => {
    const rig = new SharingKeys();
    await rig.kit.clock.advance(1_000);
    await rig.call();
    rig.board.other(keyOf('one'), 60_000, 500);
    await rig.call();
    expect(rig.keys).toEqual(['ready', 'ready']);
  });

  it('is used again once an attempt with it is accepted that began after the hint', async () => {
    const rig = new SharingKeys();
    await rig.kit.clock.advance(1_000);
    const first = rig.begin();
    rig.board.other(keyOf('one'), 60_000, 500);
    await rig.call();
    expect(rig.keys).toEqual(['cooling 59500', 'ready']);
    await first.end(respond());
    expect(rig.keys).toEqual(['ready', 'ready']);
  });

  it('stays out where it is out, and is used as ever where there is no other', async () => {
    const out = new SharingKeys();
    await out.call(respond(401));
    out.board.other(keyOf('one'), 60_000);
    await out.call();
    expect(out.keys).toEqual(['out 900000', 'ready']);
    const lone = new SharingKeys(['one']);
    lone.board.other(keyOf('one'), 60_000);
    expect(await lone.call()).toBe('key-1');
  });

  it('rests for no longer than the own configuration allows, and not at all where that does not share', async () => {
    const rig = new SharingKeys(['one', 'two'], { coolDown: { max: '1s', maxRetryAfter: '5s' } });
    rig.board.other(keyOf('one'), 60_000);
    await rig.call();
    expect(rig.keys).toEqual(['cooling 5000', 'ready']);
    const alone = new SharingKeys(['one', 'two'], { shared: false });
    alone.board.other(keyOf('one'), 60_000);
    expect(await alone.call()).toBe('key-1');
  });

  it('is told of by who met it: once for each wave, and never by its value', async () => {
    const rig = new SharingKeys();
    const wave = [rig.begin(), rig.begin(), rig.begin()];
    for (const one of wave) await one.end(throttled(20));
    expect(rig.board.said).toEqual([
      [keyOf('one'), 20_000],
      [keyOf('two'), 20_000],
    ]);
    rig.policy.reset('key-1');
    expect(rig.board.said.at(-1)).toEqual([keyOf('one'), 0]);
  });

  it('that is out is not told of: another sidecar may be let in', async () => {
    const rig = new SharingKeys();
    await rig.call(respond(401));
    expect(rig.board.said).toEqual([]);
  });
});
