/** Asks the upstream on behalf of those who want an answer, and keeps what may be kept. */
import { freshenedBy } from '../algorithms/conditional-requests.ts';
import { varyOf } from '../algorithms/http-freshness.ts';
import type { AnswerShelf, CachedAnswer } from '../core/answer-store.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import type { Exchange } from '../core/exchange.ts';
import type { Completion, ResponseHead, ResponseOutcome } from '../core/outcome.ts';
import { finalVerdict } from '../core/outcome.ts';
import type { Next } from '../core/policy.ts';
import type { CacheOptions } from '../schema/cache.ts';
import { SharedBody } from '../streams/shared-body.ts';
import type { RecordingMemory } from '../streams/shared-body.ts';
import { Copy, lastingHeaders } from './copy.ts';
import { decide, keepTimeOf, lifetimeBy, whyNot } from './keeping.ts';
import type { Decision, KeepResult, Receipt } from './keeping.ts';
import type { Dependence, Landing } from './landing.ts';
import type { Plan } from './plan.ts';
import type { Voids } from './recent-keys.ts';
import { shelve } from './shelf.ts';

export interface FetcherDeps {
  readonly clock: Clock;
  readonly shelf: AnswerShelf;
  readonly memory: RecordingMemory;
  readonly voids: Voids;
  readonly onKept: (result: KeepResult) => void;
}

export interface Errand {
  readonly plan: Plan;
  /** The request as it is sent, with its conditions where it has any. */
  readonly asked: Exchange;
  /** What is kept, if anything. */
  readonly copy: Copy | undefined;
  /** The same without conditions; undefined where it has none that are about the copy. */
  readonly unconditional: (() => Exchange) | undefined;
  readonly next: Next<Exchange>;
  readonly cancellation: Cancellation;
  /** Others may be waiting for it. */
  readonly shares: boolean;
}

export class Fetcher {
  readonly #options: CacheOptions;
  readonly #deps: FetcherDeps;

  constructor(options: CacheOptions, deps: FetcherDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  async fetch(errand: Errand): Promise<Landing> {
    const { clock, shelf, voids } = this.#deps;
    const { plan, copy, unconditional } = errand;
    const askedAt = clock.now();
    const since = voids.now;
    const outcome = await errand.next(errand.asked, errand.cancellation);
    if (outcome.kind !== 'response') return { kind: 'none', outcome };
    // Time spent on other tries, or waiting for one, has not aged this answer.
    const triedAt = errand.asked.attempts[(outcome.attempt ?? 0) - 1]?.startedAt ?? askedAt;
    const receipt = { at: clock.now(), atMs: clock.wallMs(), tookMs: clock.now() - triedAt };
    if (outcome.head.status !== 304 || !copy || !unconditional)
      return this.#receive(errand, outcome, { receipt, since });
    outcome.body.discard();
    const head = freshenedBy(copy.cached.answer.head, outcome.head.headers);
    if (head) return this.#freshen(errand, copy, { head, receipt, since });
    // It speaks of another answer than ours, which is worth nothing then.
    shelf.drop(plan.key.group);
    return this.fetch({ ...errand, asked: unconditional(), copy: undefined, unconditional: undefined });
  }

  /** The stored answer is as good as new. */
  #freshen(
    errand: Errand,
    copy: Copy,
    { head, receipt, since }: { head: ResponseHead; receipt: Receipt; since: number },
  ): Landing {
    const { clock, shelf, voids } = this.#deps;
    const { plan, asked } = errand;
    const lifetime = lifetimeBy(plan, head, receipt);
    const lasting = { ...head, headers: lastingHeaders(head.headers) };
    const cached = { ...copy.cached, ...lifetime, answer: { ...copy.cached.answer, head: lasting } };
    const keepForMs = whyNot(plan, head) ? 0 : keepTimeOf(plan, { head, lifetime }, this.#options);
    if (keepForMs > 0 && !voids.wasVoided(plan.key.group, since))
      shelve(shelf, plan, { cached, keepForMs, headers: asked.request.headers });
    else shelf.drop(plan.key.group);
    const fresh = new Copy({ shelved: cached, heldForMs: 0 }, plan.kind, clock);
    return {
      kind: 'copy',
      copy: fresh,
      dependsOn: dependenceOf(errand, head, keepForMs > 0 && fresh.ttlMs > 0),
    };
  }

  #receive(
    errand: Errand,
    outcome: ResponseOutcome,
    { receipt, since }: { receipt: Receipt; since: number },
  ): Landing {
    const { plan, asked, shares } = errand;
    const decision = decide(plan, { exchange: asked, outcome, receipt }, this.#options);
    const keeps = decision.against === undefined;
    if (decision.against && asked.request.method !== 'HEAD') this.#deps.onKept(decision.against);
    if (!keeps && contradicts(errand, outcome)) this.#deps.shelf.drop(plan.key.group);
    if (!keeps && !(shares && decision.shareable)) return { kind: 'own', outcome };
    const { clock, memory } = this.#deps;
    const body = new SharedBody(outcome.body, { clock, memory, maxBytes: this.#options.maxEntryBytes });
    // Not by the end of what it reads: that may have come before anybody could join.
    body.onEnd((completion) => {
      if (keeps)
        this.#deps.onKept(this.#store(errand, { outcome, body, completion, decision, receipt, since }));
      body.forget();
    });
    const { ageMs, freshForMs } = decision.lifetime;
    const dependsOn = dependenceOf(errand, outcome.head, keeps && freshForMs > ageMs);
    return { kind: 'shared', outcome, body, keeps, dependsOn };
  }

  #store({ plan, asked }: Errand, end: Ending): KeepResult {
    const { clock, shelf, voids } = this.#deps;
    const { outcome, body, completion, decision, receipt, since } = end;
    if (completion.end !== 'complete' || finalVerdict(outcome, completion).class !== 'ok') return 'not-good';
    const recording = body.recording();
    if (!recording) return 'too-large';
    if (plan.kind !== 'http' && recording.bytes === 0) return 'not-good';
    if (voids.wasVoided(plan.key.group, since)) return 'outdated';
    const tookMs = clock.now() - receipt.at;
    const { ageMs, freshForMs } = decision.lifetime;
    // An operator's time begins when the answer is whole.
    const extraMs = plan.kind === 'http' ? 0 : tookMs;
    const { head } = outcome;
    const cached: CachedAnswer = {
      kind: 'answer',
      answer: {
        head: { ...head, headers: lastingHeaders(head.headers) },
        chunks: compact(recording.chunks, recording.bytes),
        trailers: recording.trailers,
      },
      path: plan.path,
      ageMs: ageMs + tookMs,
      freshForMs: freshForMs + extraMs,
    };
    shelve(shelf, plan, { cached, keepForMs: decision.keepForMs, headers: asked.request.headers });
    return 'stored';
  }
}

/** The upstream is well, and says something else than what is kept. A 304 here speaks of what the client has. */
function contradicts({ asked, copy, unconditional }: Errand, { head, verdict }: ResponseOutcome): boolean {
  if (!copy || head.status === 304 || (verdict.class !== 'ok' && verdict.class !== 'permanent')) return false;
  return asked.request.method !== 'HEAD' || unconditional !== undefined;
}

interface Ending {
  readonly outcome: ResponseOutcome;
  readonly body: SharedBody;
  readonly completion: Completion;
  readonly decision: Decision;
  readonly receipt: Receipt;
  readonly since: number;
}

/** A GET's answer that is not fresh is nobody else's, unless others ask in the very same way. */
const dependenceOf = ({ plan, asked }: Errand, { headers }: ResponseHead, isFresh: boolean): Dependence => ({
  names: plan.kind === 'http' && !isFresh ? 'all' : varyOf(headers),
  exchange: asked,
});

/** The same chunks in memory of their own: what came from a socket may be a small part of something large. */
function compact(chunks: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const all = new Uint8Array(bytes);
  let at = 0;
  return chunks.map((chunk) => {
    all.set(chunk, at);
    at += chunk.length;
    return all.subarray(at - chunk.length, at);
  });
}
