import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { CollectingSink } from '../support/policy-kit.ts';
import { jsonRun } from './watch-rig.ts';

const TEXT = '{"choices":[{"text":"é 🙂"}]}';
const JSON_VALUE: unknown = JSON.parse(TEXT);

function taken(run: ReturnType<typeof jsonRun>): CollectingSink {
  const sink = new CollectingSink();
  run.body.pipe(sink);
  return sink;
}

async function decided(run: ReturnType<typeof jsonRun>): Promise<void> {
  for (let n = 0; n < 1_000 && run.decisions.length === 0; n++)
    await new Promise((resolve) => setImmediate(resolve));
}

describe('JsonWatch', () => {
  it('waits for the whole of an answer, in whatever pieces, and passes it as it came', () => {
    for (let at = 0; at <= Buffer.byteLength(TEXT); at++) {
      const run = jsonRun();
      run.source.write(Buffer.from(TEXT).subarray(0, at), Buffer.from(TEXT).subarray(at));
      expect(run.decisions).toEqual([]);
      run.source.end();
      expect(run.decisions).toEqual([{ kind: 'pass', json: JSON_VALUE }]);
      const sink = taken(run);
      expect([sink.text, sink.ended]).toEqual([TEXT, true]);
      expect(run.ends).toMatchObject([{ end: 'complete' }]);
    }
  });

  it('asks what the answer says', () => {
    const run = jsonRun({ read: (json) => ({ kind: 'fail', reason: 'upstream_error', json }) });
    run.source.write('{"error":1}');
    run.source.end();
    expect(run.decisions).toEqual([{ kind: 'fail', reason: 'upstream_error', json: { error: 1 } }]);
  });

  it.each([
    ['', 'empty_answer'],
    [' \r\n', 'empty_answer'],
    ['<html>', 'malformed_answer'],
    ['{"a":1', 'malformed_answer'],
    ['{"a":1}{"b":2}', 'malformed_answer'],
  ])('%j is a failure: %s', (text, reason) => {
    const run = jsonRun();
    if (text !== '') run.source.write(text);
    run.source.end();
    expect(run.decisions).toEqual([{ kind: 'fail', reason }]);
  });

  it('that is cut, or does not come, is a failure for its own reason', () => {
    const cut = jsonRun();
    cut.source.write(TEXT);
    cut.source.cut();
    expect(cut.decisions).toEqual([{ kind: 'fail', reason: 'response_incomplete' }]);
    const slow = jsonRun();
    slow.source.cut('timed-out', 'idle_timeout');
    expect(slow.decisions).toEqual([{ kind: 'fail', reason: 'idle_timeout' }]);
  });

  it('that is too large passes unread, and breaks visibly when it is cut', () => {
    const run = jsonRun({ maxBytes: 10 });
    run.source.write('{"a":"');
    expect(run.decisions).toEqual([]);
    run.source.write('bcdef');
    expect(run.decisions).toEqual([{ kind: 'pass' }]);
    const sink = taken(run);
    run.source.write('"');
    run.source.cut();
    expect([sink.text, sink.ended]).toEqual(['{"a":"bcdef"', false]);
    expect(sink.aborted).toMatchObject({ reason: 'response_incomplete' });
  });

  it('with a bound of 0 only tells something from nothing', () => {
    const some = jsonRun({ maxBytes: 0 });
    some.source.write('R');
    expect(some.decisions).toEqual([{ kind: 'pass' }]);
    const none = jsonRun({ maxBytes: 0 });
    none.source.end();
    expect(none.decisions).toEqual([{ kind: 'fail', reason: 'empty_answer' }]);
  });

  it.each([
    ['JSON', '{"error":{}}', { kind: 'pass', json: { error: {} } }],
    ['no JSON', '<html>', { kind: 'pass' }],
    ['nothing', '', { kind: 'pass' }],
  ])('of an error status passes with what it says, be it %s', (_, text, decision) => {
    const run = jsonRun({ isError: true });
    if (text !== '') run.source.write(text);
    run.source.end();
    expect(run.decisions).toEqual([decision]);
  });

  it('of an error status that is cut keeps its status', () => {
    const run = jsonRun({ isError: true });
    run.source.write('{"error"');
    run.source.cut();
    expect(run.decisions).toEqual([{ kind: 'pass' }]);
    expect(taken(run).aborted).toBeDefined();
  });

  it('is read through its content coding and passes as it came', async () => {
    const run = jsonRun({ contentEncoding: 'gzip' });
    const coded = gzipSync(TEXT);
    run.source.write(coded);
    run.source.end();
    await decided(run);
    expect(run.decisions).toEqual([{ kind: 'pass', json: JSON_VALUE }]);
    expect(Buffer.concat(taken(run).chunks).equals(coded)).toBe(true);
  });

  it('is bounded by what is in it, not by what it is packed into', async () => {
    const run = jsonRun({ contentEncoding: 'gzip', maxBytes: 10_000 });
    run.source.write(gzipSync('0'.repeat(1_000_000)));
    await decided(run);
    expect(run.decisions).toEqual([{ kind: 'pass' }]);
  });

  it('that is not in its coding passes', async () => {
    const run = jsonRun({ contentEncoding: 'gzip' });
    run.source.write(TEXT);
    await decided(run);
    expect(run.decisions).toEqual([{ kind: 'pass' }]);
    const unknown = jsonRun({ contentEncoding: 'compress' });
    expect(unknown.watch.readable).toBe(false);
  });

  it('gives up the upstream when nobody wants the rest', () => {
    const run = jsonRun({ maxBytes: 0 });
    run.source.write('R');
    run.body.discard();
    expect(run.discards()).toBe(1);
    const over = jsonRun();
    over.source.write('{}');
    over.source.end();
    over.body.discard();
    expect(over.discards()).toBe(0);
  });
});
