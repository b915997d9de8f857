import { describe, expect, it } from 'vitest';
import type { Completion } from '../../src/core/outcome.ts';
import { HeldBody } from '../../src/streams/held-body.ts';
import { CollectingSink } from '../support/policy-kit.ts';
import { Source } from './watch-rig.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

function held(pauseBytes = 100) {
  const source = new Source();
  const seen: string[] = [];
  const overs: Completion[] = [];
  const body = new HeldBody(
    source,
    {
      chunk: (chunk) => void seen.push(Buffer.from(chunk).toString()),
      over: (completion) => void overs.push(completion),
      discarded: () => void seen.push('discarded'),
    },
    pauseBytes,
  );
  body.start();
  const ends: Completion[] = [];
  body.onEnd((completion) => ends.push(completion));
  return { source, body, seen, overs, ends };
}

const COMPLETE = { end: 'complete', bytes: 3 } as const;

class FullSink extends CollectingSink {
  override write(chunk: Uint8Array): boolean {
    super.write(chunk);
    return false;
  }
}

describe('HeldBody', () => {
  it('holds what comes, shows it, and gives it to whoever takes it, chunk by chunk', () => {
    const { source, body, seen } = held();
    const chunks = [bytes('a'), bytes('b')];
    for (const chunk of chunks) source.sink.write(chunk);
    expect(seen).toEqual(['a', 'b']);
    expect(body.held()).toEqual(chunks);
    const sink = new CollectingSink();
    body.pipe(sink);
    source.sink.write(bytes('c'));
    expect(sink.text).toBe('abc');
    expect(sink.chunks[0]).toBe(chunks[0]);
    expect([body.bytes, body.held()]).toEqual([3, []]);
  });

  it('lets bytes go before it looks at them', () => {
    const source = new Source();
    const order: string[] = [];
    const watcher = {
      chunk: () => void order.push('seen'),
      over: () => undefined,
      discarded: () => undefined,
    };
    const body = new HeldBody(source, watcher, 10);
    body.start();
    body.pipe({ write: () => order.push('sent') > 0, end: () => undefined, abort: () => undefined });
    source.sink.write(bytes('x'));
    expect(order).toEqual(['sent', 'seen']);
  });

  it('asks for a pause when enough is held, and goes on when somebody takes it', () => {
    const { source, body } = held(3);
    expect(source.sink.write(bytes('ab'))).toBe(true);
    expect(source.sink.write(bytes('c'))).toBe(false);
    expect(source.resumed).toBe(0);
    body.pipe(new CollectingSink());
    expect(source.resumed).toBe(1);
  });

  it('stays paused while its taker is full, and goes on when that one says so', () => {
    const { source, body } = held(3);
    source.sink.write(bytes('abc'));
    body.pipe(new FullSink());
    expect(source.resumed).toBe(0);
    expect(source.sink.write(bytes('d'))).toBe(false);
    body.resume();
    expect(source.resumed).toBe(1);
  });

  it('ends as its watcher says, with last words and trailers, and only once', () => {
    const { source, body, overs, ends } = held();
    const sink = new CollectingSink();
    let trailers: readonly string[] = [];
    sink.end = (given?: readonly string[]) => {
      sink.ended = true;
      trailers = given ?? [];
    };
    body.pipe(sink);
    source.sink.write(bytes('abc'));
    source.sink.end(['x-t', '1']);
    expect(overs).toEqual([COMPLETE]);
    expect(sink.ended).toBe(false);
    const broken = { end: 'upstream-aborted', reason: 'response_incomplete', bytes: 3 } as const;
    body.close({ completion: broken, clean: true, last: bytes('!'), trailers: ['x-t', '1'] });
    body.close({ completion: COMPLETE, clean: false });
    expect([sink.text, sink.ended, sink.aborted]).toEqual(['abc!', true, undefined]);
    expect(trailers).toEqual(['x-t', '1']);
    expect(ends).toEqual([broken]);
  });

  it('breaks off when it is closed uncleanly', () => {
    const { body, ends } = held();
    const sink = new CollectingSink();
    body.pipe(sink);
    const broken = { end: 'timed-out', reason: 'idle_timeout', bytes: 0 } as const;
    body.close({ completion: broken, clean: false });
    expect([sink.ended, sink.aborted]).toEqual([false, broken]);
    expect(ends).toEqual([broken]);
  });

  it('that ended well before anybody took it ends when somebody does', () => {
    const { source, body, ends } = held();
    source.sink.write(bytes('abc'));
    body.close({ completion: COMPLETE, clean: true });
    expect(ends).toEqual([]);
    const sink = new CollectingSink();
    body.pipe(sink);
    expect([sink.text, sink.ended]).toEqual(['abc', true]);
    expect(ends).toEqual([COMPLETE]);
  });

  it('that broke before anybody took it has ended', () => {
    const { body, ends } = held();
    const broken = { end: 'upstream-aborted', bytes: 0 } as const;
    body.close({ completion: broken, clean: false });
    expect(ends).toEqual([broken]);
    const sink = new CollectingSink();
    body.pipe(sink);
    expect(sink.aborted).toBe(broken);
  });

  it('can be thrown away, and then ignores what comes', () => {
    const { source, body, seen, overs, ends } = held(2);
    source.sink.write(bytes('abc'));
    body.discard();
    body.discard();
    expect(seen).toEqual(['abc', 'discarded']);
    expect(ends).toEqual([{ end: 'discarded', bytes: 3 }]);
    expect(source.resumed).toBe(1);
    expect(source.sink.write(bytes('more'))).toBe(true);
    source.sink.end([]);
    source.sink.abort({ end: 'client-aborted', bytes: 3 });
    expect([seen, overs]).toEqual([['abc', 'discarded'], []]);
  });

  it('cannot be thrown away by those who do not have it any more', () => {
    const { body, ends, seen } = held();
    body.pipe(new CollectingSink());
    body.discard();
    expect([ends, seen]).toEqual([[], []]);
  });

  it('lets go of everything when it is dropped, and is never heard of again', () => {
    const { source, body, ends } = held(2);
    source.sink.write(bytes('abc'));
    body.drop();
    expect(body.held()).toEqual([]);
    expect(source.resumed).toBe(1);
    body.close({ completion: COMPLETE, clean: true });
    source.sink.end([]);
    expect(ends).toEqual([]);
  });

  it('takes words of our own only while somebody listens', () => {
    const { body } = held();
    body.insert(bytes('early'));
    const sink = new CollectingSink();
    body.pipe(sink);
    body.insert(bytes('in time'));
    body.close({ completion: COMPLETE, clean: true });
    body.insert(bytes('late'));
    expect(sink.text).toBe('in time');
  });
});
