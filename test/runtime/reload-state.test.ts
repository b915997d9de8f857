import { afterAll, describe, expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import type { Config } from '../../src/config/schema.ts';
import type { Exchange } from '../../src/core/exchange.ts';
import type { Policy } from '../../src/core/policy.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { CircuitBreaker } from '../../src/policies/circuit-breaker.ts';
import type { Credentials } from '../../src/policies/credentials.ts';
import type { Pacing } from '../../src/policies/pacing.ts';
import type { Retry } from '../../src/policies/retry.ts';
import { CompileError, compileUpstreams } from '../../src/runtime/compile.ts';
import { Inventory } from '../../src/runtime/inventory.ts';
import type { LiveUpstream } from '../../src/runtime/upstream.ts';
import { memoryStores } from '../../src/stores/memory/stores.ts';
import { ConnectionWatch } from '../../src/transport/connection-watch.ts';
import { EndpointTransport } from '../../src/transport/endpoint-transport.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { EventLog, attemptAt, exchangeAt, fail, respond } from '../support/policy-kit.ts';

const watch = new ConnectionWatch();
const inventories: Inventory[] = [];

afterAll(async () => {
  watch.dispose();
  for (const inventory of inventories)
    for (const part of new Inventory(inventory).dropped())
      if (part instanceof EndpointTransport) await part.destroy();
});

/** No configuration that passed its checks is known to fail when it is brought to life; this one does. */
const breakLadderOf = (name: string) => (config: Config) =>
  Object.assign(config.upstreams[name]?.policies ?? {}, { fallback: [{ static: null }] });

/** One sidecar over several configurations; nothing is ever sent. */
class Generations {
  readonly clock = new FakeClock();
  readonly events = new EventLog();
  #inventory = new Inventory();
  upstreams = new Map<string, LiveUpstream>();
  /** What the stores that sidecars share are built from. */
  sharedIn: unknown = null;

  /** @throws what compiling throws; the generation before stays in force then */
  apply(upstreams: Record<string, object>, tamper: (config: Config) => void = () => undefined): void {
    const config = configSchema.parse({
      upstreams: Object.fromEntries(
        Object.entries(upstreams).map(([name, one]) => [
          name,
          { route: `/${name}`, endpoints: [{ url: 'http://127.0.0.1:9' }], ...one },
        ]),
      ),
    });
    tamper(config);
    const inventory = new Inventory(this.#inventory);
    inventories.push(inventory);
    const { clock, events } = this;
    this.upstreams = compileUpstreams(config, inventory, {
      clock,
      random: seededRandom(1),
      emit: events.emit,
      watch,
      recipient: (name) => this.upstreams.get(name),
      sharedIn: this.sharedIn,
      stores: () => memoryStores(clock),
    });
    this.#inventory = inventory;
  }

  policy<P>(name: string, upstream = 'a'): P {
    return this.upstreams.get(upstream)?.policies.get(name) as unknown as P;
  }

  get breaker(): CircuitBreaker {
    return this.policy('circuit-breaker');
  }

  async failOnce(policy: Policy<Exchange>): Promise<void> {
    const exchange = exchangeAt(this.clock);
    await policy.run(exchange, () => Promise.resolve(fail()), exchange.cancellation);
  }

  async trip(): Promise<void> {
    for (let i = 0; i < 5; i++) await this.failOnce(this.breaker);
  }
}

const breaker = (options: object): object => ({ policies: { circuitBreaker: options } });

describe('a reload', () => {
  it('keeps the same breaker where its section did not change, whatever else did', async () => {
    const generations = new Generations();
    generations.apply({ a: breaker({}) });
    await generations.trip();
    const before = generations.breaker;
    generations.apply({ a: { ...breaker({}), idempotent: true }, b: {} });
    expect(generations.breaker).toBe(before);
    expect(generations.breaker.state).toBe('open');
  });

  it('keeps an open circuit open where its section did change', async () => {
    const generations = new Generations();
    generations.apply({ a: breaker({}) });
    await generations.trip();
    const before = generations.breaker;
    generations.apply({ a: breaker({ consecutiveFailures: 50 }) });
    expect(generations.breaker).not.toBe(before);
    expect(generations.breaker.state).toBe('open');
    expect(
      generations.upstreams
        .get('a')
        ?.snapshots()
        .find(({ name }) => name === 'circuit-breaker'),
    ).toMatchObject({
      state: { state: 'open' },
    });
  });

  it('keeps what was taken from a retry budget', async () => {
    const generations = new Generations();
    const policies = (maxRetries: number): object => ({ policies: { retry: { maxRetries } } });
    generations.apply({ a: policies(1) });
    void generations.failOnce(generations.policy<Retry>('retry'));
    await generations.clock.advance(0);
    expect(generations.policy<Retry>('retry').budgetRemaining).toBe(2);
    generations.apply({ a: policies(2) });
    expect(generations.policy<Retry>('retry').budgetRemaining).toBe(2);
  });

  it('keeps what was learnt of the keys that stay, for all endpoints of the upstream', async () => {
    const generations = new Generations();
    const keys = (...values: readonly string[]): object => ({
      endpoints: [{ url: 'http://127.0.0.1:9' }, { url: 'http://127.0.0.1:10' }],
      credentials: { values },
    });
    generations.apply({ a: keys('one', 'two') });
    const before = generations.policy<Credentials>('credentials');
    const attempt = attemptAt(generations.clock);
    await before.run(attempt, () => Promise.resolve(respond(401)), attempt.cancellation);
    generations.apply({ a: keys('one', 'three') });
    const after = generations.policy<Credentials>('credentials');
    expect(after).not.toBe(before);
    expect(after.keys.map(({ state }) => state)).toEqual(['out', 'ready']);
    generations.apply({ a: { ...keys('one', 'three'), idempotent: true } });
    expect(generations.policy<Credentials>('credentials')).toBe(after);
  });

  it('keeps a pause of pacing with the value of a key, by whatever names it goes', async () => {
    const generations = new Generations();
    const keys = (...list: readonly object[]): object => ({
      credentials: { keys: list },
      policies: { pacing: {} },
    });
    const run = (credential: string, status: number): unknown => {
      const exchange = exchangeAt(generations.clock);
      const attempt = Object.assign(attemptAt(generations.clock, exchange), { credential });
      const headers = status === 429 ? ['retry-after', '60'] : [];
      const next = () => Promise.resolve(respond(status, { attempt: attempt.number, headers }));
      return generations.policy<Pacing>('pacing').run(exchange, next, exchange.cancellation);
    };
    const pause = (): unknown => generations.policy<Pacing>('pacing').snapshot()['pausedForMs'];
    generations.apply({ a: keys({ name: 'main', value: 'one' }, { name: 'twin', value: 'one' }) });
    await run('main', 429);
    expect(pause()).toBe(60_000);
    generations.apply({ a: keys({ name: 'renamed', value: 'one' }) });
    void run('renamed', 200);
    expect(pause()).toBe(60_000);
    generations.apply({ a: keys({ name: 'renamed', value: 'two' }) });
    await run('renamed', 200);
    expect(pause()).toBe(0);
  });

  it('builds anew what shares, with what it knows, where another store is shared, and leaves the rest', async () => {
    const generations = new Generations();
    const a = { policies: { circuitBreaker: {}, retry: {} } };
    const b = breaker({ shared: false });
    generations.apply({ a, b });
    await generations.trip();
    const [shared, retry] = [generations.breaker, generations.policy('retry')];
    const own = generations.policy('circuit-breaker', 'b');
    generations.sharedIn = { url: 'redis://127.0.0.1:1' };
    generations.apply({ a, b });
    expect(generations.breaker).not.toBe(shared);
    expect(generations.breaker.state).toBe('open');
    expect(generations.policy('retry')).toBe(retry);
    expect(generations.policy('circuit-breaker', 'b')).toBe(own);
  });

  it('keeps an open circuit open where the addresses changed', async () => {
    const generations = new Generations();
    generations.apply({ a: breaker({}) });
    await generations.trip();
    generations.apply({ a: { ...breaker({}), endpoints: [{ url: 'http://127.0.0.1:10' }] } });
    expect(generations.breaker.state).toBe('open');
  });

  it('keeps the breakers of two upstreams apart', async () => {
    const generations = new Generations();
    generations.apply({ a: breaker({}), b: breaker({}) });
    await generations.trip();
    expect(generations.policy<CircuitBreaker>('circuit-breaker', 'b').state).toBe('closed');
  });

  it('that fails half-way touches nothing that is in force', async () => {
    const generations = new Generations();
    generations.apply({ a: breaker({ failureRatio: false }) });
    const before = generations.breaker;
    const wrong = {
      a: breaker({ failureRatio: false, consecutiveFailures: 1, window: '1s', openFor: '1s' }),
      b: {},
    };
    expect(() => generations.apply(wrong, breakLadderOf('b'))).toThrow(CompileError);
    expect(generations.breaker).toBe(before);
    for (let i = 0; i < 4; i++) await generations.failOnce(before);
    expect(before.state).toBe('closed');
    expect(before.snapshot()).toMatchObject({ failures: 4 });
    await generations.failOnce(before);
    expect(Number(before.snapshot()['openForMs'])).toBeGreaterThanOrEqual(15_000);
  });

  it('says which section cannot be brought to life', () => {
    const generations = new Generations();
    let error: unknown;
    try {
      generations.apply({ a: {} }, breakLadderOf('a'));
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(CompileError);
    expect((error as CompileError).path).toEqual(['upstreams', 'a', 'policies', 'fallback']);
  });
});
