/** The ways to the upstream: alone, together with others who ask the same, or in the background for those to come. */
import { withoutConditions } from '../algorithms/conditional-requests.ts';
import { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import type { Exchange } from '../core/exchange.ts';
import { discard, finalVerdict } from '../core/outcome.ts';
import type { BodySink } from '../core/outcome.ts';
import type { CacheOptions } from '../schema/cache.ts';
import type { SharedBody } from '../streams/shared-body.ts';
import type { Fetcher } from './fetcher.ts';
import { Flight } from './flight.ts';
import type { Seat } from './flight.ts';
import type { Landing } from './landing.ts';
import type { CacheState } from './state.ts';
import { askedHeaders, hasOwnConditions, isConditional, nameOf } from './visit.ts';
import type { Visit } from './visit.ts';

/** What became of a copy that was renewed in the background. */
export type RefreshResult =
  /** It still holds. */
  | 'revalidated'
  /** There is another one now. */
  | 'replaced'
  /** There is none that may be kept. */
  | 'gone'
  /** Nobody can say. */
  | 'failed';

/** Copies of one cache that are renewed at a time; beyond that they are used without. */
const MAX_REFRESHES = 32;

/** What somebody got, and whether the upstream was asked for them. */
export interface Arrival {
  readonly seat: Seat;
  readonly first: boolean;
}

interface TripDeps {
  readonly clock: Clock;
  readonly state: CacheState;
  readonly fetcher: Fetcher;
}

export class Trips {
  readonly #options: CacheOptions;
  readonly #deps: TripDeps;

  constructor(options: CacheOptions, deps: TripDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** @returns undefined when the client left before there was anything */
  async answerFor(visit: Visit): Promise<Arrival | undefined> {
    if (!this.#mayShare(visit)) return { seat: await this.#alone(visit), first: true };
    const name = nameOf(visit.key);
    const open = this.#openFlight(name);
    const flight = open ?? this.#flightFor(visit);
    const { exchange, cancellation } = visit;
    const boarding = flight.board({ exchange, cancellation, first: !open });
    if (!open) this.#fly(flight, visit);
    const seat = await boarding;
    if (!open) exchange.adopt(flight.exchange);
    if (seat) return { seat, first: !open };
    return cancellation.cancelled ? undefined : { seat: await this.#alone(visit), first: true };
  }

  /** Renews the copy, one at a time for each; by the time and the policies of an exchange like the one that wants it. */
  async refresh(visit: Visit): Promise<RefreshResult | undefined> {
    const { clock, state } = this.#deps;
    const { exchange, plan, key } = visit;
    const { memory, refreshing } = state;
    const bytes = plan.body.length ?? 0;
    if (refreshing.size >= MAX_REFRESHES || this.#openFlight(nameOf(key)) || !memory.reserve(bytes))
      return undefined;
    const cancellation = new Cancellation();
    refreshing.add(cancellation);
    const flight = this.#flightFor(visit, true);
    const leftMs = exchange.deadlineAt - clock.now();
    const timer = Number.isFinite(leftMs)
      ? clock.setBackgroundTimer(Math.max(0, leftMs), () => cancellation.cancel('deadline'))
      : undefined;
    const boarding = flight.board({ exchange: flight.exchange, cancellation, first: true });
    this.#fly(flight, visit);
    const result = await this.#read(await boarding, cancellation);
    if (timer) clock.clearTimer(timer);
    refreshing.delete(cancellation);
    memory.release(bytes);
    return result;
  }

  async #alone(visit: Visit): Promise<Seat> {
    const { exchange, cancellation, plan, copy, next } = visit;
    const request = { ...exchange.request, headers: askedHeaders(visit) };
    const conditional = isConditional(visit);
    const asked = conditional ? exchange.variedBy({ request }) : exchange;
    const landing = await this.#deps.fetcher.fetch({
      ...{ plan, asked, copy, next, cancellation },
      unconditional: conditional ? () => exchange : undefined,
      shares: false,
    });
    if (conditional) exchange.adopt(asked);
    if (landing.kind !== 'shared') return { landing };
    const body = landing.body.join(cancellation);
    landing.body.start();
    return body ? { landing, body } : { landing };
  }

  /** What only one client can have, or must not be put off with what others asked for, is asked for alone. */
  #mayShare(visit: Visit): boolean {
    const { plan, key, exchange } = visit;
    if (this.#options.coalesce === false || plan.demands.noCache || exchange.request.method === 'HEAD')
      return false;
    if (hasOwnConditions(visit) && !isConditional(visit)) return false;
    return !this.#deps.state.isAlone(nameOf(key), this.#deps.clock.now());
  }

  #openFlight(name: string): Flight | undefined {
    const flight = this.#deps.state.flights.get(name);
    return flight?.isOpen ? flight : undefined;
  }

  #flightFor(visit: Visit, ownTrail = false): Flight {
    const { coalesce } = this.#options;
    const { exchange, plan, key } = visit;
    const { method } = exchange.request;
    // What is kept is the answer to a GET, and to one that knows nothing yet.
    const request = {
      ...exchange.request,
      method: method === 'HEAD' ? 'GET' : method,
      headers: isConditional(visit) ? askedHeaders(visit) : withoutConditions(exchange.request.headers),
    };
    const flight = new Flight(coalesce === false ? 0 : coalesce.maxJoiners, (cancellation) =>
      exchange.variedBy({ request, body: plan.body, cancellation, onInformational: undefined, ownTrail }),
    );
    this.#deps.state.flights.set(nameOf(key), flight);
    return flight;
  }

  #fly(flight: Flight, visit: Visit): void {
    const { plan, copy, next } = visit;
    const { exchange: asked, cancellation } = flight;
    const unconditional = (): Exchange =>
      asked.variedBy({ request: { ...asked.request, headers: withoutConditions(asked.request.headers) } });
    const pending = this.#deps.fetcher.fetch({
      ...{ plan, asked, copy, next, cancellation },
      unconditional: isConditional(visit) ? unconditional : undefined,
      shares: true,
    });
    void pending.then((landing) => this.#land(flight, landing, nameOf(visit.key)));
  }

  #land(flight: Flight, landing: Landing, name: string): void {
    const { clock, state } = this.#deps;
    const retire = (): void => {
      if (state.flights.get(name) === flight) state.flights.delete(name);
    };
    if (landing.kind === 'own') state.rememberAlone(name, clock.now());
    if (landing.kind === 'shared') landing.outcome.body.onEnd(retire);
    else retire();
    flight.land(landing);
  }

  async #read(seat: Seat | undefined, cancellation: Cancellation): Promise<RefreshResult> {
    if (!seat || seat.landing.kind === 'none') return 'failed';
    const { landing, body } = seat;
    if (landing.kind === 'copy') return 'revalidated';
    if (landing.kind === 'own' || !body || !landing.keeps) {
      discard({ ...landing.outcome, ...(body && { body }) });
      return landing.outcome.verdict.class === 'ok' ? 'gone' : 'failed';
    }
    body.pipe(new Recorder(landing, cancellation));
    const completion = await body.completion;
    return finalVerdict(landing.outcome, completion).class === 'ok' ? 'replaced' : 'failed';
  }
}

/** Reads for the recording's sake alone, and no further. */
class Recorder implements BodySink {
  readonly #body: SharedBody;
  readonly #cancellation: Cancellation;
  #isOver = false;

  constructor({ body, outcome }: Extract<Landing, { kind: 'shared' }>, cancellation: Cancellation) {
    this.#body = body;
    this.#cancellation = cancellation;
    outcome.body.onEnd(() => (this.#isOver = true));
  }

  write(): boolean {
    if (!this.#isOver && !this.#body.recording()) this.#cancellation.cancel('superseded');
    return true;
  }

  end(): void {
    // What was recorded is kept by whoever fetched it.
  }

  abort(): void {
    // Nobody is to be told.
  }
}
