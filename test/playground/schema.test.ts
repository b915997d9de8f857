import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { playgroundSchema } from '../../src/playground/schema.ts';

const messagesOf = (input: unknown): string[] =>
  playgroundSchema
    .safeParse(input)
    .error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];

describe('the playground section', () => {
  it('is a provider without faults on port 8089 when it is empty', () => {
    expect(playgroundSchema.parse({})).toEqual({
      listen: '127.0.0.1:8089',
      faults: {
        errorRatio: 0,
        errorStatuses: [500, 503],
        throttleRatio: 0,
        retryAfter: 200,
        resetRatio: 0,
        stallRatio: 0,
        stallFor: 3_600_000,
        cutRatio: 0,
        slowRatio: 0,
        slowBy: 5_000,
        latency: { min: 0, max: 0 },
      },
      stream: { tokens: 24, interval: 10 },
    });
  });

  it('reads durations with units', () => {
    const { faults, stream } = playgroundSchema.parse({
      faults: { slowBy: '1.5s', latency: { min: '20ms', max: '80ms' } },
      stream: { interval: '1ms' },
    });
    expect(faults).toMatchObject({ slowBy: 1_500, latency: { min: 20, max: 80 } });
    expect(stream.interval).toBe(1);
  });

  it('refuses ratios that add up to more than 1 and names them', () => {
    const [message] = messagesOf({ faults: { errorRatio: 0.6, cutRatio: 0.5 } });
    expect(message).toMatch(/^faults: expected the ratios to add up to at most 1.*errorRatio.*cutRatio/);
  });

  it('accepts ratios that exceed 1 by rounding only', () => {
    const ratios = { errorRatio: 0.1, throttleRatio: 0.1, resetRatio: 0.6, stallRatio: 0.1, cutRatio: 0.1 };
    expect(Object.values(ratios).reduce((sum, each) => sum + each)).toBeGreaterThan(0.99);
    expect(messagesOf({ faults: { ...ratios, slowRatio: 1e-12 } })).toEqual([]);
  });

  it('refuses a latency whose min exceeds its max', () => {
    expect(messagesOf({ faults: { latency: { min: '2s', max: '1s' } } })).toEqual([
      'faults.latency.max: expected min to be at most max',
    ]);
  });

  it('refuses unknown fields, statuses that are no errors, empty answers and seeds that are no whole numbers', () => {
    expect(messagesOf({ faults: { errorRate: 1 } })[0]).toContain('errorRate');
    expect(messagesOf({ faults: { errorStatuses: [200] } })).toHaveLength(1);
    expect(messagesOf({ faults: { errorStatuses: [] } })).toHaveLength(1);
    expect(messagesOf({ stream: { tokens: 0 } })).toHaveLength(1);
    expect(messagesOf({ seed: 1.5 })).toHaveLength(1);
  });

  it('describes every field, with a default for each but the seed', () => {
    const undescribed: string[] = [];
    const withoutDefault: string[] = [];
    const walk = (node: z.core.JSONSchema.BaseSchema, path: string): void => {
      for (const [name, field] of Object.entries(node.properties ?? {})) {
        if (typeof field === 'boolean') continue;
        if (field.description === undefined) undescribed.push(`${path}${name}`);
        if (field.default === undefined) withoutDefault.push(`${path}${name}`);
        walk(field, `${path}${name}.`);
      }
    };
    walk(z.toJSONSchema(playgroundSchema, { io: 'input' }), '');
    expect(undescribed).toEqual([]);
    expect(withoutDefault).toEqual(['seed']);
  });
});
