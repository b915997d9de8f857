import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteBudget } from '../../src/algorithms/byte-budget.ts';
import { Cancellation } from '../../src/core/cancellation.ts';
import type { Completion, ResponseBody } from '../../src/core/outcome.ts';
import { SharedBody, costOf } from '../../src/streams/shared-body.ts';
import type { SharedBodyOptions } from '../../src/streams/shared-body.ts';
import { FakeClock } from '../support/fake-clock.ts';
import type { PausingSink } from './shared-rig.ts';
import { PacedSource, read } from './shared-rig.ts';

function shared(options: Partial<SharedBodyOptions> = {}) {
  const clock = new FakeClock();
  const source = new PacedSource();
  const body = new SharedBody(source, { clock, maxBytes: 10_000, ...options });
  const ends: Completion[] = [];
  body.onEnd((completion) => ends.push(completion));
  return { clock, source, body, ends };
}

const endsOf = (body: ResponseBody | undefined): Completion[] => {
  const ends: Completion[] = [];
  body?.onEnd((completion) => ends.push(completion));
  return ends;
};

const kilobytes = (count: number): Uint8Array => Buffer.alloc(count * 1_024, 'x');

describe('SharedBody', () => {
  it('gives every reader all of it, chunk by chunk, whenever it joins', () => {
    const { source, body, ends } = shared();
    const first = read(body.join());
    body.start();
    source.push('a', 'b');
    const second = read(body.join());
    source.push('c');
    source.finish(['x-t', '1']);
    const last = body.join();
    const lastEnds = endsOf(last);
    const third = read(last);
    for (const sink of [first, second, third]) {
      expect(sink.chunks.map(String)).toEqual(['a', 'b', 'c']);
      expect([sink.ends, sink.trailers]).toEqual([1, ['x-t', '1']]);
    }
    expect([ends, lastEnds]).toEqual([[{ end: 'complete', bytes: 3 }], [{ end: 'complete', bytes: 3 }]]);
    expect(body.recording()).toMatchObject({ bytes: 3, trailers: ['x-t', '1'] });
    expect(body.readers).toBe(0);
  });

  it('reads nothing before it is started, and starts once', () => {
    const { source, body } = shared();
    source.push('early');
    const sink = read(body.join());
    expect([source.delivered, sink.text]).toEqual([0, '']);
    body.start();
    body.start();
    expect(sink.text).toBe('early');
  });

  it('gives those who joined before the start all of it, however long it is', () => {
    const { source, body } = shared({ maxBytes: 10, lagBytes: 10 });
    source.push('a'.repeat(100), 'b'.repeat(100));
    source.finish();
    const mine = body.join();
    body.start();
    expect(source.delivered).toBe(1);
    expect(body.join()).toBeUndefined();
    expect(read(mine)).toMatchObject({ text: 'a'.repeat(100) + 'b'.repeat(100), ends: 1 });
  });

  it.each(['upstream-aborted', 'timed-out', 'client-aborted', 'discarded'] as const)(
    'tells every reader how it ended: %s',
    (end) => {
      const { source, body, ends } = shared();
      const early = read(body.join());
      const unread = body.join();
      body.start();
      source.push('abc');
      source.breakOff(end);
      const completion = { end, reason: 'response_incomplete', bytes: 3 };
      const unreadEnds = endsOf(unread);
      const late = read(body.join());
      expect([early.aborted, late.aborted, late.text]).toEqual([completion, completion, 'abc']);
      // As with any body, one that broke before anybody took it has ended, and can be taken still.
      expect(unreadEnds).toEqual([completion]);
      expect(read(unread)).toMatchObject({ text: 'abc', aborted: completion, ends: 1 });
      expect([ends, unreadEnds]).toEqual([[completion], [completion]]);
    },
  );

  it('knows that a body broke off although it was given an end that looks like one', () => {
    const { source, body, ends } = shared();
    const mine = body.join();
    const unread = body.join();
    const [mineEnds, unreadEnds] = [endsOf(mine), endsOf(unread)];
    const sink = read(mine);
    body.start();
    source.push('abc');
    const broken = { end: 'upstream-aborted', reason: 'response_incomplete', bytes: 3 } as const;
    source.finish(['x-t', '1'], broken);
    expect(sink).toMatchObject({ text: 'abc', trailers: ['x-t', '1'], aborted: undefined });
    const late = body.join();
    const lateEnds = endsOf(late);
    expect(read(late)).toMatchObject({ text: 'abc', trailers: ['x-t', '1'], aborted: undefined });
    for (const told of [ends, mineEnds, unreadEnds, lateEnds]) expect(told).toEqual([broken]);
    unread?.discard();
  });

  it('lets readers take their own time while it records', () => {
    const { source, body } = shared();
    const slow = read(body.join(), true);
    const quick = read(body.join());
    body.start();
    source.push('a', 'b', 'c');
    source.finish();
    expect([slow.text, quick.text, source.paused]).toEqual(['a', 'abc', false]);
    slow.takeOne();
    expect([slow.text, slow.ends]).toEqual(['ab', 0]);
    slow.drain();
    expect([slow.text, slow.ends]).toEqual(['abc', 1]);
  });

  it('goes on without a reader that leaves before or while it reads', () => {
    const { source, body } = shared();
    const cancellation = new Cancellation();
    const leaving = body.join(cancellation);
    const leavingEnds = endsOf(leaving);
    const gone = read(leaving);
    const unread = body.join();
    const staying = read(body.join());
    body.start();
    source.push('a');
    unread?.discard();
    cancellation.cancel('client-aborted');
    source.push('b');
    source.finish();
    const completion = { end: 'client-aborted', reason: 'client_aborted', bytes: 1 };
    expect([gone.text, gone.aborted, gone.ends]).toEqual(['a', completion, 1]);
    expect(leavingEnds).toEqual([completion]);
    expect([staying.text, staying.ends]).toEqual(['ab', 1]);
    expect(source.discarded).toBe(false);
  });

  it('has broken off for a reader that takes it after having left', () => {
    const { source, body } = shared();
    const cancellation = new Cancellation();
    const late = body.join(cancellation);
    const staying = read(body.join());
    body.start();
    source.push('a');
    cancellation.cancel('deadline');
    const sink = read(late);
    expect([sink.text, sink.ends, sink.aborted?.end]).toEqual(['', 1, 'timed-out']);
    source.finish();
    expect([sink.ends, staying.text]).toEqual([1, 'a']);
  });

  it('leaves nothing with the cancellation of a reader that is through', () => {
    const { source, body } = shared();
    const [first, second] = [new Cancellation(), new Cancellation()];
    read(body.join(first));
    body.join(second)?.discard();
    body.start();
    source.finish();
    expect([first.listenerCount, second.listenerCount]).toEqual([0, 0]);
    const late = new Cancellation();
    late.cancel('shutdown');
    const ends = endsOf(body.join(late));
    expect(ends).toEqual([{ end: 'discarded', reason: 'shutting_down', bytes: 0 }]);
    expect(body.readers).toBe(0);
  });

  it('tells its owner when the last reader leaves, and reads on', () => {
    let abandoned = 0;
    const { source, body } = shared({ onAbandoned: () => void (abandoned += 1) });
    const [one, two] = [body.join(), body.join()];
    body.start();
    one?.discard();
    expect(abandoned).toBe(0);
    two?.discard();
    two?.discard();
    expect(abandoned).toBe(1);
    source.push('a');
    const third = new Cancellation();
    expect(read(body.join(third)).text).toBe('a');
    third.cancel('client-aborted');
    expect(abandoned).toBe(2);
    source.finish();
    expect(read(body.join()).text).toBe('a');
    expect(abandoned).toBe(2);
  });

  it('can be ended by its owner at the moment it is abandoned', () => {
    const { source, body, ends } = shared({ onAbandoned: () => source.breakOff('discarded') });
    const mine = body.join();
    body.start();
    mine?.discard();
    expect(ends).toEqual([{ end: 'discarded', reason: 'response_incomplete', bytes: 0 }]);
  });
});

describe('SharedBody at its bounds', () => {
  it('can be joined up to its bound and not beyond, while present readers go on', () => {
    const maxBytes = 2 * costOf(kilobytes(1));
    const { source, body } = shared({ maxBytes });
    const first = read(body.join());
    body.start();
    source.push(kilobytes(1), kilobytes(1));
    const second = read(body.join());
    expect(body.recording()?.bytes).toBe(2_048);
    source.push('!');
    expect([body.join(), body.recording()]).toEqual([undefined, undefined]);
    source.finish();
    expect([first.text.length, second.text.length, second.ends]).toEqual([2_049, 2_049, 1]);
  });

  it('counts what many small chunks cost', () => {
    const { source, body } = shared({ maxBytes: 1_000 });
    body.start();
    for (let i = 0; i < 20; i++) source.push('x');
    expect(body.recording()).toBeUndefined();
  });

  it('makes its source wait for the slowest reader once it does not record', () => {
    const { source, body } = shared({ maxBytes: 100, lagBytes: 2_000 });
    const slow = read(body.join(), true);
    read(body.join());
    body.start();
    source.push(...Array.from({ length: 5 }, () => kilobytes(1)));
    source.finish();
    // The first went to the slow one, the two after it are more than it may lag by.
    expect([source.delivered, source.paused]).toEqual([3, true]);
    slow.takeOne();
    expect(source.paused).toBe(true);
    slow.drain();
    expect([slow.text.length, slow.ends]).toEqual([5 * 1_024, 1]);
  });

  it('cuts off a reader that makes others wait for too long, visibly', async () => {
    const { clock, source, body } = shared({ maxBytes: 100, lagBytes: 2_000, stallMs: 5_000 });
    const mine = body.join();
    const stalled = read(mine, true);
    const stalledEnds = endsOf(mine);
    const quick = read(body.join());
    body.start();
    source.push(...Array.from({ length: 5 }, () => kilobytes(1)));
    source.finish();
    await clock.advance(4_999);
    expect([stalled.ends, quick.ends]).toEqual([0, 0]);
    await clock.advance(1);
    expect(stalled.aborted).toEqual({ end: 'client-aborted', reason: 'client_aborted', bytes: 1_024 });
    expect(stalledEnds).toHaveLength(1);
    expect([quick.text.length, quick.ends]).toEqual([5 * 1_024, 1]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('cuts off one that reads a little now and then, too', async () => {
    const { clock, source, body } = shared({ maxBytes: 100, lagBytes: 20_000, stallMs: 5_000 });
    const trickling = read(body.join(), true);
    const quick = read(body.join());
    body.start();
    source.push(...Array.from({ length: 40 }, () => kilobytes(1)));
    source.finish();
    for (let i = 0; i < 5; i++) {
      await clock.advance(1_000);
      trickling.takeOne();
    }
    expect([trickling.aborted?.end, quick.ends]).toEqual(['client-aborted', 1]);
  });

  it('cuts off one that reads just enough, again and again, but not one that is a little slower', async () => {
    for (const [restMs, cutOff] of [
      [0, true],
      [600, false],
    ] as const) {
      const { clock, source, body } = shared({ maxBytes: 100, lagBytes: 2_000, stallMs: 5_000 });
      const slow = read(body.join(), true);
      const quick = read(body.join());
      body.start();
      for (let i = 0; i < 30; i++) {
        source.push(...Array.from({ length: 4 }, () => kilobytes(1)));
        await clock.advance(500);
        slow.drain();
        slow.full = true;
        await clock.advance(restMs);
      }
      source.finish();
      expect([slow.aborted !== undefined, quick.text.length]).toEqual([cutOff, 30 * 4 * 1_024]);
    }
  });

  it('lets a lone reader take its time', async () => {
    const { clock, source, body } = shared({ maxBytes: 100, lagBytes: 1_000, stallMs: 5_000 });
    const slow = read(body.join(), true);
    body.start();
    source.push(kilobytes(1), kilobytes(1), kilobytes(1));
    await clock.advance(60_000);
    expect([source.paused, slow.ends]).toEqual([true, 0]);
    slow.drain();
    expect([slow.text.length, source.paused, clock.pendingTimers]).toEqual([3_072, false, 0]);
  });

  it('waits for nobody once the last reader has left', () => {
    const { source, body, ends } = shared({ maxBytes: 100, lagBytes: 100 });
    const mine = new Cancellation();
    read(body.join(mine), true);
    body.start();
    source.push(kilobytes(1), kilobytes(1), kilobytes(1));
    source.finish();
    expect(source.paused).toBe(true);
    mine.cancel('client-aborted');
    expect(ends).toEqual([{ end: 'complete', bytes: 3_072 }]);
  });

  it('takes its room from memory that many share, and gives it back as soon as it can', () => {
    const memory = new ByteBudget(2 * costOf(kilobytes(1)));
    const one = shared({ memory });
    const other = shared({ memory });
    const slow = read(one.body.join(), true);
    const reader = read(other.body.join());
    one.body.start();
    other.body.start();
    one.source.push(kilobytes(1), kilobytes(1));
    other.source.push('x');
    expect(other.body.join()).toBeUndefined();
    expect(reader.text).toBe('x');
    one.source.finish();
    expect(memory.usedBytes).toBe(memory.limitBytes);
    one.body.forget();
    expect(one.body.join()).toBeUndefined();
    expect(memory.usedBytes).toBe(costOf(kilobytes(1)));
    slow.drain();
    expect([slow.ends, memory.usedBytes]).toEqual([1, 0]);
  });

  it('gives its room back when it is forgotten with nobody reading', () => {
    const memory = new ByteBudget(10_000);
    const { source, body } = shared({ memory });
    body.start();
    source.push('abc');
    expect(memory.usedBytes).toBe(costOf(Buffer.from('abc')));
    body.forget();
    body.forget();
    expect(memory.usedBytes).toBe(0);
    source.push('def');
    source.finish();
    expect(memory.usedBytes).toBe(0);
  });
});

type Step =
  | { readonly do: 'push'; readonly size: number }
  | { readonly do: 'join'; readonly full: boolean }
  | { readonly do: 'take' | 'drain' | 'fill' | 'leave'; readonly who: number }
  | { readonly do: 'forget' };

const who = fc.nat(7);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('push' as const), size: fc.integer({ min: 1, max: 40 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('join' as const), full: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('take' as const, 'drain' as const, 'fill' as const), who }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), who }) },
  { weight: 1, arbitrary: fc.constant({ do: 'forget' as const }) },
);

interface Joined {
  readonly sink: PausingSink;
  readonly cancellation: Cancellation;
  left: boolean;
}

/** Plays the steps; what a reader has is compared with what the source has given at every one of them. */
function play(steps: readonly Step[], options: Partial<SharedBodyOptions>, whole: boolean) {
  const memory = new ByteBudget(2_000);
  const { source, body, clock } = shared({ memory, ...options });
  const sent: Uint8Array[] = [];
  const joined: Joined[] = [];
  const join = (full: boolean): void => {
    const cancellation = new Cancellation();
    const mine = body.join(cancellation);
    if (mine) joined.push({ sink: read(mine, full), cancellation, left: false });
  };
  join(false);
  body.start();
  for (const [index, one] of steps.entries()) {
    if (one.do === 'push') {
      sent.push(Buffer.alloc(one.size, index));
      source.push(sent.at(-1) as Uint8Array);
    } else if (one.do === 'join') join(one.full);
    else if (one.do === 'forget') body.forget();
    else act(joined[one.who % Math.max(1, joined.length)], one.do);
    const all = Buffer.concat(sent);
    for (const { sink } of joined) {
      const got = Buffer.concat(sink.chunks);
      expect(all.subarray(0, got.length).equals(got)).toBe(true);
    }
  }
  if (whole) source.finish(['x-t', '1']);
  else source.breakOff();
  for (const { sink } of joined) sink.drain();
  return { sent: sent.slice(0, source.delivered), joined, body, memory, clock };
}

function act(reader: Joined | undefined, what: 'take' | 'drain' | 'fill' | 'leave'): void {
  if (!reader) return;
  if (what === 'take') reader.sink.takeOne();
  else if (what === 'drain') reader.sink.drain();
  else if (what === 'fill') reader.sink.full = true;
  else {
    reader.left ||= reader.sink.ends === 0;
    reader.cancellation.cancel('client-aborted');
  }
}

describe('SharedBody, whatever its readers do', () => {
  const bounds = fc.record({
    maxBytes: fc.constantFrom(0, 300, 1_000, 1_000_000),
    lagBytes: fc.constantFrom(0, 100, 500),
  });

  it('gives each of them exactly the bytes of the source, and one end', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), bounds, fc.boolean(), (steps, options, whole) => {
        const { sent, joined, body, memory, clock } = play(steps, options, whole);
        for (const { sink, left, cancellation } of joined) {
          expect([sink.ends, cancellation.listenerCount]).toEqual([1, 0]);
          if (left) expect(sink.aborted?.end).toBe('client-aborted');
          else {
            expect(sink.chunks.map(String)).toEqual(sent.map(String));
            expect(sink.aborted?.end).toBe(whole ? undefined : 'upstream-aborted');
            expect(sink.trailers).toEqual(whole ? ['x-t', '1'] : undefined);
          }
        }
        expect([body.readers, clock.pendingTimers]).toEqual([0, 0]);
        body.forget();
        expect(memory.usedBytes).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it('keeps no more than its bound, or what the slowest may lag by and one chunk', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), bounds, (steps, options) => {
        const { source, body } = shared(options);
        const slow = read(body.join(), true);
        body.start();
        let kept = 0;
        for (const one of steps) {
          if (one.do === 'push') source.push(Buffer.alloc(one.size));
          else if (one.do === 'take') slow.takeOne();
          kept = source.delivered - slow.chunks.length;
          const most = Math.max(options.maxBytes, options.lagBytes) + 40 + 64;
          expect(kept * 65).toBeLessThanOrEqual(most);
        }
      }),
      { numRuns: 100 },
    );
  });
});
