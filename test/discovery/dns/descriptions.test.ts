import { describe, expect, it } from 'vitest';
import { descriptionsOf } from '../../../src/discovery/dns/descriptions.ts';
import type { Located } from '../../../src/discovery/dns/lookup.ts';
import { foundEndpointSchema } from '../../../src/schema/endpoint.ts';

const REACH = { scheme: 'http', basePath: '', name: 'agents.test' } as const;

const record = (last: number, priority: number, weight: number): Located => ({
  address: `10.0.0.${last}`,
  port: 80,
  srv: { target: `t${last}.test`, priority, weight },
});

describe('endpoints of SRV records', () => {
  it('have weights that compare as the records’ do, in the range that ours have', () => {
    const found = descriptionsOf([record(1, 0, 65_535), record(2, 0, 13_107), record(3, 0, 0)], REACH);
    expect(found.map(({ weight }) => weight)).toEqual([1_000, 200, 2]);
  });

  it('keep small weights as they are', () => {
    const found = descriptionsOf([record(1, 0, 3), record(2, 0, 1)], REACH);
    expect(found.map(({ weight }) => weight)).toEqual([3, 1]);
  });

  it('have priorities without gaps, and as many as we have', () => {
    const many = Array.from({ length: 120 }, (_, i) => record(i, 500 * i, 1));
    const found = descriptionsOf(many, REACH).map(({ priority }) => priority);
    expect([found[1], found[100], found[119]]).toEqual([1, 100, 100]);
  });

  it('can be saved and read again', () => {
    const many = Array.from({ length: 120 }, (_, i) => record(i, i, 65_535));
    for (const one of descriptionsOf(many, REACH)) expect(foundEndpointSchema.parse(one)).toMatchObject(one);
  });
});
