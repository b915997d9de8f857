/**
 * Slows parallel callers down before their provider throttles them: it reads what each answer says about rate limits and
 * lets calls wait while nothing is left. It stands inside retry, so that every try waits for room, and outside the
 * breaker, so that a wait is neither a slow call nor holds a probe.
 */
import { z } from 'zod';
import { KeyedRateLimits } from '../algorithms/keyed-rate-limits.ts';
import type { Ticket } from '../algorithms/keyed-rate-limits.ts';
import { PacedLine } from '../algorithms/paced-line.ts';
import type { Admission, PacedLineOptions, Refusal } from '../algorithms/paced-line.ts';
import { DIMENSIONS, readRateLimits } from '../algorithms/rate-limit-headers.ts';
import type { Demand, LimitState, Obstacle } from '../algorithms/rate-limits.ts';
import { abandonedInLine } from '../core/abandoned.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Exchange } from '../core/exchange.ts';
import type {
  FailureOutcome,
  Outcome,
  RejectionOutcome,
  ResponseHead,
  ResponseOutcome,
} from '../core/outcome.ts';
import type { Instants, PersistentState } from '../core/persistence.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import { verdictOf } from '../core/verdict.ts';
import type { VerdictClass } from '../core/verdict.ts';
import { prioritySchema, rankOf } from '../schema/priority.ts';
import { savedInstant } from '../schema/saved.ts';
import { count, duration, positiveDuration } from '../schema/scalars.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** Calls begin to wait for their provider's limits, the first time in a minute or more. */
    'pacing-began': { readonly upstream: string; readonly obstacle: Obstacle | undefined };
    /** A call has waited. */
    'pacing-waited': {
      readonly exchange: Exchange;
      readonly upstream: string;
      readonly waitedMs: number;
      /** `left`: the client did, or its time was up. */
      readonly end: 'sent' | 'refused' | 'left';
    };
    'pacing-refused': { readonly exchange: Exchange; readonly upstream: string; readonly why: Refusal };
  }
}

export const pacingSchema = z
  .strictObject({
    maxWait: positiveDuration
      .prefault('2m')
      .describe('Longest wait of a call. One that would have to wait longer is refused at once.'),
    maxQueue: count
      .default(100)
      .describe('Most calls that wait at a time; further ones are refused at once.'),
    spread: duration
      .prefault('1s')
      .describe('Time over which those who waited for a reset are let go, with jitter.'),
    maxPause: positiveDuration
      .prefault('10m')
      .describe('Longest pause after a refusal, whatever the provider asks for.'),
    priority: prioritySchema,
  })
  .describe('Lets calls wait while the provider’s own headers say that its rate limit is used up.');

const savedSchema = z.object({
  accounts: z.array(
    z.object({
      /** Digest of the credential; empty: that of the clients. */
      id: z.string(),
      pausedUntil: savedInstant,
      heardAt: savedInstant,
      turnedAway: count,
      disowned: z.boolean(),
      windows: z.array(
        z.object({
          dimension: z.enum(DIMENSIONS),
          limit: z.number().min(0).nullable(),
          remaining: z.number().min(0),
          refilling: z.boolean(),
          heardAt: z.int(),
          resetAt: z.int(),
        }),
      ),
    }),
  ),
});

export type PacingOptions = z.output<typeof pacingSchema>;

/** Bytes of a prompt for each of its tokens, roughly. */
const BYTES_PER_TOKEN = 4;
/** Bodies up to here are parsed for the bound of their answer. */
const MAX_PARSED_BYTES = 65_536;

/** A refusal that names no time pauses for this long, and twice as long each time in a row. */
const FIRST_PAUSE_MS = 1_000;
const LAST_PAUSE_MS = 30_000;

/** Classes of answers that are about the credential: with it nothing can be had. */
const DISOWNED: ReadonlySet<VerdictClass> = new Set<VerdictClass>(['quota', 'auth']);

const REQUEST_ONLY: Demand = { input: 0, output: 0 };

export class Pacing implements Policy<Exchange> {
  readonly name = 'pacing';
  readonly #options: PacingOptions;
  readonly #deps: PolicyDeps;
  readonly #line: PacedLine;
  /** True until the first exchange after a reload: until then, the new configuration may yet be refused. */
  #isSuccessor: boolean;

  constructor(options: PacingOptions, deps: PolicyDeps, previous: Policy<Exchange> | undefined) {
    this.#options = options;
    this.#deps = deps;
    this.#isSuccessor = previous instanceof Pacing;
    this.#line = previous instanceof Pacing ? previous.#line : lineOf(options, deps);
    if (!this.#isSuccessor) this.#announce();
  }

  async run(exchange: Exchange, next: Next<Exchange>, cancellation: Cancellation): Promise<Outcome> {
    if (this.#isSuccessor) this.#takeOver();
    const demand = this.#demandOf(exchange);
    let ticket = this.#line.admit(demand);
    if (!ticket) {
      // A spare that waited for room would take it from those who have none running yet.
      if (exchange.nextAttempt.spare) return this.#refusal();
      const admission = await this.#wait(exchange, demand, cancellation);
      if (admission.kind === 'left')
        return abandonedInLine(exchange, cancellation, "while waiting for the provider's rate limit");
      if (admission.kind === 'refused') return this.#refuse(exchange, admission);
      ({ ticket } = admission);
    }
    const outcome = await next(exchange, cancellation);
    this.#learn(ticket, exchange, outcome);
    return outcome;
  }

  /** What is left of each limit that the provider has told of. */
  get #limits(): readonly LimitState[] {
    return this.#line.limits.states(this.#deps.clock.now());
  }

  snapshot(): Snapshot {
    const pausedForMs = this.#line.limits.pausedUntil - this.#deps.clock.now();
    return {
      queued: this.#line.length,
      pausedForMs: Math.max(0, Math.round(pausedForMs)),
      limits: this.#limits.map(({ dimension, limit, remaining }) => ({
        dimension,
        limit: limit ?? null,
        remaining,
      })),
    };
  }

  capture(instants: Instants): PersistentState | undefined {
    const accounts = this.#line.limits.memories.map(({ id, memory }) => ({
      id,
      ...memory,
      pausedUntil: instants.toSaved(memory.pausedUntil),
      heardAt: instants.toSaved(memory.heardAt),
      windows: memory.windows.map((window) => ({
        ...window,
        heardAt: instants.toSaved(window.heardAt) ?? 0,
        resetAt: instants.toSaved(window.resetAt) ?? 0,
      })),
    }));
    return accounts.length > 0 ? { accounts } : undefined;
  }

  restore(saved: unknown, instants: Instants): boolean {
    const { data } = savedSchema.safeParse(saved);
    const now = this.#deps.clock.now();
    const at = (instant: number | null): number => instants.fromSaved(instant, Number.NEGATIVE_INFINITY);
    for (const { id, pausedUntil, heardAt, windows, ...rest } of data?.accounts ?? []) {
      const memory = {
        ...rest,
        // Whatever the file says, and whatever may have been configured before.
        pausedUntil: Math.min(at(pausedUntil), now + this.#options.maxPause),
        heardAt: Math.min(at(heardAt), now),
        windows: windows.map((one) => {
          return { ...one, heardAt: Math.min(at(one.heardAt), now), resetAt: at(one.resetAt) };
        }),
      };
      this.#line.limits.restore(id, memory, now);
    }
    return data !== undefined;
  }

  dispose(): void {
    // Those who wait belong to exchanges under way: they finish, and leave when they are cancelled.
  }

  #takeOver(): void {
    this.#isSuccessor = false;
    this.#announce();
    this.#line.reconfigure(lineOptions(this.#options));
    // A credential that is new has room.
    this.#line.review();
  }

  #announce(): void {
    this.#line.limits.announce(this.#deps.credentials.map(({ id }) => id));
  }

  #demandOf(exchange: Exchange): Demand {
    if (!this.#line.limits.countsTokens) return REQUEST_ONLY;
    const { body } = exchange;
    const bytes = body.length ?? body.peek()?.length ?? 0;
    const output = bytes > 0 && bytes <= MAX_PARSED_BYTES ? (exchange.call.maxTokens ?? 0) : 0;
    return { input: Math.ceil(bytes / BYTES_PER_TOKEN), output };
  }

  async #wait(exchange: Exchange, demand: Demand, cancellation: Cancellation): Promise<Admission> {
    const { clock, emit, upstream } = this.#deps;
    const since = clock.now();
    const rank = rankOf(exchange, this.#options.priority);
    const { deadlineAt } = exchange;
    const admission = await this.#line.wait({ demand, rank, deadlineAt, cancellation });
    const waitedMs = clock.now() - since;
    if (waitedMs > 0) emit('pacing-waited', { exchange, upstream, waitedMs, end: END_OF[admission.kind] });
    return admission;
  }

  #refuse(
    exchange: Exchange,
    { why, retryAfterMs }: Extract<Admission, { kind: 'refused' }>,
  ): RejectionOutcome {
    this.#deps.emit('pacing-refused', { exchange, upstream: this.#deps.upstream, why });
    return this.#refusal(retryAfterMs);
  }

  #refusal(retryAfterMs?: number): RejectionOutcome {
    return {
      kind: 'rejection',
      reason: 'paced',
      by: this.name,
      verdict: verdictOf('refused'),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    };
  }

  /** Reads the head and nothing else; the answer passes as it is. */
  #learn({ limits: reservedOn, sent }: Ticket, exchange: Exchange, outcome: Outcome): void {
    const now = this.#deps.clock.now();
    reservedOn.settle(sent);
    // Nobody below has asked the provider.
    if (outcome.kind === 'rejection') return this.#line.review();
    const limits = this.#line.limits.of(this.#credentialOf(exchange, outcome));
    const reading = readRateLimits(headOf(outcome)?.headers ?? [], this.#deps.clock.wallMs());
    const throttled = outcome.verdict.class === 'throttled';
    const times = throttled ? limits.turnedAway(sent, now) : 0;
    if (reading) limits.observe(sent, reading, now);
    if (throttled) {
      const told = limits.turnOf(sent.demand, now).at > now;
      const pauseMs = outcome.verdict.retryAfterMs ?? (told ? 0 : this.#pauseMs(times));
      limits.pauseUntil(now + Math.min(pauseMs, this.#options.maxPause), now);
    } else if (outcome.verdict.class === 'ok') {
      if (limits.admitted(sent, now)) this.#line.reopen();
    } else if (DISOWNED.has(outcome.verdict.class)) limits.disowned(sent);
    this.#line.review();
  }

  /** Identity of the credential that a call was made with. Names may pass to other credentials at a reload: these are ours. */
  #credentialOf({ attempts }: Exchange, { attempt }: ResponseOutcome | FailureOutcome): string | undefined {
    const name = attempt === undefined ? undefined : attempts[attempt - 1]?.credential;
    return this.#deps.credentials.find((known) => known.name === name)?.id;
  }

  #pauseMs(times: number): number {
    const longest = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (Math.max(1, times) - 1));
    return (longest * (1 + this.#deps.random.next())) / 2;
  }
}

const END_OF = { go: 'sent', refused: 'refused', left: 'left' } as const;

/** The provider's own head, also of errors inside answers. */
function headOf(outcome: ResponseOutcome | FailureOutcome): ResponseHead | undefined {
  return outcome.kind === 'failure' || outcome.from === 'upstream' ? outcome.head : undefined;
}

const lineOptions = ({ maxQueue, maxWait, spread, priority }: PacingOptions): PacedLineOptions => ({
  maxQueue,
  maxWaitMs: maxWait,
  spreadMs: spread,
  msPerRank: priority.ageing,
});

function lineOf(options: PacingOptions, { clock, random, emit, upstream }: PolicyDeps): PacedLine {
  const onHold = (obstacle: Obstacle | undefined): void => emit('pacing-began', { upstream, obstacle });
  return new PacedLine(new KeyedRateLimits(), lineOptions(options), { clock, random, onHold });
}

export const pacing: PolicyModule<Exchange, typeof pacingSchema> = {
  name: 'pacing',
  key: 'pacing',
  schema: pacingSchema,
  onByDefault: false,
  knowsCredentials: true,
  build: (options, deps, previous) => new Pacing(options, deps, previous),
};
