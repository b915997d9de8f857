/** One broadcast: counts what comes, and tells it all at the end or piece by piece. */
import { abandoned } from '../core/abandoned.ts';
import { BytesBody } from '../core/bytes-body.ts';
import { Cancellation } from '../core/cancellation.ts';
import type { Clock } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import type { Exchange } from '../core/exchange.ts';
import { whenOver } from '../core/outcome.ts';
import type { Outcome, ResponseBody, ResponseOutcome } from '../core/outcome.ts';
import { verdictOf } from '../core/verdict.ts';
import type { Format } from './requests.ts';
import { isOk, leftOutJson, resultJson, summaryJson } from './result.ts';
import type { Instance, LeftOut, Result, Summary } from './result.ts';
import { ResultStream } from './result-stream.ts';

/** `ok`: all answered well. `failed`: nobody did. `abandoned`: the client left before. */
export type BroadcastResult = 'ok' | 'partial' | 'failed' | 'abandoned';

declare module '../core/events.ts' {
  interface EventMap {
    /** A request went to all endpoints, and all have answered, or have not. */
    'broadcast-ended': {
      readonly exchange: Exchange;
      readonly upstream: string;
      readonly result: BroadcastResult;
      readonly summary: Summary;
    };
  }
}

export interface RoundDeps {
  readonly clock: Clock;
  readonly emit: Emit;
  /** Lower-case names of the fields of each answer that are told. */
  readonly headers: readonly string[];
}

/** Who is asked, and who is not. */
export interface Chosen {
  readonly asked: readonly Instance[];
  readonly leftOut: readonly LeftOut[];
}

/** Makes the calls; resolves when every one has its result. */
export type Calls = (cancellation: Cancellation, onResult: (result: Result) => void) => Promise<void>;

const [NOTHING, COMMA] = [Buffer.alloc(0), Buffer.from(',')];

const STATUS_OF: Readonly<Record<BroadcastResult, number>> = {
  ok: 200,
  partial: 207,
  failed: 502,
  abandoned: 499,
};

export class Round {
  readonly #exchange: Exchange;
  readonly #chosen: Chosen;
  readonly #deps: RoundDeps;
  readonly #startedAt: number;
  #ok = 0;
  #failed = 0;

  constructor(exchange: Exchange, chosen: Chosen, deps: RoundDeps) {
    this.#exchange = exchange;
    this.#chosen = chosen;
    this.#deps = deps;
    this.#startedAt = deps.clock.now();
  }

  /** One answer when all are there, in the order of the endpoints. */
  async collected(calls: Calls, cancellation: Cancellation): Promise<Outcome> {
    const texts = new Map<Instance, Buffer>();
    await calls(
      cancellation,
      (result) => void texts.set(result.of, Buffer.from(this.#count(result), 'utf8')),
    );
    const { result, summary } = this.#over(cancellation);
    if (result === 'abandoned') return abandoned(cancellation, 'maybe', 'while endpoints were being asked');
    const { asked, leftOut } = this.#chosen;
    const others = leftOut.map(leftOutJson).join(',');
    // Piece by piece: all of them may be more than a string can hold.
    const bytes = Buffer.concat([
      Buffer.from('{"instances":['),
      ...asked.flatMap((one, i) => [i === 0 ? NOTHING : COMMA, texts.get(one) ?? NOTHING]),
      Buffer.from(`],"leftOut":[${others}],"summary":${summaryJson(summary)}}`, 'utf8'),
    ]);
    return answer(STATUS_OF[result], new BytesBody(bytes), [
      ...['content-type', 'application/json'],
      ...['content-length', String(bytes.length)],
    ]);
  }

  /** An answer that begins at once, and brings each result as soon as it is there. */
  streamed(calls: Calls, format: Exclude<Format, 'json'>, cancellation: Cancellation): Outcome {
    const its = new Cancellation(cancellation);
    const body = new ResultStream(its);
    const write = PIECE[format];
    for (const one of this.#chosen.leftOut) body.write(write('left-out', leftOutJson(one)));
    void calls(its, (result) => body.write(write('instance', this.#count(result))))
      .then(() => {
        const { summary } = this.#over(its);
        body.write(write('summary', summaryJson(summary)));
        body.close();
      })
      .catch((error: unknown) => {
        this.#deps.emit('internal-error', { where: 'broadcast', error: error as Error });
        its.cancel('superseded');
      });
    const outcome = answer(200, body, ['content-type', TYPE[format]]);
    whenOver(outcome, () => its.detach());
    return outcome;
  }

  #count(result: Result): string {
    if (isOk(result)) this.#ok += 1;
    else this.#failed += 1;
    return resultJson(result, this.#deps.headers);
  }

  #over(cancellation: Cancellation): { readonly result: BroadcastResult; readonly summary: Summary } {
    const { asked, leftOut } = this.#chosen;
    const summary: Summary = {
      total: asked.length,
      ok: this.#ok,
      failed: this.#failed,
      leftOut: leftOut.length,
      durationMs: this.#deps.clock.now() - this.#startedAt,
    };
    const result = cancellation.cancelled ? 'abandoned' : this.#result();
    const exchange = this.#exchange;
    this.#deps.emit('broadcast-ended', { exchange, upstream: exchange.upstream.name, result, summary });
    return { result, summary };
  }

  #result(): BroadcastResult {
    if (this.#ok === 0) return 'failed';
    const isAll = this.#failed === 0 && this.#chosen.leftOut.every(({ why }) => why !== 'limit');
    return isAll ? 'ok' : 'partial';
  }
}

const TYPE = { lines: 'application/x-ndjson', events: 'text/event-stream' } as const;

type PieceType = 'instance' | 'left-out' | 'summary';

/** How one object is told; its text is a JSON object without line ends. */
const PIECE: Readonly<Record<keyof typeof TYPE, (type: PieceType, json: string) => string>> = {
  lines: (type, json) => `{"type":"${type}",${json.slice(1)}\n`,
  events: (type, json) => `event: ${type}\ndata: ${json}\n\n`,
};

const answer = (status: number, body: ResponseBody, headers: readonly string[]): ResponseOutcome => ({
  kind: 'response',
  from: 'broadcast',
  head: { status, statusText: '', headers: [...headers, 'cache-control', 'no-store'] },
  body,
  verdict: verdictOf(status < 400 ? 'ok' : 'transient'),
});
