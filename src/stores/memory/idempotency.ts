/** Keys of calls, kept by this process alone. At their bounds the oldest answers go first, then the oldest keys. */
import { decodeAnswer, encodeAnswer } from '../../algorithms/answer-encoding.ts';
import type { Clock } from '../../core/clock.ts';
import type {
  ClaimReply,
  ClaimRequest,
  IdempotencyBounds,
  IdempotencyStore,
  KeyClaim,
  KeyedResult,
  OpenIdempotencyStore,
  StoreUsage,
} from '../../core/idempotency-store.ts';

/** What a key takes besides its answer, about. */
const KEY_BYTES = 512;

/** Answers are kept encoded: nothing that they were cut from stays in memory with them. */
type Kept =
  Exclude<KeyedResult, { kind: 'answer' }> | { kind: 'answer'; status: number; readonly encoded: Uint8Array };

interface Entry {
  readonly fingerprint: string;
  readonly token: string;
  readonly expiresAt: number;
  /** Undefined while it runs. */
  result: Kept | undefined;
}

const bytesOf = ({ result }: Entry): number =>
  KEY_BYTES + (result?.kind === 'answer' ? result.encoded.length : 0);

export class MemoryIdempotency implements IdempotencyStore {
  readonly leases = false;
  readonly #clock: Clock;
  #bounds: IdempotencyBounds;
  /** Oldest first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  #tokens = 0;
  #droppedAnswers = 0;
  #evictedKeys = 0;

  constructor(clock: Clock, bounds: IdempotencyBounds) {
    this.#clock = clock;
    this.#bounds = bounds;
  }

  get own(): this {
    return this;
  }

  get usage(): StoreUsage {
    const { size: keys } = this.#entries;
    return {
      keys,
      bytes: this.#bytes,
      droppedAnswers: this.#droppedAnswers,
      evictedKeys: this.#evictedKeys,
    };
  }

  resize(bounds: IdempotencyBounds): void {
    this.#bounds = bounds;
    while (this.#entries.size > bounds.maxEntries && this.#evictOldest());
    this.#makeRoom();
  }

  claim(request: ClaimRequest): ClaimReply {
    const known = this.look(request.key);
    if (known && !(request.runAgain && known.kind === 'done' && known.result.kind === 'unknown'))
      return known;
    const token = String((this.#tokens += 1));
    return this.keep(request, token, false) ?? { kind: 'full' };
  }

  renew(_claim: KeyClaim): void {
    // Who holds a claim here lives as long as the store.
  }

  complete(claim: KeyClaim, result: KeyedResult): void {
    const entry = this.#entryOf(claim);
    if (!entry) return;
    this.#bytes -= bytesOf(entry);
    entry.result = kept(result);
    this.#bytes += bytesOf(entry);
    this.#makeRoom();
  }

  release(claim: KeyClaim): void {
    if (this.#entryOf(claim)) this.#delete(claim.key);
  }

  // --- for a store that knows of others, too

  /** What is known of a key; undefined where nothing is. */
  look(key: string): Extract<ClaimReply, { kind: 'running' | 'done' }> | undefined {
    this.#forgetExpired();
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    if (entry.expiresAt <= this.#clock.now()) {
      this.#delete(key);
      return undefined;
    }
    const { fingerprint, result } = entry;
    return result
      ? { kind: 'done', fingerprint, result: resultOf(result) }
      : { kind: 'running', fingerprint };
  }

  /** Notes a claim; undefined where there is no room for it. */
  keep(
    request: ClaimRequest,
    token: string,
    shared: boolean,
  ): Extract<ClaimReply, { kind: 'claimed' }> | undefined {
    const { key, fingerprint, ttlMs, leaseMs } = request;
    const before = this.#entries.get(key);
    const expiresAt = before?.expiresAt ?? this.#clock.now() + ttlMs;
    this.#delete(key);
    if (this.#entries.size >= this.#bounds.maxEntries && !this.#evictOldest()) return undefined;
    this.#entries.set(key, { fingerprint, token, expiresAt, result: undefined });
    this.#bytes += KEY_BYTES;
    this.#makeRoom();
    return { kind: 'claimed', claim: { key, fingerprint, token, leaseMs, expiresAt, shared } };
  }

  #entryOf({ key, token }: KeyClaim): Entry | undefined {
    const entry = this.#entries.get(key);
    return entry?.token === token ? entry : undefined;
  }

  /** All live equally long, or nearly: the oldest goes first. */
  #forgetExpired(): void {
    const now = this.#clock.now();
    for (const [key, { expiresAt }] of this.#entries) {
      if (expiresAt > now) return;
      this.#delete(key);
    }
  }

  #delete(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#bytes -= bytesOf(entry);
  }

  /** What still runs is not forgotten. */
  #evictOldest(): boolean {
    for (const [key, { result }] of this.#entries) {
      if (!result) continue;
      this.#delete(key);
      this.#evictedKeys += 1;
      return true;
    }
    return false;
  }

  /** To know that a call was made is worth more than its answer: answers go before keys. */
  #makeRoom(): void {
    const { maxBytes } = this.#bounds;
    for (const entry of this.#entries.values()) {
      if (this.#bytes <= maxBytes) return;
      const { result } = entry;
      if (result?.kind !== 'answer') continue;
      this.#bytes -= result.encoded.length;
      entry.result = { kind: 'unkept', status: result.status };
      this.#droppedAnswers += 1;
    }
    while (this.#bytes > maxBytes && this.#evictOldest());
  }
}

function kept(result: KeyedResult): Kept {
  if (result.kind !== 'answer') return result;
  return { kind: 'answer', status: result.answer.head.status, encoded: encodeAnswer(result.answer) };
}

function resultOf(entry: Kept): KeyedResult {
  if (entry.kind !== 'answer') return entry;
  const answer = decodeAnswer(entry.encoded);
  return answer ? { kind: 'answer', answer } : { kind: 'unkept', status: entry.status };
}

export const openMemoryIdempotency =
  (clock: Clock): OpenIdempotencyStore =>
  (bounds, previous) => {
    const before = previous?.own;
    if (!(before instanceof MemoryIdempotency)) return new MemoryIdempotency(clock, bounds);
    before.resize(bounds);
    return before;
  };
