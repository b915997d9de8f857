import { expect, test } from 'vitest';
import type { ExchangeEnding } from '../../src/core/exchange-ending.ts';
import { accessLine } from '../../src/telemetry/access-line.ts';

const upstream = { name: 'llm' };
const endpoint = { name: 'http://a' };

const lineAt = (endedAt: number, durationMs: number, route = '/'): Record<string, unknown> => {
  const attempt = { number: 1, endpoint };
  const exchange = {
    id: 'x',
    traceId: 't',
    upstream,
    route,
    request: { method: 'GET' },
    attempts: [attempt],
  };
  const outcome = { kind: 'response', from: 'upstream', attempt: 1 };
  const ending = { exchange, outcome, status: 200, result: 'ok', durationMs, bytes: 0 };
  return JSON.parse(accessLine('info', endedAt, ending as unknown as ExchangeEnding)) as Record<
    string,
    unknown
  >;
};

test.each([
  [1_763_776_800_007, 3.14, 1_763_776_800_004, 3.1],
  [1_763_776_800_000, 0.96, 1_763_776_799_999, 1],
  [1_763_776_800_099, 0, 1_763_776_800_099, 0],
  [999, 1_234.56, -236, 1_234.6],
])(
  'instants keep their zeros and durations have a tenth at most: %d, %d',
  (endedAt, took, startTime, durationMs) => {
    expect(lineAt(endedAt, took)).toMatchObject({ time: endedAt, startTime, durationMs });
  },
);

test('what is kept of one line does not stand in the next when its route is another', () => {
  expect(lineAt(5_000, 1, '/a')).toMatchObject({ route: '/a', endpoint: 'http://a' });
  expect(lineAt(5_000, 1, '/b')).toMatchObject({ route: '/b', endpoint: 'http://a', upstream: 'llm' });
});
