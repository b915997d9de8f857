/**
 * A ladder of other answers for when the upstream has none: another upstream, a stale answer, a static one. It stands
 * outside everything, so that it can answer for any ending below, refusals and exhausted time included.
 */
import { z } from 'zod';
import { Cancellation, unlessCancelled } from '../core/cancellation.ts';
import { sleep } from '../core/clock.ts';
import type { Exchange } from '../core/exchange.ts';
import { discard, whenOver } from '../core/outcome.ts';
import type { Outcome } from '../core/outcome.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import { REASONS } from '../core/reasons.ts';
import type { Reason } from '../core/reasons.ts';
import { verdictOf } from '../core/verdict.ts';
import { positiveDuration } from '../schema/scalars.ts';
import { statusMatcher } from '../algorithms/status-ranges.ts';
import { statusRange } from '../schema/status.ts';
import { STEP_CLASSES, StaleStep, StaticStep, UpstreamStep } from '../ladder/steps.ts';
import { staleStep, staticStep, upstreamStep } from '../ladder/steps.ts';
import type { Step } from '../ladder/steps.ts';

export type FallbackTrigger = Reason | 'status' | 'slow';

declare module '../core/events.ts' {
  interface EventMap {
    /** A step of the ladder was taken. */
    'fallback-taken': {
      readonly exchange: Exchange;
      readonly upstream: string;
      /** `static`, `cache`, or the name of the upstream that was asked. */
      readonly step: string;
      readonly trigger: FallbackTrigger;
      readonly answered: boolean;
    };
  }
}

const triggerSchema = z
  .strictObject({
    classes: z
      .array(STEP_CLASSES)
      .default(['transient', 'throttled', 'overloaded', 'quota', 'auth', 'refused'])
      .describe('Classes of outcomes that lead to the ladder.'),
    statuses: z.array(statusRange).default([]).describe('Response statuses that do so whatever their class.'),
    reasons: z
      .array(z.enum(Object.keys(REASONS) as [Reason, ...Reason[]]))
      .default(['tls_certificate_error'])
      .describe('Failure and refusal reasons that do so whatever their class.'),
  })
  .prefault({})
  .describe('What leads to the ladder, and from one step to the next.');

const stepSchema = z.union([upstreamStep, staleStep, staticStep]);

const ladderSchema = z.strictObject({
  after: positiveDuration
    .optional()
    .describe('Take the ladder when the upstream has not begun to answer by then.'),
  on: triggerSchema,
  steps: z.array(stepSchema).min(1).describe('Steps in order; the first that answers wins.'),
});

export const fallbackSchema = z
  .union([z.array(stepSchema).min(1), ladderSchema])
  .describe('What to answer when the upstream cannot: a list of steps, or `after`, `on` and `steps`.');

export type FallbackOptions = z.output<typeof fallbackSchema>;
type Ladder = z.output<typeof ladderSchema>;

const ladderOf = (options: FallbackOptions): Ladder =>
  Array.isArray(options) ? { steps: options, on: triggerSchema.parse({}) } : options;

/** Names of the upstreams that a ladder may ask, in order. */
export const fallbackTargets = (options: FallbackOptions): string[] =>
  ladderOf(options).steps.flatMap((step) => ('upstream' in step ? [step.upstream] : []));

/** Number of the first step that answers with what is stale; below 0 where there is none. */
export const staleStepOf = (options: FallbackOptions): number =>
  ladderOf(options).steps.findIndex((step) => 'cache' in step);

function liveStep(step: z.output<typeof stepSchema>, deps: PolicyDeps): Step {
  if ('upstream' in step) return new UpstreamStep(step, deps);
  return 'cache' in step ? new StaleStep(step) : new StaticStep(step);
}

class Fallback implements Policy<Exchange> {
  readonly name = 'fallback';
  readonly #ladder: Ladder;
  readonly #steps: readonly Step[];
  readonly #deps: PolicyDeps;
  readonly #triggerStatus: (status: number) => boolean;

  constructor(options: FallbackOptions, deps: PolicyDeps) {
    this.#ladder = ladderOf(options);
    this.#deps = deps;
    this.#triggerStatus = statusMatcher(this.#ladder.on.statuses);
    this.#steps = this.#ladder.steps.map((step) => liveStep(step, deps));
  }

  async run(exchange: Exchange, next: Next<Exchange>, cancellation: Cancellation): Promise<Outcome> {
    // Nobody else's answer will do.
    if (exchange.pinnedTo !== undefined) return next(exchange, cancellation);
    const { after } = this.#ladder;
    const primary = after === undefined ? cancellation : new Cancellation(cancellation);
    const pending = next(exchange, primary);
    const first = await (after === undefined
      ? pending
      : this.#inTime(pending, exchange, { after, primary, cancellation }));
    if (first === 'slow') return this.#climb(exchange, cancellation, { trigger: 'slow', worst: undefined });
    const trigger = this.#triggerOf(first) ?? this.#specialTriggerOf(first);
    if (trigger === undefined || cancellation.cancelled) return first;
    return this.#climb(exchange, cancellation, { trigger, worst: first });
  }

  snapshot(): Snapshot {
    return { afterMs: this.#ladder.after ?? null, steps: this.#steps.map(({ name }) => name) };
  }

  dispose(): void {
    // Nothing is held.
  }

  /** The upstream's own outcome, or `slow` when it has not begun in time; it is given up then. */
  async #inTime(
    pending: Promise<Outcome>,
    exchange: Exchange,
    { after, primary, cancellation }: { after: number; primary: Cancellation; cancellation: Cancellation },
  ): Promise<Outcome | 'slow'> {
    const timer = new Cancellation(primary);
    const winner = await Promise.race([
      pending,
      sleep(this.#deps.clock, after, timer).then(
        (waited) => waited === 'elapsed' && this.#canServe(exchange),
      ),
    ]);
    timer.detach();
    timer.cancel('superseded');
    const tooSlow = winner === true;
    if (tooSlow) primary.cancel('superseded');
    const outcome = await pending;
    whenOver(outcome, () => primary.detach());
    if (!tooSlow || cancellation.cancelled) return outcome;
    discard(outcome);
    return 'slow';
  }

  /** Nobody gives up an answer that may come for a ladder without a step. */
  async #canServe(exchange: Exchange): Promise<boolean> {
    for (const step of this.#steps)
      if (this.#isFor(step, undefined) && (await step.prepare(exchange))) return true;
    return false;
  }

  /** @param start.worst what to answer when no step can: the upstream's own ending, kept until then */
  async #climb(
    exchange: Exchange,
    cancellation: Cancellation,
    start: { trigger: FallbackTrigger; worst: Outcome | undefined },
  ): Promise<Outcome> {
    let { worst, trigger } = start;
    let last = worst;
    for (const step of this.#steps) {
      if (!this.#isFor(step, last)) continue;
      // A step may wait for the rest of an upload; whoever ends the exchange does not.
      const take = await unlessCancelled(step.prepare(exchange), cancellation);
      if (cancellation.cancelled) break;
      if (!take) continue;
      const outcome = await take(cancellation);
      const failed = this.#triggerOf(outcome) ?? this.#specialTriggerOf(outcome);
      const { upstream, emit } = this.#deps;
      emit('fallback-taken', {
        exchange,
        upstream,
        step: step.name,
        trigger,
        answered: failed === undefined && outcome.verdict.class !== 'abandoned',
      });
      if (failed === undefined || cancellation.cancelled) {
        if (worst) discard(worst);
        return outcome;
      }
      trigger = failed;
      last = outcome;
      if (worst) discard(outcome);
      else worst = outcome;
    }
    return (
      worst ?? { kind: 'rejection', reason: 'no_endpoint', by: this.name, verdict: verdictOf('refused') }
    );
  }

  /** A class that `on` leaves alone, but some step is for. */
  #specialTriggerOf(outcome: Outcome): FallbackTrigger | undefined {
    const { class: name } = outcome.verdict;
    if (!this.#steps.some(({ classes }) => classes?.has(name))) return undefined;
    return outcome.kind === 'response' ? 'status' : outcome.reason;
  }

  /** A step that names its classes is for these alone; one that does not, for what `on` says. */
  #isFor({ classes, except }: Step, last: Outcome | undefined): boolean {
    if (!last) return classes === undefined;
    if (classes) return classes.has(last.verdict.class);
    return except?.has(last.verdict.class) !== true && this.#triggerOf(last) !== undefined;
  }

  /** Undefined: this outcome is an answer. */
  #triggerOf(outcome: Outcome): FallbackTrigger | undefined {
    if (outcome.verdict.class === 'abandoned') return undefined;
    // What the operator wrote as the answer is one, whatever its status.
    if (outcome.kind === 'response' && outcome.from === 'fallback') return undefined;
    const { classes, reasons } = this.#ladder.on;
    const listed = (classes as readonly string[]).includes(outcome.verdict.class);
    if (outcome.kind === 'response')
      return listed || this.#triggerStatus(outcome.head.status) ? 'status' : undefined;
    return listed || reasons.includes(outcome.reason) ? outcome.reason : undefined;
  }
}

export const fallback: PolicyModule<Exchange, typeof fallbackSchema> = {
  name: 'fallback',
  key: 'fallback',
  schema: fallbackSchema,
  onByDefault: false,
  build: (options, deps) => new Fallback(options, deps),
};
