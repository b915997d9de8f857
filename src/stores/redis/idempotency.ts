/**
 * Keys of calls that sidecars share. What this process has done it knows by itself, whatever becomes of Redis; what
 * Redis was not told while it was away, it is told when it is back.
 */
import { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { decodeAnswer, encodeAnswer } from '../../algorithms/answer-encoding.ts';
import type { Clock } from '../../core/clock.ts';
import type {
  ClaimReply,
  ClaimRequest,
  IdempotencyStore,
  KeyClaim,
  KeyedResult,
  OpenIdempotencyStore,
  StoreUsage,
} from '../../core/idempotency-store.ts';
import { MemoryIdempotency } from '../memory/idempotency.ts';
import type { RedisConnection } from './connection.ts';
import { CLAIM, COMPLETE, RELEASE, RENEW } from './idempotency-scripts.ts';
import { Outbox } from './outbox.ts';
import type { Message } from './outbox.ts';

/** The claim is granted, or: state, fingerprint and result. */
type Reply = readonly [Uint8Array] | readonly [Uint8Array, Uint8Array, Uint8Array];

interface RedisIdempotencyInit {
  readonly clock: Clock;
  /** Default: a new one. */
  readonly owner?: string | undefined;
}

export class RedisIdempotency implements IdempotencyStore {
  readonly leases = true;
  readonly own: MemoryIdempotency;
  readonly #connection: RedisConnection;
  readonly #clock: Clock;
  readonly #outbox: Outbox;
  /** This process, and in it this policy. */
  readonly #owner: string;
  /** Fingerprints of the requests that Redis is being asked for, by key. */
  readonly #asking = new Map<string, string>();
  /** Claims that Redis has not been heard to know, by token: each takes back what it is yet to be told. */
  readonly #untold = new Map<string, () => void>();

  constructor(connection: RedisConnection, own: MemoryIdempotency, init: RedisIdempotencyInit) {
    this.#connection = connection;
    this.own = own;
    this.#clock = init.clock;
    this.#outbox = new Outbox(connection, init.clock);
    this.#owner = init.owner ?? randomUUID();
  }

  get owner(): string {
    return this.#owner;
  }

  get usage(): StoreUsage {
    return this.own.usage;
  }

  async claim(request: ClaimRequest): Promise<ClaimReply> {
    const { key, fingerprint } = request;
    const known = this.own.look(key);
    if (known && !(request.runAgain && isUnknown(known))) return known;
    // To Redis this process is one: it would give it the key twice.
    const asked = this.#asking.get(key);
    if (asked !== undefined) return { kind: 'running', fingerprint: asked };
    this.#asking.set(key, fingerprint);
    try {
      return await this.#ask(request);
    } finally {
      this.#asking.delete(key);
    }
  }

  async #ask(request: ClaimRequest): Promise<ClaimReply> {
    const token = randomUUID();
    const asked = this.#connection.up;
    const reply = asked ? await this.#claimShared(request, token) : undefined;
    if (reply) return reply;
    const kept = request.whenAway === 'run' ? this.own.keep(request, token, false) : undefined;
    if (kept) this.#tellLater(kept.claim);
    // Redis may have granted it all the same.
    else if (asked) this.#tellReleased({ key: request.key, token });
    return kept ?? { kind: request.whenAway === 'run' ? 'full' : 'away' };
  }

  renew(claim: KeyClaim): void {
    void this.#tellHeld(claim);
  }

  complete(claim: KeyClaim, result: KeyedResult): void {
    this.#takeBack(claim);
    this.own.complete(claim, result);
    // Its time was over before it was: nothing is kept of it.
    if (this.#leftMs(claim) <= 0) return this.#tellReleased(claim);
    this.#send(this.#tellResult(claim, result), () => {
      // By the time that Redis is back, an answer may have had to make room.
      const known = this.own.look(claim.key);
      return known?.kind === 'done' ? this.#tellResult(claim, known.result) : NOTHING_TO_TELL;
    });
  }

  release(claim: KeyClaim): void {
    this.#takeBack(claim);
    this.own.release(claim);
    this.#tellReleased(claim);
  }

  async #claimShared(request: ClaimRequest, token: string): Promise<ClaimReply | undefined> {
    const { key, fingerprint, leaseMs, ttlMs, runAgain } = request;
    const args = [token, this.#owner, fingerprint, leaseMs, ttlMs, runAgain ? '1' : '0'];
    const reply = await this.#connection.run<Reply>(CLAIM, [keyOf(request)], args, { binary: true });
    if (!reply) return undefined;
    const [state, theirs, body] = reply;
    if (theirs && body) return told(textOf(state), textOf(theirs), body);
    const kept = this.own.keep(request, token, true);
    if (!kept) this.#tellReleased({ key, token });
    return kept ?? { kind: 'full' };
  }

  /** Makes a claim known that nobody was heard to grant, or makes it last. Somebody else's stays what it is. */
  #tellHeld(claim: KeyClaim): Promise<unknown> {
    const args = [claim.token, this.#owner, claim.fingerprint, claim.leaseMs, this.#leftMs(claim)];
    return this.#connection.run(RENEW, [keyOf(claim)], args);
  }

  /** As soon as Redis answers, not only when the claim is to be renewed. */
  #tellLater(claim: KeyClaim): void {
    const takeBack = this.#outbox.add(async () => {
      const heard = await this.#tellHeld(claim);
      if (heard !== undefined) this.#untold.delete(claim.token);
      return heard;
    });
    this.#untold.set(claim.token, takeBack);
  }

  /** It is over: were Redis told now that it runs, it would run for ever. */
  #takeBack({ token }: KeyClaim): void {
    this.#untold.get(token)?.();
    this.#untold.delete(token);
  }

  #tellReleased(claim: Pick<KeyClaim, 'key' | 'token'>): void {
    const tell = (): Promise<unknown> => this.#connection.run(RELEASE, [keyOf(claim)], [claim.token]);
    this.#send(tell(), tell);
  }

  #tellResult(claim: KeyClaim, result: KeyedResult): Promise<unknown> {
    const leftMs = this.#leftMs(claim);
    if (leftMs <= 0) return NOTHING_TO_TELL;
    const args = [claim.token, this.#owner, claim.fingerprint, leftMs, ...written(result)];
    return this.#connection.run(COMPLETE, [keyOf(claim)], args);
  }

  #send(sent: Promise<unknown>, again: Message): void {
    void sent.then((heard) => {
      if (heard === undefined) this.#outbox.add(again);
    });
  }

  #leftMs({ expiresAt }: KeyClaim): number {
    return Math.floor(expiresAt - this.#clock.now());
  }
}

const NOTHING_TO_TELL = Promise.resolve(true);

const keyOf = ({ key }: Pick<KeyClaim, 'key'>): string => `idempotency:${key}`;

const isUnknown = (known: ClaimReply): boolean => known.kind === 'done' && known.result.kind === 'unknown';

/** State and body, see the scripts. */
function written(result: KeyedResult): [string, string | Uint8Array] {
  switch (result.kind) {
    case 'answer':
      return ['a', encodeAnswer(result.answer)];
    case 'unkept':
      return ['n', String(result.status)];
    case 'unknown':
      return ['u', result.why];
  }
}

const told = (state: string, fingerprint: string, body: Uint8Array): ClaimReply =>
  state === 'r' ? { kind: 'running', fingerprint } : { kind: 'done', fingerprint, result: read(state, body) };

function read(state: string, body: Uint8Array): KeyedResult {
  if (state === 'u') return { kind: 'unknown', why: textOf(body) };
  if (state === 'n') return { kind: 'unkept', status: Number(textOf(body)) };
  const answer = decodeAnswer(body);
  return answer ? { kind: 'answer', answer } : { kind: 'unkept', status: 0 };
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

/** @param connection leads to where `local` keys are shared */
export const openRedisIdempotency =
  (connection: RedisConnection, local: OpenIdempotencyStore, clock: Clock): OpenIdempotencyStore =>
  (bounds, previous) => {
    const own = local(bounds, previous);
    if (!(own instanceof MemoryIdempotency)) return own;
    const owner = previous instanceof RedisIdempotency ? previous.owner : undefined;
    return new RedisIdempotency(connection, own, { clock, owner });
  };
