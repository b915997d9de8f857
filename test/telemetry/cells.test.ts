import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { CounterFamily, HistogramFamily } from '../../src/telemetry/cells.ts';

const samples = async (registry: Registry): Promise<string[]> =>
  (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));

it('a histogram is published with cumulative buckets, sum and count of every series', async () => {
  const registry = new Registry();
  const family = new HistogramFamily(registry, { name: 'h', help: 'H.', labels: ['a'], buckets: [1, 2] });
  for (const value of [0.5, 1, 1.5, 9]) family.observe(['x'], value);
  family.observe(['y'], 2);
  expect(await samples(registry)).toEqual([
    'h_bucket{a="x",le="1"} 2',
    'h_bucket{a="x",le="2"} 3',
    'h_bucket{a="x",le="+Inf"} 4',
    'h_sum{a="x"} 12',
    'h_count{a="x"} 4',
    'h_bucket{a="y",le="1"} 0',
    'h_bucket{a="y",le="2"} 1',
    'h_bucket{a="y",le="+Inf"} 1',
    'h_sum{a="y"} 2',
    'h_count{a="y"} 1',
  ]);
  expect(await registry.metrics()).toContain('# HELP h H.\n# TYPE h histogram\n');
});

it('a counter that has had too many labels counts new ones as `other`', async () => {
  const registry = new Registry();
  const family = new CounterFamily(registry, { name: 'c', help: 'C.', labels: ['a'] });
  for (let n = 0; n < 2_010; n++) family.add([`v${n}`]);
  const all = await samples(registry);
  expect(all).toHaveLength(2_001);
  expect(all.at(-1)).toBe('c{a="other"} 10');
});

it('what is counted as `other` leaves no trace, and what was there before goes on', async () => {
  const registry = new Registry();
  const family = new CounterFamily(registry, { name: 'c', help: 'C.', labels: ['a', 'b'] });
  for (let n = 0; n < 2_000; n++) family.add([`v${n}`, 'x']);
  family.add(['v0', 'x']);
  family.add(['v0', 'y']);
  family.add(['new', 'x']);
  const all = await samples(registry);
  expect([all[0], all.length, all.at(-1)]).toEqual(['c{a="v0",b="x"} 2', 2_001, 'c{a="other",b="other"} 2']);
});

it('series that stand still for long make room for new ones, and come back from 0', async () => {
  const registry = new Registry();
  const family = new CounterFamily(registry, { name: 'c', help: 'C.', labels: ['a'] });
  for (let n = 0; n < 2_000; n++) family.add([`v${n}`], 5);
  for (let n = 0; n < 240; n++) {
    family.add(['v7']);
    await registry.getMetricsAsJSON();
  }
  family.add(['new']);
  family.add(['v0']);
  family.add(['v7']);
  expect(await samples(registry)).toEqual(['c{a="v7"} 246', 'c{a="new"} 1', 'c{a="v0"} 1']);
});
