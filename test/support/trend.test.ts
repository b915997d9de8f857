import { expect, it } from 'vitest';
import { growthPerStep } from './trend.ts';

it.each([
  [[], 0],
  [[5], 0],
  [[1, 3], 2],
  [[10, 20, 30, 40], 10],
  [[7, 7, 7, 7, 7], 0],
  // A spike is no trend, nor is a step down.
  [[1, 1, 1, 900, 1, 1, 1, 1], 0],
  [[3, 4, 3, 4, 3, 4, 3, 4], 0],
])('of %j is %d', (values, growth) => {
  expect(growthPerStep(values)).toBe(growth);
});

it('is seen through noise that is larger than it', () => {
  const noise = [0, 90, 20, 70, 10, 60, 30, 80];
  expect(growthPerStep(noise.map((more, round) => 1_000 + round * 50 + more))).toBeGreaterThan(40);
  expect(growthPerStep(noise.map((more) => 1_000 + more))).toBeLessThan(15);
});
