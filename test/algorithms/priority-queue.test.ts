import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PriorityQueue } from '../../src/algorithms/priority-queue.ts';
import type { Place } from '../../src/algorithms/priority-queue.ts';

const SECOND = 1_000;

/** Everything in the queue, in order. */
function drained<T>(queue: PriorityQueue<T>): T[] {
  const all: T[] = [];
  for (let next = queue.shift(); next; next = queue.shift()) all.push(next.value);
  return all;
}

describe('a priority queue', () => {
  it('serves the higher rank first, and within a rank whoever came first', () => {
    const queue = new PriorityQueue<string>(10 * SECOND);
    queue.push('low', -1, 0);
    queue.push('first', 0, 0);
    queue.push('high', 1, 0);
    queue.push('second', 0, 0);
    expect(drained(queue)).toEqual(['high', 'first', 'second', 'low']);
  });

  it('lets waiting outweigh rank: who has waited long enough is not passed any more', () => {
    const queue = new PriorityQueue<string>(10 * SECOND);
    queue.push('low', 0, 0);
    queue.push('high in time', 1, 9.9 * SECOND);
    queue.push('high too late', 1, 10.1 * SECOND);
    expect(drained(queue)).toEqual(['high in time', 'low', 'high too late']);
  });

  it('is a plain line where a rank is worth nothing', () => {
    const queue = new PriorityQueue<string>(0);
    queue.push('a', -9, 0);
    queue.push('b', 9, 1);
    expect(drained(queue)).toEqual(['a', 'b']);
  });

  it('says whose turn it is without taking it', () => {
    const queue = new PriorityQueue<string>(SECOND);
    expect(queue.peek()).toBeUndefined();
    expect(queue.shift()).toBeUndefined();
    queue.push('only', 0, 5);
    expect(queue.peek()).toMatchObject({ value: 'only', rank: 0, since: 5 });
    expect(queue.size).toBe(1);
  });

  it('takes a place back once, and never that of another', () => {
    const [queue, other] = [new PriorityQueue<string>(SECOND), new PriorityQueue<string>(SECOND)];
    const place = queue.push('a', 0, 0);
    other.push('b', 0, 0);
    expect(other.remove(place)).toBe(false);
    expect([queue.remove(place), queue.remove(place), queue.size, other.size]).toEqual([true, false, 0, 1]);
  });

  it('orders as a sort would, whoever joins and leaves', () => {
    const action = fc.oneof(
      fc.record({ rank: fc.integer({ min: -3, max: 3 }), laterMs: fc.nat(9_000) }),
      fc.record({ leaves: fc.nat(60) }),
      fc.constant('serve' as const),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const queue = new PriorityQueue<number>(4 * SECOND);
        let model: { place: Place<number>; standing: number; number: number }[] = [];
        let now = 0;
        let number = 0;
        const sorted = (): typeof model =>
          [...model].sort((a, b) => a.standing - b.standing || a.number - b.number);
        for (const one of actions) {
          if (one === 'serve') {
            const expected = sorted()[0];
            expect(queue.shift()).toBe(expected?.place);
            model = model.filter((entry) => entry !== expected);
          } else if ('leaves' in one) {
            const gone = model[one.leaves % Math.max(1, model.length)];
            if (gone) expect(queue.remove(gone.place)).toBe(true);
            model = model.filter((entry) => entry !== gone);
          } else {
            now += one.laterMs;
            const place = queue.push(number, one.rank, now);
            model.push({ place, standing: now - one.rank * 4 * SECOND, number: number++ });
          }
          expect(queue.size).toBe(model.length);
        }
        expect(drained(queue)).toEqual(sorted().map(({ place }) => place.value));
      }),
    );
  });

  it('starves nobody: whoever waits is served before all who join after its head start is gone', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: -5, max: 5 }), fc.nat(20_000)), { minLength: 2, maxLength: 40 }),
        (arrivals) => {
          const queue = new PriorityQueue<{ rank: number; at: number }>(SECOND);
          let now = 0;
          for (const [rank, laterMs] of arrivals) queue.push({ rank, at: (now += laterMs) }, rank, now);
          const order = drained(queue);
          for (const [index, earlier] of order.entries())
            for (const later of order.slice(index + 1))
              expect(earlier.at - later.at).toBeLessThanOrEqual((earlier.rank - later.rank) * SECOND);
        },
      ),
    );
  });
});
