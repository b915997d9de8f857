/**
 * Puts one of this upstream's own credentials on an attempt, instead of whatever the client sent, and learns from what
 * becomes of it which of them can be used. It stands outside the commit gate and the transport, so that it sees what each
 * key is told, and inside selection, because keys belong to attempts.
 */
import { z } from 'zod';
import { KeyPool } from '../algorithms/key-pool.ts';
import type { KeyChange } from '../algorithms/key-pool.ts';
import type { KeyTimes, OutCause } from '../algorithms/key-state.ts';
import { withoutCredentialParameters } from '../algorithms/rewrite-request.ts';
import type { Cancellation } from '../core/cancellation.ts';
import { CREDENTIAL_HEADERS } from '../core/credential-headers.ts';
import type { Attempt, Exchange } from '../core/exchange.ts';
import type { HintStore } from '../core/hint-store.ts';
import { withoutHeaders } from '../core/header-list.ts';
import type { FailureOutcome, Outcome, RejectionOutcome, ResponseOutcome } from '../core/outcome.ts';
import type { Instants, PersistentState } from '../core/persistence.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import type { Reason } from '../core/reasons.ts';
import { verdictOf } from '../core/verdict.ts';
import type { Verdict, VerdictClass } from '../core/verdict.ts';
import { credentialsSchema, keysOf } from '../schema/credentials.ts';
import type { CredentialsOptions, Key } from '../schema/credentials.ts';
import { savedInstant } from '../schema/saved.ts';
import { count } from '../schema/scalars.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** A key was throttled and rests. */
    'credential-cooling': {
      readonly upstream: string;
      readonly credential: string;
      readonly forMs: number;
      /** Another sidecar said so. */
      readonly hinted: boolean;
    };
    /** A key is not accepted any more. `forMs` is Infinity when no time brings it back. */
    'credential-out': {
      readonly upstream: string;
      readonly credential: string;
      readonly cause: OutCause;
      readonly forMs: number;
    };
    /** A key can be used again. */
    'credential-back': {
      readonly upstream: string;
      readonly credential: string;
      readonly after: 'cooling' | 'out';
    };
    /** A call was refused because no key could be used. */
    'credential-missing': { readonly exchange: Exchange; readonly upstream: string; readonly reason: Reason };
  }
}

/** Classes of outcomes that concern the key: turned away at the door, before any work. */
const TURNED_AWAY: ReadonlySet<VerdictClass> = new Set<VerdictClass>(['throttled', 'quota', 'auth']);

/**
 * Statuses that may be about what was asked for (a model that is not permitted, a call that is too dear) as well as about
 * the key. Only a key that is accepted for the same call shows which: else one bad request could put every key out.
 */
const AMBIGUOUS: ReadonlySet<number | undefined> = new Set([402, 403]);

const isAmbiguous = (
  verdict: Verdict,
  status: number | undefined,
): verdict is Verdict & { readonly class: OutCause } =>
  (verdict.class === 'quota' || verdict.class === 'auth') && AMBIGUOUS.has(status);

const savedSchema = z.object({
  keys: z.array(
    z.object({
      /** Digest of the value. */
      id: z.string(),
      name: z.enum(['ready', 'cooling', 'out']),
      cause: z.enum(['quota', 'auth']),
      until: savedInstant,
      coolDowns: count,
    }),
  ),
});

export class Credentials implements Policy<Attempt> {
  readonly name = 'credentials';
  readonly #header: string;
  readonly #removed: ReadonlySet<string>;
  readonly #pool: KeyPool<Key>;
  readonly #deps: PolicyDeps;
  readonly #hints: HintStore;

  constructor(options: CredentialsOptions, deps: PolicyDeps, previous: Policy<Attempt> | undefined) {
    this.#header = options.header;
    this.#removed = new Set([...CREDENTIAL_HEADERS, options.header.toLowerCase()]);
    this.#deps = deps;
    this.#hints = deps.stores(options.shared).hints;
    this.#pool = new KeyPool(
      keysOf(options),
      {
        times: timesOf(options),
        random: deps.random,
        now: () => deps.clock.now(),
        onChange: (change) => this.#tell(change),
        heard: (id) => this.#hints.heard(this.#hintKey(id)),
      },
      previous instanceof Credentials ? previous.#pool : undefined,
    );
  }

  async run(attempt: Attempt, next: Next<Attempt>, cancellation: Cancellation): Promise<Outcome> {
    const { exchange } = attempt;
    const key =
      this.#pool.named(attempt.boundCredential) ??
      this.#pool.pick(earlierOf(attempt).map(({ credential = '' }) => credential));
    if (!key) return this.#refuse(exchange);
    attempt.credential = key.name;
    const headers = withoutHeaders(attempt.headers, this.#removed);
    headers.push(this.#header, key.value);
    attempt.replaceHeaders(headers);
    const known = exchange.upstream.dialect.name !== 'generic';
    attempt.replaceTarget(withoutCredentialParameters(attempt.target, known ? 'all' : 'sure'));
    const outcome = await next(attempt, cancellation);
    if (outcome.kind !== 'rejection') return this.#learn(attempt, key.name, withoutSecret(outcome, key));
    this.#pool.release(key.name, attempt.startedAt);
    return outcome;
  }

  /** Makes a key usable at once, whatever was learnt of it. @returns false when there is none of that name */
  reset(name: string): boolean {
    const id = this.#pool.idOf(name);
    if (id !== undefined) this.#hints.takeBack(this.#hintKey(id));
    return this.#pool.reset(name);
  }

  get keyNames(): readonly string[] {
    return this.#pool.names;
  }

  /** Every key with its state. */
  get keys(): ReturnType<KeyPool<Key>['view']> {
    return this.#pool.view();
  }

  snapshot(): Snapshot {
    const keys = this.keys.map(({ name, state, waitMs }) => ({
      name,
      state,
      usableInMs: Number.isFinite(waitMs) ? Math.round(waitMs) : null,
    }));
    return { header: this.#header, keys };
  }

  capture(instants: Instants): PersistentState | undefined {
    const keys = this.#pool.memories.map((one) => ({ ...one, until: instants.toSaved(one.until) }));
    return keys.length > 0 ? { keys } : undefined;
  }

  restore(saved: unknown, instants: Instants): boolean {
    const { data } = savedSchema.safeParse(saved);
    for (const { id, until, ...memory } of data?.keys ?? [])
      this.#pool.restore(id, { ...memory, until: instants.fromSaved(until, Number.POSITIVE_INFINITY) });
    return data !== undefined;
  }

  dispose(): void {
    // Nothing is held.
  }

  #learn(attempt: Attempt, key: string, outcome: ResponseOutcome | FailureOutcome): Outcome {
    const verdict = attempt.judge(outcome);
    const status = outcome.kind === 'response' ? outcome.head.status : undefined;
    // What fails on trial has been found bad before.
    if (!isAmbiguous(verdict, status) || this.#pool.isOut(key)) this.#note(attempt, key, verdict);
    if (verdict.class === 'ok' && outcome.kind === 'response') {
      this.#blameOthers(attempt);
      // A stream can be turned away in its middle, too.
      if (!outcome.tunnel) outcome.body.onEnd(({ verdict: end }) => end && this.#note(attempt, key, end));
    }
    return TURNED_AWAY.has(verdict.class) ? this.#turnedAway(attempt, outcome, verdict) : outcome;
  }

  #note(attempt: Attempt, key: string, verdict: Verdict): void {
    const { startedAt } = attempt;
    const askedMs = verdict.retryAfterMs;
    switch (verdict.class) {
      case 'ok':
        this.#pool.accept(key, startedAt);
        break;
      case 'throttled':
        this.#cool(key, startedAt, askedMs);
        break;
      case 'quota':
      case 'auth':
        this.#pool.takeOut(key, verdict.class, { startedAt, ...(askedMs !== undefined && { askedMs }) });
        break;
      default:
        this.#pool.release(key, attempt.startedAt);
    }
  }

  #cool(key: string, startedAt: number, askedMs: number | undefined): void {
    const forMs = this.#pool.cool(key, startedAt, askedMs);
    const id = this.#pool.idOf(key);
    if (forMs > 0 && id !== undefined) this.#hints.tell(this.#hintKey(id), forMs);
  }

  /** One value may have other limits at another upstream. */
  #hintKey(id: string): string {
    return `credential:${this.#deps.owner}:${id}`;
  }

  /** This call was accepted with another key than those before: it was they who were at fault. */
  #blameOthers(accepted: Attempt): void {
    for (const { verdict, status, credential, startedAt } of earlierOf(accepted)) {
      if (credential === undefined || credential === accepted.credential) continue;
      if (verdict && isAmbiguous(verdict, status))
        this.#pool.takeOut(credential, verdict.class, { startedAt });
    }
  }

  #turnedAway(attempt: Attempt, outcome: ResponseOutcome | FailureOutcome, verdict: Verdict): Outcome {
    const refused = [attempt, ...earlierOf(attempt)].filter((one) =>
      TURNED_AWAY.has(one.verdict?.class ?? 'ok'),
    );
    if (this.#pool.hasOther(refused.map(({ credential = '' }) => credential)))
      return { ...outcome, otherCredential: true };
    if (verdict.class !== 'throttled') return outcome;
    const { waitMs = 0 } = this.#pool.shortage();
    if (waitMs === 0) return outcome;
    // Another try helps as soon as any key can be used, and not before.
    attempt.verdict = { ...verdict, retryAfterMs: waitMs };
    return { ...outcome, verdict: attempt.verdict };
  }

  #refuse(exchange: Exchange): RejectionOutcome {
    const { cause, waitMs } = this.#pool.shortage();
    const { emit, upstream } = this.#deps;
    const reason = cause === 'throttled' ? 'credentials_cooling' : 'no_credential';
    emit('credential-missing', { exchange, upstream, reason });
    return {
      kind: 'rejection',
      reason,
      by: this.name,
      verdict: verdictOf(cause, waitMs),
      ...(waitMs !== undefined && { retryAfterMs: waitMs }),
    };
  }

  #tell({ name: credential, from, to, cause, waitMs: forMs, hinted }: KeyChange): void {
    const { emit, upstream } = this.#deps;
    if (to === 'cooling') emit('credential-cooling', { upstream, credential, forMs, hinted });
    else if (to === 'out') emit('credential-out', { upstream, credential, cause, forMs });
    else if (from !== 'ready') emit('credential-back', { upstream, credential, after: from });
  }
}

/** Shorter ones are no secrets, and would be found everywhere. */
const MIN_SECRET_CHARS = 8;

/** What a service says of a key must not carry it into an answer of ours. */
function withoutSecret<O extends ResponseOutcome | FailureOutcome>(outcome: O, { value }: Key): O {
  if (outcome.kind !== 'failure') return outcome;
  // Without a word such as Bearer.
  const bare = value.slice(value.lastIndexOf(' ') + 1);
  if (bare.length < MIN_SECRET_CHARS || !outcome.detail.includes(bare)) return outcome;
  return { ...outcome, detail: outcome.detail.replaceAll(bare, '***') };
}

/** The attempts that the same call has made at the same upstream before this one. */
function earlierOf(attempt: Attempt): readonly Attempt[] {
  const { exchange } = attempt;
  if (exchange.attempts.length === 1) return [];
  return exchange.attempts.filter(
    (one) => one !== attempt && one.exchange.upstream.name === exchange.upstream.name,
  );
}

function timesOf({ coolDown, retryOutAfter }: CredentialsOptions): KeyTimes {
  return {
    initialMs: coolDown.initial,
    maxMs: coolDown.max,
    maxRetryAfterMs: coolDown.maxRetryAfter,
    outMs: retryOutAfter === false ? Number.POSITIVE_INFINITY : retryOutAfter,
  };
}

export const credentials: PolicyModule<Attempt, typeof credentialsSchema> = {
  name: 'credentials',
  key: 'credentials',
  schema: credentialsSchema,
  onByDefault: false,
  // What a key was told at one endpoint holds at the others: they belong to one service.
  sharedByEndpoints: true,
  build: (options, deps, previous) => new Credentials(options, deps, previous),
};
