import { afterAll, expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import type { Stores } from '../../src/core/stores.ts';
import { seededRandom } from '../../src/core/random.ts';
import { compileUpstreams } from '../../src/runtime/compile.ts';
import { Inventory } from '../../src/runtime/inventory.ts';
import type { LiveUpstream } from '../../src/runtime/upstream.ts';
import { memoryStores } from '../../src/stores/memory/stores.ts';
import { ConnectionWatch } from '../../src/transport/connection-watch.ts';
import { EndpointTransport } from '../../src/transport/endpoint-transport.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { EventLog, exchangeAt, finish, respond } from '../support/policy-kit.ts';

const watch = new ConnectionWatch();
const clock = new FakeClock();
let inventory = new Inventory();

afterAll(async () => {
  watch.dispose();
  for (const part of new Inventory(inventory).dropped())
    if (part instanceof EndpointTransport) await part.destroy();
});

const POLICIES = {
  cache: {},
  idempotency: {},
  rateLimit: { requests: 10, per: '1m' },
  retry: {},
} as const;

/** The same object, that says when a method of it is called. */
function watched<T extends object>(object: T, method: keyof T, told: () => void): T {
  return new Proxy(object, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (name === method) told();
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** Stores that say who keeps something in them. */
class Place {
  readonly used = new Set<string>();
  readonly stores: Stores;

  constructor() {
    const own = memoryStores(clock);
    const { limits, answers, idempotency } = own;
    const note = (who: string) => (): void => void this.used.add(who);
    this.stores = {
      ...own,
      limits: watched(limits, 'take', note('rate-limit')),
      answers: { open: (...args) => watched(answers.open(...args), 'put', note('cache')) },
      idempotency: (bounds) => watched(idempotency(bounds), 'claim', note('idempotency')),
    };
  }
}

function apply(redis: string | undefined, { stores }: Place): LiveUpstream {
  const config = configSchema.parse({
    upstreams: { a: { route: '/a', endpoints: [{ url: 'http://127.0.0.1:9' }], policies: POLICIES } },
  });
  inventory = new Inventory(inventory);
  const upstreams = compileUpstreams(config, inventory, {
    clock,
    random: seededRandom(1),
    emit: new EventLog().emit,
    watch,
    recipient: () => undefined,
    stores: () => stores,
    sharedIn: redis,
  });
  return upstreams.get('a') as LiveUpstream;
}

/** Has each policy keep something, beside each other. */
async function use({ policies }: LiveUpstream, target: string): Promise<void> {
  for (const name of ['rate-limit', 'cache', 'idempotency']) {
    const isKeyed = name === 'idempotency';
    const headers = isKeyed ? ['idempotency-key', target] : [];
    const exchange = exchangeAt(clock, { request: { method: isKeyed ? 'POST' : 'GET', target, headers } });
    const answer = respond(200, { headers: ['cache-control', 'max-age=60'] });
    const policy = policies.get(name);
    const running = policy?.run(exchange, () => Promise.resolve(answer), exchange.cancellation);
    await settle();
    finish(answer);
    const outcome = await running;
    if (outcome?.kind === 'response') outcome.body.discard();
    await settle();
  }
}

it('reload: who keeps something keeps it where the new configuration says, and stays where that did not change', async () => {
  const [alone, first, second] = [new Place(), new Place(), new Place()];
  const all = ['rate-limit', 'cache', 'idempotency'];
  const before = apply(undefined, alone);
  await use(before, '/1');
  expect([...alone.used].sort()).toEqual([...all].sort());

  const one = apply('redis://127.0.0.1:1', first);
  await use(one, '/2');
  expect([...first.used].sort()).toEqual([...all].sort());
  expect(one.policies.get('retry')).toBe(before.policies.get('retry'));

  const same = apply('redis://127.0.0.1:1', first);
  for (const name of all) expect(same.policies.get(name)).toBe(one.policies.get(name));

  await use(apply('redis://127.0.0.1:2', second), '/3');
  expect([...second.used].sort()).toEqual([...all].sort());
});
