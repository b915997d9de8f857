/** The way to Redis, with a real server at its end that is killed, frozen and misconfigured. */
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { Emit, EventMap, EventName } from '../../src/core/events.ts';
import { systemRandom } from '../../src/core/random.ts';
import { redisSchema } from '../../src/schema/redis.ts';
import { RedisConnection } from '../../src/stores/redis/connection.ts';
import { redisScript } from '../../src/stores/redis/script.ts';
import { Conditions } from '../support/conditions.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { hasRedis, startRedis } from '../support/redis-server.ts';
import { tlsFile } from '../support/tls/identities.ts';

const ECHO = redisScript('echo', 'return { KEYS[1], ARGV[1] }');
const LOOP = redisScript(
  'loop',
  "local t = redis.call('TIME') repeat local u = redis.call('TIME') until (u[1] - t[1]) * 1000000 + u[2] - t[2] > tonumber(ARGV[1]) * 1000 return 1",
);
const WRONG = redisScript('wrong', "redis.call('LPUSH', KEYS[1], 1) return redis.call('GET', KEYS[1])");

/** Events, and waiting for them. */
class Heard {
  readonly #conditions = new Conditions();
  readonly #all: { readonly name: EventName; readonly event: unknown }[] = [];

  readonly emit: Emit = (name, event) => {
    this.#all.push({ name, event });
    this.#conditions.changed();
  };

  of<N extends EventName>(name: N): EventMap[N][] {
    return this.#all.filter((one) => one.name === name).map(({ event }) => event as EventMap[N]);
  }

  until(name: EventName, count = 1): Promise<void> {
    return this.#conditions.untilTrue(
      () => this.of(name).length >= count,
      () => `${count} × ${name}`,
      { timeoutMs: 10_000 },
    );
  }
}

const opened: RedisConnection[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.dispose();
});

async function connect(options: object, clock: Clock = systemClock) {
  const heard = new Heard();
  const deps = { clock, random: systemRandom, emit: heard.emit };
  // Two shared cores: a busy neighbour must not look like a slow server.
  const connection = new RedisConnection(
    redisSchema.parse({ timeout: '300ms', connectTimeout: '10s', ...options }),
    deps,
  );
  opened.push(connection);
  await connection.open();
  return { connection, heard };
}

describe.skipIf(!hasRedis)('the connection to Redis', () => {
  it('runs scripts on keys with the prefix, again after the server has forgotten them', async () => {
    await using server = await startRedis();
    const { connection, heard } = await connect({ url: server.url });
    expect(await connection.run(ECHO, ['k'], ['v'])).toEqual(['outrigger:k', 'v']);
    await server.cli('SCRIPT', 'FLUSH');
    expect(await connection.run(ECHO, ['k'], [5])).toEqual(['outrigger:k', '5']);
    expect(heard.of('store-command').map(({ script, result }) => `${script} ${result}`)).toEqual([
      'echo ok',
      'echo ok',
    ]);
  });

  it('passes bytes both ways as they are', async () => {
    await using server = await startRedis();
    const { connection } = await connect({ url: `unix://${server.socketPath}?db=2` });
    const bytes = Uint8Array.from({ length: 256 }, (_, at) => at);
    const reply = await connection.run<[Buffer, Buffer]>(ECHO, ['k'], [bytes], { binary: true });
    expect(reply?.[1]).toEqual(Buffer.from(bytes));
  });

  it('says nothing until it is opened, and asks nobody', async () => {
    const heard = new Heard();
    const options = redisSchema.parse({ url: 'redis://127.0.0.1:1' });
    const connection = new RedisConnection(options, {
      clock: systemClock,
      random: systemRandom,
      emit: heard.emit,
    });
    opened.push(connection);
    expect(await connection.run(ECHO, ['k'], [])).toBeUndefined();
    expect(heard.of('store-away')).toEqual([]);
  });

  it('is away where nobody listens, and comes back when somebody does', async () => {
    await using server = await startRedis();
    await server.kill();
    const { connection, heard } = await connect({ url: server.url });
    expect(connection.up).toBe(false);
    expect(heard.of('store-away')).toEqual([{ reason: 'ECONNREFUSED' }]);
    expect(await connection.run(ECHO, ['k'], [])).toBeUndefined();
    await server.start();
    await heard.until('store-back');
    expect(await connection.run(ECHO, ['k'], ['v'])).toEqual(['outrigger:k', 'v']);
    expect(heard.of('store-away')).toHaveLength(1);
    expect(heard.of('store-back')[0]?.awayMs).toBeGreaterThan(0);
  });

  it('gives up every command under way when the server dies', async () => {
    await using server = await startRedis();
    const { connection, heard } = await connect({ url: server.url });
    server.freeze();
    const pending = Promise.all([1, 2, 3].map(() => connection.run(ECHO, ['k'], [])));
    await server.kill();
    expect(await pending).toEqual([undefined, undefined, undefined]);
    expect(heard.of('store-away')).toHaveLength(1);
  });

  it('waits a few times for a server that stands still, then not at all, until it moves again', async () => {
    await using server = await startRedis();
    const { connection, heard } = await connect({ url: server.url });
    server.freeze();
    const startedAt = performance.now();
    await Promise.all([1, 2, 3].map(() => connection.run(ECHO, ['k'], [])));
    const waited = performance.now() - startedAt;
    expect(waited).toBeGreaterThanOrEqual(299);
    expect(connection.up).toBe(true);
    while (connection.up) expect(await connection.run(ECHO, ['k'], [])).toBeUndefined();
    const waits = heard.of('store-command').length;
    for (let i = 0; i < 200; i++) expect(await connection.run(ECHO, ['k'], [])).toBeUndefined();
    const results = heard.of('store-command').map(({ result }) => result);
    expect(new Set(results.slice(0, waits))).toEqual(new Set(['late']));
    expect(results.slice(waits)).toEqual(Array.from({ length: 200 }, () => 'away'));
    server.thaw();
    await heard.until('store-back');
    expect(heard.of('store-away')).toEqual([{ reason: 'timeout' }]);
  });

  it('decides alone for one late reply, and goes on asking', async () => {
    await using server = await startRedis();
    const { connection, heard } = await connect({ url: server.url });
    server.freeze();
    const pending = [connection.run(ECHO, ['k'], []), connection.run(ECHO, ['k'], [])];
    expect(await Promise.all(pending)).toEqual([undefined, undefined]);
    server.thaw();
    await expect
      .poll(() => connection.run(ECHO, ['k'], ['v']), { timeout: 10_000 })
      .toEqual(['outrigger:k', 'v']);
    expect(heard.of('store-command').map(({ result }) => result)).not.toContain('away');
    expect(heard.of('store-away')).toEqual([]);
  });

  it('looks at once whether a server is back from which a late reply comes', async () => {
    await using server = await startRedis();
    const clock = new FakeClock();
    const { connection, heard } = await connect({ url: server.url }, clock);
    expect(await connection.run(ECHO, ['k'], ['v'])).toEqual(['outrigger:k', 'v']);
    server.freeze();
    const pending = connection.run(ECHO, ['k'], []);
    while (connection.up) await clock.advance(1);
    expect(await pending).toBeUndefined();
    server.thaw();
    // No time passes until then: no probe was due.
    await heard.until('store-back');
    expect(await connection.run(ECHO, ['k'], ['v'])).toEqual(['outrigger:k', 'v']);
    expect([heard.of('store-away').length, heard.of('store-back').length]).toEqual([1, 1]);
  });

  it('does not take its own standstill for that of the server', async () => {
    await using server = await startRedis();
    const { connection, heard } = await connect({ url: server.url, timeout: '100ms' });
    // Else there would be two ways to the server and back.
    await connection.run(ECHO, ['k'], []);
    const reply = connection.run(ECHO, ['k'], ['v']);
    await new Promise(setImmediate);
    const until = performance.now() + 200;
    while (performance.now() < until);
    expect(await reply).toEqual(['outrigger:k', 'v']);
    expect(heard.of('store-away')).toEqual([]);
  });

  it('is not back while answers still come too late', async () => {
    await using server = await startRedis();
    const { connection, heard } = await connect({ url: server.url, timeout: '100ms' });
    expect(await connection.run(LOOP, ['k'], [1_500])).toBeUndefined();
    await heard.until('store-back');
    expect(heard.of('store-back')[0]?.awayMs).toBeGreaterThan(500);
    expect(heard.of('store-away')).toEqual([{ reason: 'timeout' }]);
  });

  it.each([
    ['a wrong password', ['--requirepass', 'right'], { password: 'wrong-secret' }, 'WRONGPASS'],
    ['a missing password', ['--requirepass', 'right'], {}, 'NOAUTH'],
    ['a full memory', ['--maxmemory', '1'], {}, 'OOM'],
    ['a replica', ['--replicaof', '127.0.0.1 1'], {}, 'READONLY'],
    ['a database that is not there', ['--databases', '1'], { database: 7 }, 'ERR'],
  ])(
    'is away for %s, and says why without saying more',
    async (_what, args, { database, ...more }: { database?: number; password?: string }, reason) => {
      await using server = await startRedis(args);
      const { connection, heard } = await connect({ url: `${server.url}/${database ?? 0}`, ...more });
      expect(connection.up).toBe(false);
      expect(heard.of('store-away')).toEqual([{ reason }]);
    },
  );

  it('takes part with the right password and user', async () => {
    await using server = await startRedis([
      '--user',
      'agent',
      'on',
      '>secret',
      '~outrigger:*',
      '+@all',
      '-@admin',
      '-@dangerous',
    ]);
    const { connection } = await connect({ url: server.url, username: 'agent', password: 'secret' });
    expect(await connection.run(ECHO, ['k'], ['v'])).toEqual(['outrigger:k', 'v']);
  });

  describe('by TLS', () => {
    const mutual = {
      caFile: tlsFile('ca.cert.pem'),
      certFile: tlsFile('client.cert.pem'),
      keyFile: tlsFile('client.key.pem'),
    };

    it('both sides show who they are', async () => {
      await using server = await startRedis([], 'server');
      const { connection } = await connect({ url: server.url, tls: mutual });
      expect(await connection.run(ECHO, ['k'], ['v'])).toEqual(['outrigger:k', 'v']);
    });

    it.each([
      ['whose certificate is for another name', 'wrong-host', mutual, 'ERR_TLS_CERT_ALTNAME_INVALID'],
      ['whose certificate has expired', 'expired', mutual, 'CERT_HAS_EXPIRED'],
      ['that nobody vouches for', 'server', {}, 'SELF_SIGNED_CERT_IN_CHAIN'],
    ] as const)('a server %s is away', async (_which, identity, tls, reason) => {
      await using server = await startRedis([], identity);
      const { connection, heard } = await connect({ url: server.url, tls });
      expect(connection.up).toBe(false);
      expect(heard.of('store-away')).toEqual([{ reason }]);
    });
  });

  it('goes away for an error of one command, and comes back', async () => {
    await using server = await startRedis();
    const { connection, heard } = await connect({ url: server.url });
    expect(await connection.run(WRONG, ['k'], [])).toBeUndefined();
    expect(heard.of('store-away')).toEqual([{ reason: 'WRONGTYPE' }]);
    await heard.until('store-back');
    expect(heard.of('store-command')[0]?.result).toBe('failed');
  });

  it('is over when it is disposed, whatever is under way', async () => {
    await using server = await startRedis();
    const { connection, heard } = await connect({ url: server.url });
    server.freeze();
    const pending = connection.run(ECHO, ['k'], []);
    connection.dispose();
    expect(await pending).toBeUndefined();
    expect(await connection.run(ECHO, ['k'], [])).toBeUndefined();
    server.thaw();
    expect(heard.of('store-away')).toEqual([]);
  });
});
