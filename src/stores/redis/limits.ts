/** Buckets that sidecars share. Where Redis does not decide in time, this process's own buckets do. */
import { MOST_DEBT_BURSTS } from '../../algorithms/gcra.ts';
import type { Charge, Decision, Level, LimitStore } from '../../core/limit-store.ts';
import type { MemoryLimits } from '../memory/limits.ts';
import type { RedisConnection } from './connection.ts';
import { redisScript } from './script.ts';

/**
 * The arithmetic of algorithms/gcra.ts, by the server's own clock. A bucket is the instant at which it will be full, and
 * is gone by then. Numbers are written with all their digits: tostring() would cut instants to the tenth of a second.
 */
const BUCKETS = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local function bucket(i)
  local burst, each, cost = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local owed, most = math.max(0, (tonumber(redis.call('GET', KEYS[i])) or now) - now), ${1 + MOST_DEBT_BURSTS} * burst * each
  if owed > most + 1 then owed = 0 end
  return burst, each, cost, owed, most
end
local function charge(i)
  local burst, each, cost, owed, most = bucket(i)
  owed = math.min(math.max(0, owed + cost * each), most)
  if owed > 0 then
    redis.call('SET', KEYS[i], string.format('%.17g', now + owed), 'PX', math.ceil(owed))
  else
    redis.call('DEL', KEYS[i])
  end
  return burst - owed / each
end
`;

const TAKE = redisScript(
  'limit-take',
  `${BUCKETS}
local fits, remaining, waits = 1, {}, {}
for i = 1, #KEYS do
  local burst, each, cost, owed = bucket(i)
  remaining[i] = burst - owed / each
  waits[i] = owed - (burst - math.min(cost, burst)) * each
  if waits[i] > 0.001 then fits = 0 else waits[i] = 0 end
end
local reply = { fits }
for i = 1, #KEYS do
  if fits == 1 then remaining[i] = charge(i) end
  reply[2 * i] = string.format('%.17g', remaining[i])
  reply[2 * i + 1] = string.format('%.17g', waits[i])
end
return reply`,
);

const ADJUST = redisScript(
  'limit-adjust',
  `${BUCKETS}
for i = 1, #KEYS do charge(i) end
return 1`,
);

export class RedisLimits implements LimitStore {
  readonly #connection: RedisConnection;
  readonly #local: MemoryLimits;

  /** @param local decides while Redis is away, from what was heard last: else each short outage would be worth a burst */
  constructor(connection: RedisConnection, local: MemoryLimits) {
    this.#connection = connection;
    this.#local = local;
  }

  async take(charges: readonly Charge[]): Promise<Decision> {
    const reply = await this.#connection.run<readonly (number | string)[]>(
      TAKE,
      keysOf(charges),
      argumentsOf(charges),
    );
    if (!reply) return this.#local.take(charges);
    const levels = charges.map((_, index): Level => ({
      remaining: Number(reply[2 * index + 1]),
      waitMs: Number(reply[2 * index + 2]),
    }));
    this.#local.follow(charges, levels);
    return { admitted: reply[0] === 1, levels, by: 'shared' };
  }

  adjust(charges: readonly Charge[], by: Decision['by']): void {
    if (by === 'local') this.#local.adjust(charges);
    else void this.#connection.run(ADJUST, keysOf(charges), argumentsOf(charges));
  }
}

const keysOf = (charges: readonly Charge[]): string[] => charges.map(({ key }) => `limit:${key}`);

const argumentsOf = (charges: readonly Charge[]): number[] =>
  charges.flatMap(({ size, cost }) => [size.burst, 1_000 / size.ratePerSecond, cost]);
