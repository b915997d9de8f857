import { describe, expect, it } from 'vitest';
import { ProbeDelays } from '../../src/stores/redis/probe-delays.ts';

const most = { next: () => 0.999_999 };
const least = { next: () => 0 };

const rounded = (delays: ProbeDelays, count: number): number[] =>
  Array.from({ length: count }, () => Math.round(delays.next()));

describe('delays between probes', () => {
  it('double up to five seconds, half of each left to chance', () => {
    expect(rounded(new ProbeDelays(most), 8)).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    expect(rounded(new ProbeDelays(least), 8)).toEqual([50, 100, 200, 400, 800, 1_600, 2_500, 2_500]);
  });

  it('go on where they were for a server that was back for a moment only', () => {
    const delays = new ProbeDelays(most);
    rounded(delays, 4);
    delays.back(1_000);
    delays.lost(10_999);
    expect(rounded(delays, 1)).toEqual([1_600]);
  });

  it('begin anew for one that was back for a while', () => {
    const delays = new ProbeDelays(most);
    rounded(delays, 4);
    delays.back(1_000);
    delays.lost(11_000);
    expect(rounded(delays, 2)).toEqual([100, 200]);
  });
});
