/**
 * Every fixture, cut at every byte: whatever the place and whatever the end, the client gets the whole answer or an
 * error that it cannot overlook, never a part that looks like the whole.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CHAT_JSON, PATHS, STREAMS } from '../support/openai-fixtures.ts';
import type { StreamName } from '../support/openai-fixtures.ts';
import { respond } from '../support/steps/answers.ts';
import { cutMidBody } from '../support/steps/cuts.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { STREAM_NAMES, asDecoded, targetOf, throughGate } from './gate-rig.ts';
import type { UpstreamEnd } from './gate-rig.ts';
import { stage } from './stage.ts';
import type { Stage } from './stage.ts';

const TYPE = 'text/event-stream';

/** `complete`, or what tells the client that it is not. */
type Verdict = 'complete' | 'local error' | 'broken connection' | 'error in the stream' | 'SILENT PARTIAL';

class Judge {
  readonly #whole: Promise<unknown[]>;
  /** Different cuts lead to the same bytes. */
  readonly #known = new Map<string, Promise<Verdict>>();

  constructor(name: StreamName) {
    this.#whole = asDecoded(Buffer.from(STREAMS[name])).then(({ items }) => items);
  }

  verdictOn(text: string): Promise<Verdict> {
    const known = this.#known.get(text) ?? this.#decode(text);
    this.#known.set(text, known);
    return known;
  }

  async #decode(text: string): Promise<Verdict> {
    const { items, error } = await asDecoded(Buffer.from(text));
    if (error !== undefined) return 'error in the stream';
    return JSON.stringify(items) === JSON.stringify(await this.#whole) ? 'complete' : 'SILENT PARTIAL';
  }
}

describe('in process, at every byte', () => {
  it.each(STREAM_NAMES)('%s', async (name) => {
    const bytes = Buffer.from(STREAMS[name]);
    const judge = new Judge(name);
    const seen = new Set<Verdict>();
    for (const end of ['clean', 'destroyed'] as const)
      for (let at = 0; at < bytes.length; at++) {
        const verdict = await verdictAt(name, bytes.subarray(0, at), end, judge);
        seen.add(verdict);
        if (verdict === 'SILENT PARTIAL') throw new Error(`byte ${at}, ${end}: ${verdict}`);
      }
    // All but the last bytes of the end mark are needed; before the first word, nothing has been passed on.
    expect(seen).toContain('local error');
    expect(seen).toContain('error in the stream');
    expect(await verdictAt(name, bytes, 'clean', judge)).toBe('complete');
    expect(await verdictAt(name, bytes, 'destroyed', judge)).toBe('complete');
  });

  async function verdictAt(
    name: StreamName,
    bytes: Uint8Array,
    end: UpstreamEnd,
    judge: Judge,
  ): Promise<Verdict> {
    // In two pieces, so that the cut and the pieces do not coincide.
    const half = Math.floor(bytes.length / 2);
    const pieces = [bytes.subarray(0, half), bytes.subarray(half)].filter(({ length }) => length > 0);
    const output = await throughGate(targetOf(name), TYPE, pieces, end);
    if (output.kind === 'failure') return 'local error';
    const { sink } = output;
    if (sink.aborted) return 'broken connection';
    expect(sink.ended).toBe(true);
    return judge.verdictOn(sink.text);
  }

  it('a JSON answer', async () => {
    const bytes = Buffer.from(JSON.stringify(CHAT_JSON));
    for (const end of ['clean', 'destroyed'] as const)
      for (let at = 0; at < bytes.length; at++) {
        const output = await throughGate(PATHS.chat, 'application/json', [bytes.subarray(0, at)], end);
        expect(output, `byte ${at}`).toMatchObject({ kind: 'failure' });
      }
    const whole = await throughGate(PATHS.chat, 'application/json', [bytes], 'clean');
    expect(whole).toMatchObject({ kind: 'bytes', sink: { ended: true } });
  });
});

describe('on real sockets, at some bytes', () => {
  let on: Stage;
  let step: RequestStep;
  beforeAll(async () => {
    on = await stage(() => step, {
      api: 'preset: azure-openai, policies: { retry: false, circuitBreaker: false }',
    });
  });
  afterAll(() => on[Symbol.asyncDispose]());

  const ENDS = {
    clean: (sent: Buffer) => respond({ framing: 'chunked', headers: { 'content-type': TYPE }, body: [sent] }),
    closed: (sent: Buffer) => cutMidBody({ framing: 'chunked', contentType: TYPE, sent }),
    reset: (sent: Buffer) => cutMidBody({ framing: 'chunked', contentType: TYPE, sent, by: 'reset' }),
  } as const;

  it.each(STREAM_NAMES)('%s', async (name) => {
    const bytes = Buffer.from(STREAMS[name]);
    const judge = new Judge(name);
    for (const makeStep of Object.values(ENDS))
      for (const share of [0.1, 0.35, 0.5, 0.77, 0.93, 1]) {
        const sent = bytes.subarray(0, Math.ceil(bytes.length * share));
        step = makeStep(sent);
        const answer = await on.send({ method: 'POST', path: targetOf(name), body: '{"stream":true}' });
        const end = await answer.ended();
        if (answer.status !== 200) expect(answer.header('x-outrigger-code')).toBeDefined();
        else if (end === 'complete')
          expect(await judge.verdictOn(answer.received.toString())).not.toBe('SILENT PARTIAL');
        if (share === 1 && makeStep === ENDS.clean) expect(answer.received).toEqual(bytes);
      }
  });
});
