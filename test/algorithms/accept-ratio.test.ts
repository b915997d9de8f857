import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AcceptRatio } from '../../src/algorithms/accept-ratio.ts';
import type { AcceptRatioOptions } from '../../src/algorithms/accept-ratio.ts';
import { seededRandom } from '../../src/core/random.ts';

const ratioOf = (parts: Partial<AcceptRatioOptions> = {}, previous?: AcceptRatio): AcceptRatio =>
  new AcceptRatio({ multiplier: 2, minimumRequests: 10, windowMs: 120_000, ...parts }, previous);

describe('AcceptRatio', () => {
  it('keeps nothing back while half of the calls are taken on', () => {
    const ratio = ratioOf();
    for (let i = 0; i < 100; i++) {
      ratio.accepted(0);
      ratio.refused(0);
    }
    expect(ratio.rejectionProbability(0)).toBe(0);
  });

  it('keeps back by the formula of the book', () => {
    const ratio = ratioOf();
    for (let i = 0; i < 10; i++) ratio.accepted(0);
    for (let i = 0; i < 89; i++) ratio.refused(0);
    expect(ratio.rejectionProbability(0)).toBeCloseTo((99 - 20) / 100);
  });

  it('keeps nothing back below the minimum of calls', () => {
    const ratio = ratioOf({ minimumRequests: 5 });
    for (let i = 0; i < 4; i++) ratio.refused(0);
    expect(ratio.rejectionProbability(0)).toBe(0);
    ratio.refused(0);
    expect(ratio.rejectionProbability(0)).toBeCloseTo(5 / 6);
  });

  it('forgets what is older than the window', () => {
    const ratio = ratioOf();
    for (let i = 0; i < 50; i++) ratio.refused(0);
    expect(ratio.rejectionProbability(60_000)).toBeGreaterThan(0.9);
    expect(ratio.rejectionProbability(132_000)).toBe(0);
  });

  it('takes over what was counted, unless the window has another length', () => {
    const before = ratioOf();
    for (let i = 0; i < 50; i++) before.refused(0);
    expect(ratioOf({ multiplier: 3 }, before).rejectionProbability(0)).toBeGreaterThan(0.9);
    expect(ratioOf({ windowMs: 1_000 }, before).rejectionProbability(0)).toBe(0);
  });

  it('is a probability below 1, and the more are taken on, the smaller', () => {
    fc.assert(
      fc.property(
        fc.nat(500),
        fc.nat(500),
        fc.double({ min: 1, max: 10, noNaN: true }),
        (yes, no, multiplier) => {
          const ratio = ratioOf({ multiplier, minimumRequests: 1 });
          for (let i = 0; i < yes; i++) ratio.accepted(0);
          for (let i = 0; i < no; i++) ratio.refused(0);
          const before = ratio.rejectionProbability(0);
          expect(before).toBeGreaterThanOrEqual(0);
          expect(before).toBeLessThan(1);
          ratio.accepted(0);
          expect(ratio.rejectionProbability(0)).toBeLessThanOrEqual(before + 1e-12);
        },
      ),
    );
  });

  it('settles where what is sent is about the multiplier times what is taken on', () => {
    const [ratio, random] = [ratioOf(), seededRandom(4)];
    let [sent, taken] = [0, 0];
    // Ten calls a second come, and two a second are taken on.
    for (let second = 0; second < 600; second++) {
      let room = 2;
      for (let i = 0; i < 10; i++) {
        const now = second * 1_000 + i * 100;
        if (random.next() < ratio.rejectionProbability(now)) {
          ratio.refused(now);
          continue;
        }
        if (second >= 300) sent += 1;
        if (room-- > 0) {
          ratio.accepted(now);
          if (second >= 300) taken += 1;
        } else ratio.refused(now);
      }
    }
    expect(taken).toBeGreaterThan(500);
    expect(sent / taken).toBeGreaterThan(1.7);
    expect(sent / taken).toBeLessThan(2.3);
  });
});
