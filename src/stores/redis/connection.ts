/**
 * The way to the Redis server that sidecars share. It is never waited for longer than a bound: a command gets its reply
 * in time, or nothing, and whoever asked decides without. Once that has happened several times in a row, or the connection
 * is lost, nobody waits any more until a probe in the background has found Redis back.
 */
import type { Clock, TimerHandle } from '../../core/clock.ts';
import type { Emit } from '../../core/events.ts';
import type { Random } from '../../core/random.ts';
import type { RedisOptions } from '../../schema/redis.ts';
import { RedisClient, loadLibrary } from './client.ts';
import type { Reply } from './client.ts';
import { errorCode } from './error-code.ts';
import { Lateness, afterReading } from './lateness.ts';
import { ProbeDelays } from './probe-delays.ts';
import { redisScript } from './script.ts';
import type { RedisScript } from './script.ts';

/** `late`: no reply in time. `failed`: an error, or the connection was lost. `away`: not asked, for Redis is away. */
export type CommandResult = 'ok' | 'late' | 'failed' | 'away';

declare module '../../core/events.ts' {
  interface EventMap {
    /** Redis does not answer, not in time again and again, or with errors: everyone decides locally. Once an outage. */
    'store-away': { readonly reason: string };
    /** Redis is shared again. */
    'store-back': { readonly reason: string; readonly awayMs: number };
    /** A command was to be sent. */
    'store-command': { readonly script: string; readonly result: CommandResult; readonly tookMs: number };
  }
}

export interface RedisDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
}

/** It writes, for a server that only lets itself be read is of no use. */
const PROBE = redisScript('probe', "redis.call('SET', KEYS[1], '1', 'PX', 1000) return 1");

type State =
  /** Nothing has been tried. */
  'new' | 'connecting' | 'up' | 'away' | 'closed';

/** A command that waits for its reply. */
interface UnderWay {
  end(result: 'late' | 'failed'): unknown;
}

export class RedisConnection {
  readonly #options: RedisOptions;
  readonly #deps: RedisDeps;
  readonly #delays: ProbeDelays;
  readonly #lateness: Lateness;
  readonly #underWay = new Set<UnderWay>();
  #state: State = 'new';
  #client: RedisClient | undefined;
  #opening: Promise<void> | undefined;
  #outage = { since: 0, reason: '' };
  #probeTimer: TimerHandle | undefined;

  constructor(options: RedisOptions, deps: RedisDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#delays = new ProbeDelays(deps.random);
    this.#lateness = new Lateness(deps.clock, options.timeout, () => this.#lost(this.#client, 'timeout'));
  }

  /** Redis is asked. */
  get up(): boolean {
    return this.#state === 'up';
  }

  /** It was given up for good. */
  get closed(): boolean {
    return this.#state === 'closed';
  }

  /** Begins to connect. Resolves when Redis is up or known to be away, within about `connectTimeout`. Never rejects. */
  open(): Promise<void> {
    if (this.#state === 'new') {
      this.#state = 'connecting';
      // Not within the bound for connections: it says nothing about Redis.
      this.#opening = loadLibrary().then(() => this.#probe());
    }
    return this.#opening ?? Promise.resolve();
  }

  /**
   * Runs a script in one step. Nothing that it may have done is undone when its reply comes too late.
   *
   * @param keys without the prefix of all keys
   * @param options `binary`: strings of the reply are bytes
   * @returns its reply; undefined when Redis is away, slow or says no: at once, or after `timeout`. Never rejects.
   */
  run<T>(
    script: RedisScript,
    keys: readonly string[],
    args: readonly (string | number | Uint8Array)[],
    { binary = false }: { readonly binary?: boolean } = {},
  ): Promise<T | undefined> {
    const client = this.#state === 'up' ? this.#client : undefined;
    if (!client) {
      this.#deps.emit('store-command', { script: script.name, result: 'away', tookMs: 0 });
      return Promise.resolve(undefined);
    }
    const reply = this.#evaluate(client, script, { keys, args, binary });
    return this.#inTime(reply, client, script.name) as Promise<T | undefined>;
  }

  /** Ends the connection for good; who waits decides without. */
  dispose(): void {
    if (this.#probeTimer) this.#deps.clock.clearTimer(this.#probeTimer);
    this.#probeTimer = undefined;
    this.#state = 'closed';
    this.#lateness.over();
    this.#endAll('failed');
    this.#dropClient();
  }

  get #isClosed(): boolean {
    return this.#state === 'closed';
  }

  #inTime(pending: Promise<Reply>, client: RedisClient, script: string): Promise<Reply | undefined> {
    const { clock, emit } = this.#deps;
    const startedAt = clock.now();
    return new Promise((resolve) => {
      /** False: it is over already. */
      const settle = (result: CommandResult, reply?: Reply): boolean => {
        if (!this.#underWay.delete(command)) return false;
        callOff();
        emit('store-command', { script, result, tookMs: clock.now() - startedAt });
        resolve(reply);
        return true;
      };
      const command: UnderWay = { end: settle };
      this.#underWay.add(command);
      const callOff = afterReading(clock, this.#options.timeout, () => {
        settle('late');
        this.#lateness.late();
      });
      pending.then(
        (reply) => {
          if (settle('ok', reply)) this.#lateness.over();
          else this.#cameLate(client);
        },
        (error: unknown) => {
          settle('failed');
          this.#lost(client, errorCode(error));
        },
      );
    });
  }

  async #evaluate(
    client: RedisClient,
    { sha, lua }: RedisScript,
    { keys, args, binary = false }: Call,
  ): Promise<Reply> {
    const rest = [
      String(keys.length),
      ...keys.map((key) => this.#options.prefix + key),
      ...args.map((arg) => (arg instanceof Uint8Array ? bytesOf(arg) : String(arg))),
    ];
    // The first time as a whole: commands stay in order, and the server knows it from then on.
    if (!client.told.has(sha)) {
      client.told.add(sha);
      return client.command(['EVAL', lua, ...rest], binary);
    }
    try {
      return await client.command(['EVALSHA', sha, ...rest], binary);
    } catch (error) {
      // Somebody had it forget its scripts.
      if (errorCode(error) !== 'NOSCRIPT') throw error;
      return await client.command(['EVAL', lua, ...rest], binary);
    }
  }

  /** Redis lives: it need not be waited for to be probed. */
  #cameLate(client: RedisClient): void {
    if (client !== this.#client) return;
    this.#lateness.cameLate();
    if (this.#state !== 'away' || !this.#probeTimer) return;
    this.#deps.clock.clearTimer(this.#probeTimer);
    this.#probeTimer = undefined;
    void this.#probe();
  }

  /** From now on nobody waits. Said by whoever notices first; `client` may be a former one. */
  #lost(client: RedisClient | undefined, reason: string): void {
    if (!client || client !== this.#client) return;
    if (this.#state === 'away' && this.#probeTimer) this.#dropClient();
    if (this.#state !== 'up') return;
    // Replies come in order: one that is late may yet come, and the connection serves again.
    if (reason !== 'timeout') this.#dropClient();
    this.#lateness.over();
    this.#delays.lost(this.#deps.clock.now());
    this.#goAway(reason);
    this.#endAll(reason === 'timeout' ? 'late' : 'failed');
  }

  #goAway(reason: string): void {
    const { clock, emit } = this.#deps;
    if (this.#state !== 'away') {
      this.#state = 'away';
      this.#outage = { since: clock.now(), reason };
      emit('store-away', { reason });
    }
    this.#probeTimer = clock.setBackgroundTimer(this.#delays.next(), () => {
      this.#probeTimer = undefined;
      void this.#probe();
    });
  }

  /** One try to reach Redis and have it do something, within `connectTimeout` and promptly in the end. */
  async #probe(): Promise<void> {
    if (this.#isClosed) return;
    const reason = await this.#failureOfProbe();
    if (this.#isClosed) return;
    if (reason === undefined) return this.#comeBack();
    this.#dropClient();
    this.#goAway(reason);
  }

  #comeBack(): void {
    const { clock, emit } = this.#deps;
    const wasAway = this.#state === 'away';
    this.#state = 'up';
    this.#delays.back(clock.now());
    const { reason, since } = this.#outage;
    if (wasAway) emit('store-back', { reason, awayMs: clock.now() - since });
  }

  /** Undefined where it succeeded. */
  async #failureOfProbe(): Promise<string | undefined> {
    const client = this.#client ?? new RedisClient(this.#options);
    const isNew = client !== this.#client;
    this.#client = client;
    return new Promise((resolve) => {
      const timer = this.#deps.clock.setTimer(this.#options.connectTimeout, () => {
        client.destroy();
        resolve('timeout');
      });
      const settle = (reason?: string): void => {
        this.#deps.clock.clearTimer(timer);
        resolve(reason);
      };
      const connected = isNew ? this.#connect(client) : Promise.resolve();
      connected
        .then(() => this.#answersPromptly(client))
        .then(
          (promptly) => settle(promptly ? undefined : 'timeout'),
          (error: unknown) => settle(errorCode(error)),
        );
    });
  }

  #connect(client: RedisClient): Promise<void> {
    return client.connect((error) => this.#lost(client, errorCode(error)));
  }

  /** The first answer may have waited behind others; the second must be in time, as any other. */
  async #answersPromptly(client: RedisClient): Promise<boolean> {
    for (const _try of [1, 2]) {
      let isLate = false;
      const callOff = afterReading(this.#deps.clock, this.#options.timeout, () => (isLate = true));
      await this.#evaluate(client, PROBE, { keys: ['probe'], args: [] }).finally(callOff);
      if (!isLate) return true;
    }
    return false;
  }

  #dropClient(): void {
    this.#client?.destroy();
    this.#client = undefined;
  }

  #endAll(result: 'late' | 'failed'): void {
    for (const command of [...this.#underWay]) command.end(result);
  }
}

interface Call {
  readonly keys: readonly string[];
  readonly args: readonly (string | number | Uint8Array)[];
  readonly binary?: boolean;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength);
