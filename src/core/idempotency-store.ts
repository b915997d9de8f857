/** Who may run a call that has a key, and what became of it: the same for all who send that key. */
import type { StoredAnswer } from './stored-answer.ts';

/** What is known of a call that was run. */
export type KeyedResult =
  | { readonly kind: 'answer'; readonly answer: StoredAnswer }
  /** It was answered with that status; the answer was too large to be kept, had to make room, or cannot be read. */
  | { readonly kind: 'unkept'; readonly status: number }
  /** It may have had its effect, or not. `why`: a reason, or `lost` where the sidecar that ran it is gone. */
  | { readonly kind: 'unknown'; readonly why: string };

export interface ClaimRequest {
  /** Digest of everything that makes a key one's own. */
  readonly key: string;
  /** Digest of the request: two requests with one key must be the same. */
  readonly fingerprint: string;
  /** Milliseconds, counted from the first claim, after which the key is forgotten, or at the end of a run that takes longer. */
  readonly ttlMs: number;
  /** A claim that is not renewed for this long belongs to a sidecar that is gone: nobody knows what it did. */
  readonly leaseMs: number;
  /** Claim a key whose outcome is unknown, too. */
  readonly runAgain: boolean;
  /** What to do when those who share the store cannot be asked: claim it for this process alone, or not at all. */
  readonly whenAway: 'run' | 'refuse';
}

/** The right to run a call, until it is completed or released. */
export interface KeyClaim {
  readonly key: string;
  readonly fingerprint: string;
  /** Tells this claim from all others. */
  readonly token: string;
  readonly leaseMs: number;
  /** Monotonic instant at which the key is forgotten. */
  readonly expiresAt: number;
  /** Everyone knows of it; else this process alone. */
  readonly shared: boolean;
}

export type ClaimReply =
  | { readonly kind: 'claimed'; readonly claim: KeyClaim }
  /** Somebody else runs it. */
  | { readonly kind: 'running'; readonly fingerprint: string }
  | { readonly kind: 'done'; readonly fingerprint: string; readonly result: KeyedResult }
  /** Nobody can say, and it was asked for that. Nothing is claimed. */
  | { readonly kind: 'away' }
  /** So many calls are under way that no more keys can be remembered. */
  | { readonly kind: 'full' };

export interface IdempotencyStore {
  /** Claims must be renewed, about three times in `leaseMs`. */
  readonly leases: boolean;
  /** What this process knows by itself; the store itself where nothing is shared. */
  readonly own: IdempotencyStore;
  /** Never rejects. */
  claim(request: ClaimRequest): ClaimReply | Promise<ClaimReply>;
  renew(claim: KeyClaim): void;
  /** The call was run. */
  complete(claim: KeyClaim, result: KeyedResult): void;
  /** The call had no effect: whoever sends the key next runs it. */
  release(claim: KeyClaim): void;
  readonly usage: StoreUsage;
}

/** What this process keeps. */
export interface StoreUsage {
  readonly keys: number;
  readonly bytes: number;
  /** Answers that made room for others; their keys are known still. */
  readonly droppedAnswers: number;
  /** Keys that were forgotten before their time. */
  readonly evictedKeys: number;
}

export interface IdempotencyBounds {
  readonly maxEntries: number;
  /** Of everything kept, keys included. */
  readonly maxBytes: number;
}

/**
 * Makes a store for one policy.
 * @param previous that of the policy which it follows: what this process knows by itself is taken over
 */
export type OpenIdempotencyStore = (
  bounds: IdempotencyBounds,
  previous?: IdempotencyStore,
) => IdempotencyStore;
