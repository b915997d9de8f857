/** An upstream's body that a test writes, and a reader whose events say themselves what they are. */
import { BodyEnd } from '../../src/core/body-end.ts';
import { AnswerFacts } from '../../src/core/dialect.ts';
import type { StreamReader, StreamSignal } from '../../src/core/dialect.ts';
import type { BodySink, Completion, ResponseBody } from '../../src/core/outcome.ts';
import { verdictOf } from '../../src/core/verdict.ts';
import { HeldBody } from '../../src/streams/held-body.ts';
import { JsonWatch } from '../../src/streams/json-watch.ts';
import type { JsonWatchInit } from '../../src/streams/json-watch.ts';
import { StreamWatch } from '../../src/streams/stream-watch.ts';
import type { Decision, StreamWatchInit } from '../../src/streams/stream-watch.ts';
import { FakeClock } from '../support/fake-clock.ts';

export class Source extends BodyEnd implements ResponseBody {
  sink!: BodySink;
  resumed = 0;
  #bytes = 0;

  pipe(sink: BodySink): void {
    this.sink = sink;
  }

  resume(): void {
    this.resumed += 1;
  }

  discard(): void {
    throw new Error('whoever reads a body must not discard it');
  }

  write(...chunks: readonly (string | Uint8Array)[]): void {
    for (const chunk of chunks) {
      const bytes = Buffer.from(chunk as string);
      this.#bytes += bytes.length;
      this.sink.write(bytes);
    }
  }

  end(trailers: readonly string[] = []): void {
    this.sink.end(trailers);
  }

  cut(
    end: Completion['end'] = 'upstream-aborted',
    reason: Completion['reason'] = 'response_incomplete',
  ): void {
    this.sink.abort({ end, bytes: this.#bytes, ...(reason && { reason }) });
  }
}

/** `data: content`, `data: end` and so on. */
export class FrankReader implements StreamReader {
  readonly hasTerminator: boolean;
  readonly unheard: boolean;
  error: unknown;

  constructor(parts: { hasTerminator?: boolean; unheard?: boolean } = {}) {
    this.hasTerminator = parts.hasTerminator ?? true;
    this.unheard = parts.unheard ?? false;
  }

  read(_event: string, data: string): StreamSignal {
    if (data === 'error') this.error = { error: { code: 'quota' } };
    return data as StreamSignal;
  }
}

export interface WatchRun {
  readonly source: Source;
  readonly body: HeldBody;
  readonly decisions: Decision[];
  readonly ends: Completion[];
  readonly discards: () => number;
}

function run(watch: StreamWatch | JsonWatch, decisions: Decision[], discards: () => number): WatchRun {
  const source = new Source();
  const body = new HeldBody(source, watch, 1_000_000);
  watch.attach(body);
  body.start();
  const ends: Completion[] = [];
  body.onEnd((completion) => ends.push(completion));
  return { source, body, decisions, ends, discards };
}

export function streamRun(parts: Partial<StreamWatchInit> = {}) {
  const clock = new FakeClock();
  const facts = new AnswerFacts();
  const decisions: Decision[] = [];
  let discards = 0;
  const watch = new StreamWatch({
    reader: new FrankReader(),
    facts,
    clock,
    contentEncoding: undefined,
    holdBytes: 1_000,
    keepAliveMs: undefined,
    decide: (decision) => void decisions.push(decision),
    known: true,
    framed: false,
    frameEnd: '\n\n',
    goesOn: () => false,
    farewell: (reason) => `data: sorry: ${reason}\n\n`,
    judge: () => verdictOf('quota'),
    onDiscard: () => void (discards += 1),
    ...parts,
  });
  return { clock, facts, watch, ...run(watch, decisions, () => discards) };
}

export function jsonRun(parts: Partial<JsonWatchInit> = {}) {
  const decisions: Decision[] = [];
  let discards = 0;
  const watch = new JsonWatch({
    contentEncoding: undefined,
    maxBytes: 1_000,
    isError: false,
    read: (json) => ({ kind: 'pass', json }),
    readTail: () => undefined,
    decide: (decision) => void decisions.push(decision),
    onDiscard: () => void (discards += 1),
    ...parts,
  });
  return { watch, ...run(watch, decisions, () => discards) };
}
