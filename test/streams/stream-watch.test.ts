import { brotliCompressSync, gzipSync } from 'node:zlib';
import { describe, expect, it, vi } from 'vitest';
import { CollectingSink } from '../support/policy-kit.ts';
import { FrankReader, streamRun } from './watch-rig.ts';

const PASS = { kind: 'pass' };
const event = (data: string): string => `data: ${data}\n\n`;

/** Takes the body as a client would. */
function taken(run: ReturnType<typeof streamRun>): CollectingSink {
  const sink = new CollectingSink();
  run.body.pipe(sink);
  return sink;
}

/** Decompression runs on threads of its own: no count of this thread's turns says when it is done. */
async function until(holds: () => boolean): Promise<void> {
  await vi.waitFor(() => expect(holds()).toBe(true), { timeout: 10_000, interval: 1 });
}

describe('before the answer has begun', () => {
  it('decides at the first event that says something, not at preambles, comments or pings', () => {
    const run = streamRun();
    run.source.write(': hello\n\n', event('pass'), event('pass'), 'data: con', 'tent\n');
    expect(run.decisions).toEqual([]);
    run.source.write('\n');
    expect(run.decisions).toEqual([PASS]);
    run.source.write(event('content'));
    expect(run.decisions).toHaveLength(1);
  });

  it('an error is a failure with what the upstream said', () => {
    const run = streamRun();
    run.source.write(event('pass'), event('error'), event('content'));
    expect(run.decisions).toEqual([
      { kind: 'fail', reason: 'upstream_error', json: { error: { code: 'quota' } } },
    ]);
  });

  it('an end without an answer is an empty answer, unless the reader found a reason to finish', () => {
    const empty = streamRun();
    empty.source.write(event('pass'), event('end'));
    expect(empty.decisions).toEqual([{ kind: 'fail', reason: 'empty_answer' }]);
    const finished = streamRun();
    finished.facts.finishReason = 'stop';
    finished.source.write(event('end'));
    expect(finished.decisions).toEqual([PASS]);
  });

  it.each([
    ['nothing at all', [], 'empty_answer'],
    ['comments alone', [': a\n\n', ': b\n\n'], 'empty_answer'],
    ['a preamble', [event('pass')], 'response_incomplete'],
    ['half an event', ['data: cont'], 'response_incomplete'],
    ['what nobody can read', [event('malformed')], 'malformed_answer'],
  ])('a clean end after %s is a failure', (_, chunks, reason) => {
    const run = streamRun();
    run.source.write(...chunks);
    run.source.end();
    expect(run.decisions).toEqual([{ kind: 'fail', reason }]);
  });

  it('a cut and a timeout are failures for their own reasons', () => {
    const cut = streamRun();
    cut.source.write(event('pass'));
    cut.source.cut();
    expect(cut.decisions).toEqual([{ kind: 'fail', reason: 'response_incomplete' }]);
    const slow = streamRun();
    slow.source.cut('timed-out', 'first_token_timeout');
    expect(slow.decisions).toEqual([{ kind: 'fail', reason: 'first_token_timeout' }]);
  });

  it('holds no more bytes than it may', () => {
    const run = streamRun({ holdBytes: 20 });
    run.source.write(': 345678901234567\n\n');
    expect(run.decisions).toEqual([]);
    run.source.write(':\n');
    expect(run.decisions).toEqual([PASS]);
  });

  it('can be told that it was held long enough', () => {
    const run = streamRun();
    run.watch.commit();
    expect(run.decisions).toEqual([PASS]);
    run.source.write(event('content'));
    expect(run.facts.firstTokenAt).toBe(run.clock.now());
  });

  it('gives up the upstream when nobody wants it any more, unless it is over', () => {
    const early = streamRun();
    early.source.write(event('content'));
    early.body.discard();
    expect(early.discards()).toBe(1);
    const late = streamRun();
    late.source.write(event('content'), event('end'));
    late.source.end();
    late.body.discard();
    expect(late.discards()).toBe(0);
  });
});

describe('while the answer passes', () => {
  it('changes no byte, and knows when its first word came, how many events and the longest gap', async () => {
    const run = streamRun();
    const text = `: c\n\n${event('pass')}${event('content')}`;
    await run.clock.advance(300);
    run.source.write(text);
    const sink = taken(run);
    await run.clock.advance(700);
    run.source.write(event('content'), event('malformed'));
    run.source.write(event('end'));
    run.source.end();
    expect(sink.text).toBe(text + ['content', 'malformed', 'end'].map(event).join(''));
    expect(sink.ended).toBe(true);
    expect(run.facts).toMatchObject({ firstTokenAt: 1_300, events: 5, malformed: 1, longestGapMs: 700 });
    expect(run.ends).toEqual([{ end: 'complete', bytes: sink.text.length }]);
  });

  it('passes trailers on', () => {
    const run = streamRun();
    run.source.write(event('content'), event('end'));
    const sink = new CollectingSink();
    let trailers: unknown;
    sink.end = (given?: unknown) => (trailers = given);
    run.body.pipe(sink);
    run.source.end(['x-t', '1']);
    expect(trailers).toEqual(['x-t', '1']);
  });

  it('a clean end without the terminator is broken off with the protocol’s own error', () => {
    const run = streamRun();
    run.source.write(event('content'));
    const sink = taken(run);
    run.source.end();
    expect(sink.text).toBe(`${event('content')}data: sorry: response_incomplete\n\n`);
    expect([sink.ended, sink.aborted]).toEqual([true, undefined]);
    expect(run.ends).toMatchObject([{ end: 'upstream-aborted', reason: 'response_incomplete' }]);
  });

  it('tells a cut, a stall and nonsense apart', () => {
    const endings: [string, (run: ReturnType<typeof streamRun>) => void][] = [
      ['response_incomplete', ({ source }) => source.cut()],
      ['idle_timeout', ({ source }) => source.cut('timed-out', 'idle_timeout')],
      [
        'malformed_answer',
        ({ source }) => {
          source.write(event('malformed'));
          source.end();
        },
      ],
    ];
    for (const [reason, end] of endings) {
      const run = streamRun();
      run.source.write(event('content'));
      const sink = taken(run);
      end(run);
      expect(sink.text.endsWith(`data: sorry: ${reason}\n\n`)).toBe(true);
      expect(run.ends).toMatchObject([{ reason }]);
    }
  });

  it('in the middle of a frame, ends that frame first', () => {
    const run = streamRun();
    run.source.write(event('content'), 'data: con');
    const sink = taken(run);
    run.source.cut();
    expect(sink.text).toBe(`${event('content')}data: con\n\ndata: sorry: response_incomplete\n\n`);
  });

  it('breaks the connection where nothing can be added', () => {
    for (const parts of [{ farewell: () => undefined }, {}]) {
      const run = streamRun(parts);
      run.source.write(event('content'));
      const sink = taken(run);
      if ('farewell' in parts) run.source.end();
      else run.source.cut('client-aborted', 'client_aborted');
      expect([sink.text, sink.ended]).toEqual([event('content'), false]);
      expect(sink.aborted).toBeDefined();
    }
  });

  it('after its terminator nothing can harm the answer any more', () => {
    for (const end of ['end', 'cut'] as const) {
      const run = streamRun();
      run.source.write(event('content'), event('end'), event('pass'));
      const sink = taken(run);
      run.source[end]();
      expect([sink.ended, run.ends[0]?.end]).toEqual([true, 'complete']);
    }
  });

  it('an error of the upstream’s own passes as it came, and counts by what it means', () => {
    const run = streamRun();
    run.source.write(event('content'), event('error'));
    const sink = taken(run);
    run.source.end();
    expect(sink.text).toBe(event('content') + event('error'));
    expect(sink.ended).toBe(true);
    expect(run.ends).toMatchObject([
      { end: 'upstream-aborted', reason: 'upstream_error', verdict: { class: 'quota' } },
    ]);
  });

  it('an error that clients would not hear is said again', () => {
    const run = streamRun({ reader: new FrankReader({ unheard: true }) });
    run.source.write(event('content'), event('error'));
    const sink = taken(run);
    run.source.end();
    expect(sink.text.endsWith('data: sorry: upstream_error\n\n')).toBe(true);
    expect(run.ends).toMatchObject([{ reason: 'upstream_error', verdict: { class: 'quota' } }]);
  });

  it('a protocol without a terminator may end at any event', () => {
    const run = streamRun({ reader: new FrankReader({ hasTerminator: false }) });
    run.source.write(event('pass'));
    run.source.end();
    expect(run.decisions).toEqual([PASS]);
    expect(taken(run).ended).toBe(true);
  });
});

describe('a compressed stream', () => {
  const WHOLE = event('pass') + event('content') + event('end');

  it.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
  ])('in %s is read, passes byte for byte, and ends when all of it is read', async (coding, compress) => {
    const run = streamRun({ contentEncoding: coding });
    const coded = compress(WHOLE);
    run.source.write(coded.subarray(0, 5), coded.subarray(5));
    run.source.end();
    await until(() => run.decisions.length > 0);
    expect(run.decisions).toEqual([PASS]);
    const sink = taken(run);
    await until(() => sink.ended);
    expect(Buffer.concat(sink.chunks).equals(coded)).toBe(true);
    expect(run.facts.events).toBe(3);
  });

  it('that ends without its terminator breaks the connection: nothing can be added to it', async () => {
    const run = streamRun({ contentEncoding: 'gzip' });
    run.source.write(gzipSync(event('content')));
    await until(() => run.decisions.length > 0);
    const sink = taken(run);
    run.source.end();
    await until(() => sink.aborted !== undefined);
    expect(sink.ended).toBe(false);
  });

  it('in a coding that nobody knows, or that it is not in, passes and ends as it came', async () => {
    const unknown = streamRun({ contentEncoding: 'compress' });
    expect(unknown.watch.readable).toBe(false);
    unknown.watch.commit();
    unknown.source.write('??');
    const first = taken(unknown);
    unknown.source.end();
    expect([first.text, first.ended]).toEqual(['??', true]);

    const wrong = streamRun({ contentEncoding: 'gzip' });
    wrong.source.write(WHOLE);
    await until(() => wrong.decisions.length > 0);
    expect(wrong.decisions).toEqual([PASS]);
    const second = taken(wrong);
    wrong.source.end();
    expect([second.text, second.ended]).toEqual([WHOLE, true]);
  });
});

describe('keep-alive comments', () => {
  const COMMENT = ': keep-alive\n\n';

  it('are sent while nothing comes, once an interval, and no more at the end', async () => {
    const run = streamRun({ keepAliveMs: 1_000 });
    run.source.write(event('content'));
    const sink = taken(run);
    await run.clock.advance(600);
    run.source.write(event('content'));
    await run.clock.advance(999);
    expect(sink.text).not.toContain(COMMENT);
    await run.clock.advance(1);
    await run.clock.advance(1_000);
    expect(sink.text).toBe(event('content').repeat(2) + COMMENT.repeat(2));
    run.source.write(event('end'));
    run.source.end();
    expect(run.clock.pendingTimers).toBe(0);
  });

  it('are never sent within a frame, before the answer has begun, or into a compressed stream', async () => {
    const within = streamRun({ keepAliveMs: 1_000 });
    within.source.write(event('content'), 'data: half');
    const sink = taken(within);
    await within.clock.advance(5_000);
    expect(sink.text).not.toContain(COMMENT);
    within.source.write('\n\n');
    await within.clock.advance(1_000);
    expect(sink.text).toBe(`${event('content')}data: half\n\n${COMMENT}`);
    const before = streamRun({ keepAliveMs: 1_000 });
    before.source.write(event('pass'));
    expect(before.clock.pendingTimers).toBe(0);
    const coded = streamRun({ keepAliveMs: 1_000, contentEncoding: 'gzip' });
    coded.watch.commit();
    expect(coded.clock.pendingTimers).toBe(0);
  });

  it('stop when nobody wants the answer any more', () => {
    const run = streamRun({ keepAliveMs: 1_000 });
    run.source.write(event('content'));
    run.body.discard();
    expect(run.clock.pendingTimers).toBe(0);
  });
});
