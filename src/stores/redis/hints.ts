/**
 * Hints through Redis: one key each, which ends at an instant of Redis's clock that nobody moves. Keys that somebody here
 * asks for are looked at together, twice a second. While Redis is away what was heard stands until it is over.
 */
import { randomUUID } from 'node:crypto';
import type { Clock, TimerHandle } from '../../core/clock.ts';
import type { Hint, HintStore } from '../../core/hint-store.ts';
import type { Random } from '../../core/random.ts';
import type { RedisConnection } from './connection.ts';
import { redisScript } from './script.ts';

const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** What ends later stands. The same again changes nothing, so that no repetition can make it last longer. */
const TELL = redisScript(
  'hint-tell',
  `${NOW}
local ends = now + math.floor(tonumber(ARGV[2]))
local known_end, _, known_id = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+) (.+)$')
if known_id == ARGV[1] or (tonumber(known_end) or 0) >= ends or ends <= now then return 0 end
redis.call('SET', KEYS[1], string.format('%.0f %.0f %s', ends, now, ARGV[1]), 'PX', ends - now)
return 1`,
);

const HEAR = redisScript(
  'hint-hear',
  `${NOW}
local reply = {}
for i = 1, #KEYS do
  local ends, told, id = string.match(redis.call('GET', KEYS[i]) or '', '^(%d+) (%d+) (.+)$')
  if id then reply[#reply + 1] = { i, tonumber(ends) - now, now - tonumber(told), id } end
end
return reply`,
);

const TAKE_BACK = redisScript(
  'hint-take-back',
  `
local id = string.match(redis.call('GET', KEYS[1]) or '', '^%d+ %d+ (.+)$')
if id == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`,
);

/** One entry of the reply: which key, from 1; milliseconds left; since it was said; whose. */
type Entry = readonly [index: number, leftMs: number, ageMs: number, id: string];

/** How late a hint is heard, a tenth aside that keeps sidecars from asking in step. */
const INTERVAL_MS = 500;
const JITTER_RATIO = 0.1;

/** A key that nobody asked for so long is not looked at any more. */
const IDLE_MS = 600_000;

interface Topic {
  askedAt: number;
  hint: Hint | undefined;
}

/** What this one said. */
interface Said {
  readonly id: string;
  readonly until: number;
  /** Redis has it. */
  known: boolean;
}

export interface RedisHintsDeps {
  readonly clock: Clock;
  readonly random: Random;
}

export class RedisHints implements HintStore {
  readonly #connection: RedisConnection;
  readonly #deps: RedisHintsDeps;
  readonly #origin = randomUUID();
  readonly #topics = new Map<string, Topic>();
  readonly #said = new Map<string, Said>();
  #count = 0;
  #timer: TimerHandle | undefined;

  constructor(connection: RedisConnection, deps: RedisHintsDeps) {
    this.#connection = connection;
    this.#deps = deps;
  }

  heard(key: string): Hint | undefined {
    const now = this.#deps.clock.now();
    const topic = this.#topics.get(key);
    if (!topic) {
      if (this.#connection.closed) return undefined;
      this.#topics.set(key, { askedAt: now, hint: undefined });
      this.#wait();
      void this.#listen([key]);
      return undefined;
    }
    topic.askedAt = now;
    return topic.hint && topic.hint.until > now ? topic.hint : undefined;
  }

  tell(key: string, forMs: number): void {
    if (this.#connection.closed) return;
    const said = {
      id: `${this.#origin}-${++this.#count}`,
      until: this.#deps.clock.now() + forMs,
      known: false,
    };
    this.#said.set(key, said);
    this.#wait();
    void this.#say(key, said);
  }

  takeBack(key: string): void {
    const said = this.#said.get(key);
    this.#said.delete(key);
    if (said && this.#connection.up) void this.#connection.run(TAKE_BACK, [keyOf(key)], [said.id]);
  }

  /** One timer for everything, for as long as there is something to do. */
  #wait(): void {
    const { clock, random } = this.#deps;
    const ms = INTERVAL_MS * (1 + JITTER_RATIO * (2 * random.next() - 1));
    this.#timer ??= clock.setBackgroundTimer(ms, () => {
      void this.#look().finally(() => {
        this.#timer = undefined;
        if (this.#topics.size + this.#said.size > 0) this.#wait();
      });
    });
  }

  async #look(): Promise<void> {
    this.#forget();
    if (!this.#connection.up) return;
    // What was said while Redis was away ends when it would have ended.
    const unknown = [...this.#said].filter(([, { known }]) => !known);
    await Promise.all(unknown.map(([key, said]) => this.#say(key, said)));
    if (this.#topics.size > 0) await this.#listen([...this.#topics.keys()]);
  }

  #forget(): void {
    const now = this.#deps.clock.now();
    const { closed } = this.#connection;
    for (const [key, { until }] of this.#said) if (closed || until <= now) this.#said.delete(key);
    for (const [key, { askedAt }] of this.#topics)
      if (closed || now - askedAt >= IDLE_MS) this.#topics.delete(key);
  }

  async #say(key: string, said: Said): Promise<void> {
    const leftMs = said.until - this.#deps.clock.now();
    if (!this.#connection.up || leftMs < 1) return;
    const reply = await this.#connection.run<number>(TELL, [keyOf(key)], [said.id, leftMs]);
    // Without a reply it may be there all the same; saying it again then changes nothing.
    if (reply !== undefined) said.known = true;
    // Taken back while it was on its way.
    if (!this.#said.has(key) && this.#connection.up)
      await this.#connection.run(TAKE_BACK, [keyOf(key)], [said.id]);
  }

  async #listen(keys: readonly string[]): Promise<void> {
    if (!this.#connection.up) return;
    const askedAt = this.#deps.clock.now();
    const reply = await this.#connection.run<readonly Entry[]>(HEAR, keys.map(keyOf), []);
    if (!reply) return;
    const now = this.#deps.clock.now();
    const found = new Map(reply.map((entry) => [keys[entry[0] - 1], entry]));
    for (const key of keys) {
      const topic = this.#topics.get(key);
      if (topic) topic.hint = this.#hintOf(found.get(key), topic.hint, { askedAt, now });
    }
  }

  /** Not what this one said itself. One that is known already stays as it was first heard. */
  #hintOf(
    entry: Entry | undefined,
    known: Hint | undefined,
    { askedAt, now }: { readonly askedAt: number; readonly now: number },
  ): Hint | undefined {
    if (!entry) return undefined;
    const [, leftMs, ageMs, id] = entry;
    if (id === known?.id) return known;
    if (id.startsWith(this.#origin)) return undefined;
    return { id, toldAt: now - ageMs, until: askedAt + leftMs };
  }
}

const keyOf = (key: string): string => `hint:${key}`;
