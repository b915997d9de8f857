/**
 * Answers that sidecars share. All variants of what was asked for are the fields of one hash, so that they can become
 * void together. While Redis is away, this process keeps answers for itself; what became void meanwhile Redis is told
 * when it is back.
 */
import { decodeShelved, encodeShelved } from '../../algorithms/shelved-encoding.ts';
import { sizeOf } from '../../core/answer-store.ts';
import type {
  AnswerKey,
  AnswerShelf,
  AnswerStore,
  Found,
  PurgeFilter,
  ShelfBounds,
  Shelved,
} from '../../core/answer-store.ts';
import type { Clock } from '../../core/clock.ts';
import type { RedisConnection } from './connection.ts';
import { Outbox } from './outbox.ts';
import { redisScript } from './script.ts';

/** Variants of one hash; one more, and all begin anew. */
const MAX_VARIANTS = 256;

/** Instants are the server's own, so that the clocks of sidecars need not agree. A foreign value is none. */
const PRELUDE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function ours(key) return redis.call('TYPE', key).ok == 'hash' end
`;

const GET = redisScript(
  'answer-get',
  `${PRELUDE}
if not ours(KEYS[1]) then return false end
local blob, times = unpack(redis.call('HMGET', KEYS[1], 'v' .. ARGV[1], 't' .. ARGV[1]))
local stored, expires = string.match(times or '', '^(%d+) (%d+)$')
if not blob or not stored then return false end
if tonumber(expires) <= now then
  redis.call('HDEL', KEYS[1], 'v' .. ARGV[1], 't' .. ARGV[1])
  return false
end
return { blob, math.max(0, now - tonumber(stored)) }`,
);

/** Where there is no memory left, nothing is stored, and that is no error. */
const PUT = redisScript(
  'answer-put',
  `${PRELUDE}
local keep = tonumber(ARGV[3])
local isFull = ours(KEYS[1]) and redis.call('HLEN', KEYS[1]) > 2 * ${MAX_VARIANTS}
local isForeign = not ours(KEYS[1]) and redis.call('EXISTS', KEYS[1]) == 1
-- Nothing is written before this: a script that has written may go beyond the server's memory.
if isFull or isForeign then redis.call('UNLINK', KEYS[1]) end
local times = string.format('%.0f %.0f', now, now + keep)
local done = redis.pcall('HSET', KEYS[1], 'v' .. ARGV[1], ARGV[2], 't' .. ARGV[1], times, 'path', ARGV[4])
if type(done) == 'table' and done.err then return 0 end
if redis.call('PTTL', KEYS[1]) < keep then redis.call('PEXPIRE', KEYS[1], keep) end
return 1`,
);

const DROP = redisScript(
  'answer-drop',
  `${PRELUDE}
local gone = ours(KEYS[1]) and math.floor(redis.call('HLEN', KEYS[1]) / 2) or 0
redis.call('UNLINK', KEYS[1])
return gone`,
);

/** A part of the keys at a time, so that nobody else waits for long. */
const PURGE = redisScript(
  'answer-purge',
  `${PRELUDE}
local pattern = string.gsub(KEYS[1], '[%[%]%*%?\\\\]', '\\\\%0') .. '*'
local cursor, keys = unpack(redis.call('SCAN', ARGV[1], 'MATCH', pattern, 'COUNT', 500))
local gone = 0
for _, key in ipairs(keys) do
  if ours(key) and string.sub(redis.call('HGET', key, 'path') or '', 1, #ARGV[2]) == ARGV[2] then
    gone = gone + math.floor(redis.call('HLEN', key) / 2)
    redis.call('UNLINK', key)
  end
end
return { cursor, gone }`,
);

class RedisShelf implements AnswerShelf {
  readonly #connection: RedisConnection;
  readonly #local: AnswerShelf;
  readonly #space: string;
  readonly #outbox: Outbox;
  #maxEntryBytes: number;

  constructor(
    connection: RedisConnection,
    local: AnswerShelf,
    {
      space,
      maxEntryBytes,
      clock,
    }: { readonly space: string; readonly maxEntryBytes: number; readonly clock: Clock },
  ) {
    this.#connection = connection;
    this.#local = local;
    this.#space = space;
    this.#maxEntryBytes = maxEntryBytes;
    this.#outbox = new Outbox(connection, clock);
  }

  get(key: AnswerKey): Found | undefined | Promise<Found | undefined> {
    return this.#connection.up ? this.#getShared(key) : this.#local.get(key);
  }

  put(key: AnswerKey, shelved: Shelved, keepForMs: number): void {
    if (!this.#connection.up) return this.#local.put(key, shelved, keepForMs);
    if (sizeOf(shelved) > this.#maxEntryBytes) return this.drop(key.group);
    const blob = encodeShelved(shelved);
    const keep = Math.max(1, Math.ceil(keepForMs));
    void this.#connection.run(PUT, [this.#nameOf(key.group)], [key.variant, blob, keep, shelved.path]);
  }

  drop(group: string): void {
    this.#local.drop(group);
    const tell = (): Promise<unknown> => this.#connection.run(DROP, [this.#nameOf(group)], []);
    void tell().then((heard) => {
      if (heard === undefined) this.#outbox.add(tell);
    });
  }

  async purge(filter: PurgeFilter): Promise<number | undefined> {
    const local = (await this.#local.purge(filter)) ?? 0;
    const shared = await (filter.group === undefined
      ? this.#purgeShared(filter.pathPrefix ?? '')
      : this.#connection.run<number>(DROP, [this.#nameOf(filter.group)], []));
    return shared === undefined ? undefined : local + shared;
  }

  get held(): undefined {
    return undefined;
  }

  resize(bounds: ShelfBounds): void {
    this.#maxEntryBytes = bounds.maxEntryBytes;
    this.#local.resize(bounds);
  }

  async #getShared(key: AnswerKey): Promise<Found | undefined> {
    const reply = await this.#connection.run<readonly [Buffer, number] | null>(
      GET,
      [this.#nameOf(key.group)],
      [key.variant],
      { binary: true },
    );
    const shelved = reply ? decodeShelved(reply[0]) : undefined;
    return shelved && reply ? { shelved, heldForMs: reply[1] } : undefined;
  }

  async #purgeShared(pathPrefix: string): Promise<number | undefined> {
    let gone = 0;
    let cursor = '0';
    do {
      const reply = await this.#connection.run<readonly [string, number]>(
        PURGE,
        [this.#nameOf('')],
        [cursor, pathPrefix],
      );
      if (!reply) return undefined;
      cursor = reply[0];
      gone += reply[1];
    } while (cursor !== '0');
    return gone;
  }

  #nameOf(group: string): string {
    return `answer:${this.#space}:${group}`;
  }
}

/** @param local keeps answers while Redis is away */
export const redisAnswers = (connection: RedisConnection, local: AnswerStore, clock: Clock): AnswerStore => ({
  open: (space, bounds) => new RedisShelf(connection, local.open(space, bounds), { space, ...bounds, clock }),
});
