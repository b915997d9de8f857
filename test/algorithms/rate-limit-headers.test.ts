import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DIMENSIONS, parseReset, readRateLimits } from '../../src/algorithms/rate-limit-headers.ts';

const NOW = Date.UTC(2026, 10, 20, 12, 0, 0);
const at = (ms: number): string => new Date(NOW + ms).toISOString();

const read = (...headers: string[]): Record<string, unknown> =>
  Object.fromEntries(
    [...(readRateLimits(headers, NOW) ?? [])].map(([dimension, { limit, remaining, resetInMs }]) => [
      dimension,
      [limit, remaining, resetInMs],
    ]),
  );

describe('resets', () => {
  it.each([
    ['1s', 1_000],
    ['6m0s', 360_000],
    ['120ms', 120],
    ['7.66s', 7_660],
    ['2m59.56s', 179_560],
    ['1h2m3s', 3_723_000],
    ['1d', 86_400_000],
    ['500us', 0.5],
    ['0s', 0],
    ['30', 30_000],
    ['0', 0],
    ['1.5', 1_500],
    [' 12 ', 12_000],
    ['60;w=60', 60_000],
    [String(NOW / 1_000 + 90), 90_000],
    [String(NOW + 90), 90],
    [String(NOW / 1_000 - 5), 0],
    [at(4_000), 4_000],
    ['2026-11-20T12:00:10Z', 10_000],
    ['2026-11-20T13:00:10+01:00', 10_000],
    [at(-4_000), 0],
  ])('%j is %d ms from now', (text, ms) => {
    expect(parseReset(text, NOW)).toBeCloseTo(ms, 6);
  });

  it.each([
    '',
    '-1',
    '-5s',
    's',
    '1x',
    '1 s',
    'soon',
    '1e9',
    'NaN',
    'Infinity',
    '2026-11-20',
    '12:00',
    '999d',
    '9'.repeat(40),
  ])('%j says nothing', (text) => {
    expect(parseReset(text, NOW)).toBeUndefined();
  });
});

describe('rate-limit headers', () => {
  it('are OpenAI’s', () => {
    expect(
      read(
        ...['x-ratelimit-limit-requests', '500', 'x-ratelimit-remaining-requests', '499'],
        ...['x-ratelimit-reset-requests', '120ms', 'x-ratelimit-limit-tokens', '30000'],
        ...['x-ratelimit-remaining-tokens', '29000', 'x-ratelimit-reset-tokens', '6m0s'],
      ),
    ).toEqual({ requests: [500, 499, 120], tokens: [30_000, 29_000, 360_000] });
  });

  it('are Anthropic’s', () => {
    expect(
      read(
        ...['anthropic-ratelimit-requests-limit', '50', 'anthropic-ratelimit-requests-remaining', '49'],
        ...['anthropic-ratelimit-requests-reset', at(1_000)],
        ...['anthropic-ratelimit-input-tokens-limit', '40000'],
        ...['anthropic-ratelimit-input-tokens-remaining', '39000'],
        ...['anthropic-ratelimit-input-tokens-reset', at(2_000)],
        ...['Anthropic-RateLimit-Output-Tokens-Remaining', '8000'],
        ...['anthropic-ratelimit-tokens-remaining', '47000'],
      ),
    ).toEqual({
      requests: [50, 49, 1_000],
      'input-tokens': [40_000, 39_000, 2_000],
      'output-tokens': [undefined, 8_000, undefined],
      tokens: [undefined, 47_000, undefined],
    });
  });

  it('are plain ones, in both spellings and with epochs', () => {
    const reset = String(NOW / 1_000 + 20);
    expect(read('X-RateLimit-Limit', '60', 'X-RateLimit-Remaining', '0', 'X-RateLimit-Reset', reset)).toEqual(
      { requests: [60, 0, 20_000] },
    );
    expect(
      read('ratelimit-limit', '100, 100;w=60', 'ratelimit-remaining', '7', 'ratelimit-reset', '9'),
    ).toEqual({ requests: [100, 7, 9_000] });
  });

  it.each([
    ['a policy by name', '"default";r=50;t=30', '"default";q=100;w=60', [100, 50, 30_000]],
    [
      'the fullest of several',
      '"minute";r=9;t=30, "day";r=2;t=900',
      '"minute";q=10;w=60,"day";q=500;w=86400',
      [500, 2, 900_000],
    ],
    ['names with separators', '"a,b;c";r=1;t=2;pk=:c2FsdA==:', '"a,b;c";q=3;w=60', [3, 1, 2_000]],
    ['no policy field', '"default";r=50;t=30', '', [undefined, 50, 30_000]],
    ['no reset', '"default";r=50', '', [undefined, 50, undefined]],
    ['the older form', 'limit=100, remaining=50, reset=30', '100;w=60', [100, 50, 30_000]],
  ])('are structured fields: %s', (_, field, policy, expected) => {
    const headers = ['RateLimit', field, ...(policy ? ['RateLimit-Policy', policy] : [])];
    expect(read(...headers)).toEqual({ requests: expected });
  });

  it('are structured fields on several lines, whichever comes first', () => {
    expect(
      read(
        'ratelimit-policy',
        '"b";q=9',
        'ratelimit-policy',
        '"a";q=8',
        'ratelimit',
        '"a";r=7',
        'ratelimit',
        '"b";r=6',
      ),
    ).toEqual({ requests: [9, 6, undefined] });
  });

  it('do not take bytes, or what is under way, for requests', () => {
    const policy = ['ratelimit-policy', '"b";q=65535;qu="content-bytes", "c";q=4;qu="concurrent-requests"'];
    expect(read(...policy, 'ratelimit', '"b";r=1;t=5, "c";r=0;t=5')).toEqual({});
  });

  it('count by what is most telling where they come in several forms', () => {
    expect(
      read(
        ...['x-ratelimit-remaining', '1', 'ratelimit', '"x";r=2', 'ratelimit-remaining', '3'],
        ...['x-ratelimit-remaining-requests', '4'],
      ),
    ).toEqual({ requests: [undefined, 4, undefined] });
    expect(read('x-ratelimit-remaining', '1', 'ratelimit-remaining', '3')).toEqual({
      requests: [undefined, 1, undefined],
    });
  });

  it('mean their instants by the answer’s own clock', () => {
    const date = new Date(NOW - 3_600_000).toUTCString();
    const reset = String((NOW - 3_600_000) / 1_000 + 7);
    expect(read('date', date, 'x-ratelimit-remaining', '0', 'x-ratelimit-reset', reset)).toEqual({
      requests: [undefined, 0, 7_000],
    });
    expect(read('date', 'yesterday', 'x-ratelimit-remaining', '0', 'x-ratelimit-reset', at(7_000))).toEqual({
      requests: [undefined, 0, 7_000],
    });
  });

  it('say nothing without a remainder, with a limit of 0, or where there is none of them', () => {
    expect(
      readRateLimits(['x-ratelimit-limit-requests', '5', 'x-ratelimit-reset-requests', '1s'], NOW),
    ).toBeUndefined();
    expect(
      readRateLimits(['x-ratelimit-limit-tokens', '0', 'x-ratelimit-remaining-tokens', '0'], NOW),
    ).toBeUndefined();
    expect(readRateLimits(['x-ratelimit-remaining-tokens', '-1'], NOW)).toBeUndefined();
    expect(readRateLimits(['content-type', 'text/plain', 'retry-after', '1'], NOW)).toBeUndefined();
    expect(readRateLimits([], NOW)).toBeUndefined();
  });

  it('never throw, and give only finite numbers of at least 0, whatever they hold', () => {
    const name = fc.oneof(
      fc.constantFrom(
        ...[
          'date',
          'ratelimit',
          'ratelimit-policy',
          'ratelimit-reset',
          'x-ratelimit-reset',
          'x-ratelimit-limit',
        ],
        ...DIMENSIONS.flatMap((dimension) =>
          ['limit', 'remaining', 'reset'].flatMap((field) => [
            `x-ratelimit-${field}-${dimension}`,
            `anthropic-ratelimit-${dimension}-${field}`,
          ]),
        ),
        ...['ratelimit-remaining', 'x-ratelimit-remaining'],
      ),
      fc.string(),
    );
    const value = fc.oneof(
      fc.string(),
      fc.stringMatching(/^[0-9a-z"=;,.:TZ+ \\-]{0,40}$/),
      fc.integer().map(String),
      fc.double().map(String),
      fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
      fc.tuple(fc.nat(), fc.constantFrom('s', 'ms', 'm', 'h', 'd', 'ns')).map(([n, unit]) => `${n}${unit}`),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value), { maxLength: 12 }), (pairs) => {
        for (const { limit = 0, remaining, resetInMs = 0 } of readRateLimits(pairs.flat(), NOW)?.values() ??
          [])
          for (const number of [limit, remaining, resetInMs])
            expect(Number.isFinite(number) && number >= 0).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('give back every duration that was written in Go’s form', () => {
    fc.assert(
      fc.property(fc.nat(99), fc.nat(59), fc.nat(59), fc.nat(999), (h, m, s, ms) => {
        const text = `${h}h${m}m${s}s${ms}ms`;
        expect(parseReset(text, NOW)).toBeCloseTo(((h * 60 + m) * 60 + s) * 1_000 + ms, 6);
      }),
    );
  });
});
