/**
 * Sub-agents that work in parallel on one key, with retries alone and with pacing: what their provider has to turn away,
 * and what gets done. In virtual time, from seeds: every run is the same, and the page shows what it brings.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { LASTS_MS, PACED, PROVIDERS, RETRY_ALONE, playPacing } from '../../bench/scenarios/virtual/pacing.ts';
import { playAllPacing, reportPacing } from '../../bench/scenarios/virtual/report.ts';
import type { PacingPair } from '../../bench/scenarios/virtual/report.ts';
import { readText } from '../support/docs-pages.ts';
import { Bucket, openaiHeaders } from '../support/limited-provider.ts';
import type { ProviderOptions } from '../support/limited-provider.ts';

const MINUTE = 60_000;

let pairs: ReadonlyMap<string, PacingPair>;

beforeAll(async () => {
  pairs = await playAllPacing();
});

describe('retry -> pacing, with twelve agents on a limit for a quarter of them', () => {
  it.each(Object.keys(PROVIDERS))(
    'has at most a tenth turned away of what retries alone have, and gets as much done: %s',
    (name) => {
      const { alone, paced } = pairs.get(name) as PacingPair;
      expect(alone.turnedAway).toBeGreaterThan(300);
      expect(paced.turnedAway).toBeLessThanOrEqual(alone.turnedAway / 10);
      expect(paced.done).toBeGreaterThanOrEqual(alone.done * 0.97);
      expect(paced.failed).toBeLessThanOrEqual(alone.failed / 10);
    },
  );

  it('is shown as it is', () => {
    const { table, svg } = reportPacing(pairs);
    expect(readText('docs/scenarios/pacing.md')).toContain(table);
    expect(readText('docs/scenarios/pacing.svg')).toBe(svg);
  });

  it('gets its own share of a key that others use too, and takes nothing by force', async () => {
    const provider = (): ProviderOptions => ({
      meters: { requests: new Bucket(240, MINUTE) },
      headers: openaiHeaders,
      takesMs: [300, 2_500],
      othersPerMs: 120 / MINUTE,
    });
    const alone = await playPacing(RETRY_ALONE, provider());
    const paced = await playPacing(PACED, provider());
    expect(paced.turnedAway).toBeLessThanOrEqual(alone.turnedAway / 10);
    // What was in the bucket, and half of what came in.
    expect(paced.done).toBeGreaterThanOrEqual((240 + (120 * LASTS_MS) / MINUTE) * 0.97);
    expect(alone.done).toBeGreaterThan(paced.done);
  });
});
