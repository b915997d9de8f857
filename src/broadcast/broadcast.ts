/**
 * One request to every available endpoint of an upstream, and the answers collected into one. Each call goes through the
 * upstream's whole pipeline, bound to its endpoint; this stands around them and is no policy itself.
 */
import { abandoned } from '../core/abandoned.ts';
import { unlessCancelled } from '../core/cancellation.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import type { EndpointState } from '../core/endpoint.ts';
import type { Emit } from '../core/events.ts';
import type { Exchange } from '../core/exchange.ts';
import { whenOver } from '../core/outcome.ts';
import type { Outcome, RejectionOutcome } from '../core/outcome.ts';
import type { Next } from '../core/policy.ts';
import type { Reason } from '../core/reasons.ts';
import { verdictOf } from '../core/verdict.ts';
import type { BroadcastOptions } from '../schema/broadcast.ts';
import { FanOut } from './fan-out.ts';
import { formatOf } from './requests.ts';
import type { Format } from './requests.ts';
import type { Instance, Result } from './result.ts';
import { Round } from './round.ts';
import type { Chosen } from './round.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** As many broadcasts are under way as there may be: this one was not begun. */
    'broadcast-refused': { readonly exchange: Exchange; readonly upstream: string };
  }
}

export interface BroadcastDeps {
  readonly clock: Clock;
  readonly emit: Emit;
  /** Broadcasts of this upstream under way; lives through reloads, as they do. */
  readonly underWay: { count: number };
}

/** The upstream as this needs it. */
export interface Audience {
  /** All that have what the call needs, in the order of the configuration. */
  readonly instances: () => readonly Instance[];
  /** The whole pipeline. Never throws. */
  readonly send: Next<Exchange>;
}

/** States in which an endpoint is given calls as long as it need not. */
const ASKED: ReadonlySet<EndpointState> = new Set<EndpointState>(['available', 'degraded']);

export class Broadcast {
  readonly #options: BroadcastOptions;
  readonly #deps: BroadcastDeps;
  readonly #methods: ReadonlySet<string>;
  readonly #headers: readonly string[];

  constructor(options: BroadcastOptions, deps: BroadcastDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#methods = new Set(options.methods);
    this.#headers = options.headers.map((name) => name.toLowerCase());
  }

  /** Never throws. */
  async run(exchange: Exchange, cancellation: Cancellation, audience: Audience): Promise<Outcome> {
    const { method, upgrade } = exchange.request;
    if (upgrade !== undefined)
      return refusal('bad_request', 'nobody can switch protocols with all endpoints');
    if (!this.#methods.has(method)) return this.#notAllowed(method);
    // It is sent several times, and which endpoints have what is needed may stand in it.
    const body = await unlessCancelled(exchange.body.whole(), cancellation);
    if (cancellation.cancelled) return abandoned(cancellation, 'no', 'before anybody was asked');
    if (body === undefined)
      return refusal('request_too_large', 'to be sent to all endpoints, a body must be kept (replayLimit)');
    const chosen = this.#choose(audience.instances());
    if (chosen.asked.length === 0) return refusal('no_endpoint', 'no endpoint is available to be asked');
    const { underWay } = this.#deps;
    if (underWay.count >= this.#options.maxBroadcasts) {
      this.#deps.emit('broadcast-refused', { exchange, upstream: exchange.upstream.name });
      return refusal('concurrency_limit', 'as many broadcasts are under way as there may be (maxBroadcasts)');
    }
    underWay.count += 1;
    const outcome = await this.#ask(exchange, chosen, { audience, cancellation }).catch((error: unknown) => {
      underWay.count -= 1;
      throw error;
    });
    // What was collected is held until the client has it.
    whenOver(outcome, () => (underWay.count -= 1));
    return outcome;
  }

  async #ask(
    exchange: Exchange,
    chosen: Chosen,
    { audience, cancellation }: { readonly audience: Audience; readonly cancellation: Cancellation },
  ): Promise<Outcome> {
    const format = formatOf(exchange.request.headers);
    const round = new Round(exchange, chosen, {
      clock: this.#deps.clock,
      emit: this.#deps.emit,
      headers: this.#headers,
    });
    const calls = (bounds: Cancellation, onResult: (result: Result) => void): Promise<void> =>
      this.#fanOut(exchange, format, { send: audience.send, onResult }).run(chosen.asked, bounds);
    return format === 'json'
      ? round.collected(calls, cancellation)
      : round.streamed(calls, format, cancellation);
  }

  #notAllowed(method: string): RejectionOutcome {
    const allowed = this.#options.methods.join(', ');
    const detail = `${method} is not among the methods that may be sent to all endpoints`;
    return { ...refusal('method_not_supported', detail), headers: ['allow', allowed] };
  }

  #choose(instances: readonly Instance[]): Chosen {
    const asked = instances.filter(({ state }) => ASKED.has(state));
    const leftOut = instances.filter(({ state }) => !ASKED.has(state)).map((of) => ({ of, why: of.state }));
    const { maxInstances } = this.#options;
    const beyond = asked.slice(maxInstances).map((of) => ({ of, why: 'limit' as const }));
    return { asked: asked.slice(0, maxInstances), leftOut: [...leftOut, ...beyond] };
  }

  #fanOut(
    exchange: Exchange,
    format: Format,
    { send, onResult }: { readonly send: Next<Exchange>; readonly onResult: (result: Result) => void },
  ): FanOut {
    const { maxConcurrent, deadline: deadlineMs, maxBody: maxBytes } = this.#options;
    return new FanOut(exchange, format, {
      bounds: { maxConcurrent, deadlineMs, maxBytes },
      deps: { clock: this.#deps.clock, send, onResult },
    });
  }
}

const refusal = (reason: Reason, detail: string): RejectionOutcome => ({
  kind: 'rejection',
  reason,
  by: 'broadcast',
  verdict: verdictOf('refused'),
  detail,
});
