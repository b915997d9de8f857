import { describe, expect, it } from 'vitest';
import { pairedRatio, percentile, summarise } from '../../bench/statistics.ts';

describe('summarise', () => {
  it('gives the middle value of an odd count, whatever the order', () => {
    expect(summarise([30, 10, 20])).toEqual({ median: 20, min: 10, max: 30, count: 3 });
  });

  it('gives the mean of the middle two values of an even count', () => {
    expect(summarise([4, 1, 3, 2])?.median).toBe(2.5);
  });

  it('sorts by size, not by spelling', () => {
    expect(summarise([100, 9, 20])?.median).toBe(20);
  });

  it('has nothing to say about no values', () => {
    expect(summarise([])).toBeUndefined();
  });

  it('leaves its input as it was', () => {
    const values = [3, 1, 2];
    summarise(values);
    expect(values).toEqual([3, 1, 2]);
  });
});

describe('percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);

  it('takes the nearest rank', () => {
    expect(percentile(hundred, 50)).toBe(50);
    expect(percentile(hundred, 99)).toBe(99);
    expect(percentile([7, 5], 99)).toBe(7);
  });

  it('reaches both ends', () => {
    expect(percentile(hundred, 0)).toBe(1);
    expect(percentile(hundred, 100)).toBe(100);
  });

  it('is 0 without values', () => {
    expect(percentile([], 99)).toBe(0);
  });
});

describe('pairedRatio', () => {
  const turns = (...values: number[]) => values.map((value, turn) => ({ turn, value }));

  it('compares neighbours in time, so that a slow spell of the machine cancels out', () => {
    expect(pairedRatio(turns(11, 22, 110), turns(10, 20, 100))).toEqual({
      median: 1.1,
      min: 1.1,
      max: 1.1,
      count: 3,
    });
  });

  it('uses only turns that both sides have', () => {
    const subject = [
      { turn: 0, value: 3 },
      { turn: 2, value: 8 },
    ];
    expect(pairedRatio(subject, turns(1, 1, 4))).toEqual({ median: 2.5, min: 2, max: 3, count: 2 });
  });

  it('gives no ratio to nothing or to zero', () => {
    expect(pairedRatio(turns(1), [])).toBeUndefined();
    expect(pairedRatio(turns(1), turns(0))).toBeUndefined();
  });
});
