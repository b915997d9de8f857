/** Answers one exchange: decides its fault, makes the reply, lets the fault have its way, writes what is left. */
import { sleep } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import { readBody } from './body.ts';
import { bodyTooLarge, injectedError, invalidJson, throttled, unknownFault } from './errors.ts';
import type { ApiError } from './errors.ts';
import type { PlaygroundExchange } from './exchange.ts';
import { FAULT_HEADER, drawLuck, errorStatusOf, faultNamed, faultOf, latencyOf } from './faults.ts';
import type { Fault, Luck } from './faults.ts';
import type { Operation, Reply } from './reply.ts';
import type { PlaygroundFaults, PlaygroundOptions } from './schema.ts';
import type { StatsCounter } from './stats.ts';
import { sendCutJson, sendError, sendEvents, sendJson } from './write.ts';

const BODY_LIMIT_BYTES = 20 * 1024 ** 2;

type Answerable = Exclude<Reply, { kind: 'refusal' }>;

/** What was settled about an exchange when it arrived. */
interface Fate {
  readonly fault: Fault;
  readonly luck: Luck;
  readonly faults: PlaygroundFaults;
}

export interface ProviderDeps {
  readonly clock: Clock;
  /** The sequence that decides faults and latencies. */
  readonly random: Random;
  readonly stats: StatsCounter;
}

export class Provider {
  readonly #faults: PlaygroundFaults;
  readonly #stream: PlaygroundOptions['stream'];
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #stats: StatsCounter;

  constructor({ faults, stream }: PlaygroundOptions, { clock, random, stats }: ProviderDeps) {
    this.#faults = faults;
    this.#stream = stream;
    this.#clock = clock;
    this.#random = random;
    this.#stats = stats;
  }

  /** Resolves when nothing is left to do for `exchange`; what was written may still be on its way. */
  async answer(exchange: PlaygroundExchange, operation: Operation): Promise<void> {
    const fate = this.#fateOf(exchange);
    const body = await readBody(exchange.request, BODY_LIMIT_BYTES);
    if (body.kind === 'cut') return;
    if (body.kind === 'too-large') {
      this.refuse(exchange, bodyTooLarge(BODY_LIMIT_BYTES));
      return;
    }
    const reply = fate ? this.#reply(exchange, operation, body.bytes) : unknownFaultReply(exchange);
    if (reply.kind === 'refusal') this.refuse(exchange, reply.error);
    else if (fate) await this.#meetFate(exchange, reply, fate);
  }

  /** Answers a request that is wrong in itself. Faults and latency do not concern it. */
  refuse(exchange: PlaygroundExchange, error: ApiError): void {
    exchange.plan('refused');
    this.#stamp(exchange);
    sendError(exchange.response, error);
  }

  /**
   * Settled at arrival, so that a slow upload does not disturb a seeded sequence.
   * Undefined where the request asks for a fault that does not exist.
   */
  #fateOf({ request }: PlaygroundExchange): Fate | undefined {
    const faults = this.#faults;
    const luck = drawLuck(this.#random);
    const asked = request.headers[FAULT_HEADER];
    const fault = asked === undefined ? faultOf(faults, luck) : faultNamed(String(asked));
    return fault === undefined ? undefined : { fault, luck, faults };
  }

  #reply(exchange: PlaygroundExchange, operation: Operation, bytes: Buffer): Reply {
    let body: unknown;
    try {
      body = exchange.request.method === 'GET' ? undefined : JSON.parse(bytes.toString());
    } catch {
      return { kind: 'refusal', error: invalidJson() };
    }
    const createdAt = Math.floor(this.#clock.wallTime().getTime() / 1000);
    return operation(body, { id: exchange.id, createdAt, tokens: this.#stream.tokens });
  }

  async #meetFate(exchange: PlaygroundExchange, reply: Answerable, fate: Fate): Promise<void> {
    const { fault, faults, luck } = fate;
    this.#stats.faultInjected(fault);
    switch (fault) {
      case 'error':
        this.#fail(exchange, injectedError(errorStatusOf(faults, luck)));
        return;
      case 'throttle':
        this.#fail(exchange, throttled(faults.retryAfter));
        return;
      case 'reset':
        exchange.breakOff('reset');
        return;
      case 'stall':
        if (await this.#waited(exchange, faults.stallFor)) exchange.breakOff('close');
        return;
      case 'cut':
      case 'slow':
      case 'none':
        if (await this.#waited(exchange, latencyOf(faults, luck, fault))) {
          await this.#send(exchange, reply, fault === 'cut');
        }
    }
  }

  /** False where the exchange was cancelled meanwhile. */
  async #waited({ cancellation }: PlaygroundExchange, ms: number): Promise<boolean> {
    if (ms > 0) await sleep(this.#clock, ms, cancellation);
    return !cancellation.cancelled;
  }

  #fail(exchange: PlaygroundExchange, error: ApiError): void {
    exchange.plan('failed');
    this.#stamp(exchange);
    sendError(exchange.response, error);
  }

  async #send(exchange: PlaygroundExchange, reply: Answerable, cut: boolean): Promise<void> {
    if (cut) exchange.plan('failed');
    this.#stamp(exchange);
    if (reply.kind === 'events') {
      this.#stats.streamStarted();
      exchange.streamed = true;
      const { interval } = this.#stream;
      await sendEvents(exchange, reply.script, { clock: this.#clock, intervalMs: interval, cut });
    } else if (cut) {
      sendCutJson(exchange, reply.body);
    } else {
      sendJson(exchange.response, reply.body);
    }
  }

  /** The headers that the provider adds to every answer. */
  #stamp({ response, id, arrivedAt }: PlaygroundExchange): void {
    response.setHeader('x-request-id', `req_${id}`);
    response.setHeader('openai-version', '2020-10-01');
    response.setHeader('openai-processing-ms', String(Math.round(this.#clock.now() - arrivedAt)));
  }
}

const unknownFaultReply = ({ request }: PlaygroundExchange): Reply => ({
  kind: 'refusal',
  error: unknownFault(String(request.headers[FAULT_HEADER])),
});
