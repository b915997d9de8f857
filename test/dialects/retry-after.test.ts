import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { parseRetryAfter, retryAfterMs } from '../../src/dialects/retry-after.ts';

/** Sunday, 6 November 1994, 08:49:37 GMT: the date that RFC 9110 uses for its examples. */
const THEN = Date.UTC(1994, 10, 6, 8, 49, 37);
const before =
  (ms: number): (() => Date) =>
  () =>
    new Date(THEN - ms);
const never = (): Date => {
  throw new Error('the wall clock was not needed');
};

describe('parseRetryAfter', () => {
  it.each([
    ['0', 0],
    ['1', 1_000],
    ['120', 120_000],
    ['007', 7_000],
    [' 30 ', 30_000],
    ['0.5', 500],
    ['1.25', 1_250],
    ['2.', undefined],
    ['.5', undefined],
  ])('reads %j as seconds: %s ms', (text, expected) => {
    expect(parseRetryAfter(text, never)).toBe(expected);
  });

  it.each([
    ['IMF-fixdate', 'Sun, 06 Nov 1994 08:49:37 GMT'],
    ['RFC 850', 'Sunday, 06-Nov-94 08:49:37 GMT'],
    ['asctime', 'Sun Nov  6 08:49:37 1994'],
  ])('reads a date in the form of %s', (_, text) => {
    expect(parseRetryAfter(text, before(90_000))).toBe(90_000);
  });

  it('takes a date that has passed for now', () => {
    expect(parseRetryAfter('Sun, 06 Nov 1994 08:49:37 GMT', before(-1))).toBe(0);
  });

  describe('on a machine far from Greenwich', () => {
    const zone = process.env['TZ'];
    afterEach(() => {
      if (zone === undefined) delete process.env['TZ'];
      else process.env['TZ'] = zone;
    });

    it.each(['America/Los_Angeles', 'Asia/Tokyo', 'UTC'])(
      'reads every form of a date as GMT (%s)',
      (machinesZone) => {
        process.env['TZ'] = machinesZone;
        for (const text of [
          'Sun, 06 Nov 1994 08:49:37 GMT',
          'Sunday, 06-Nov-94 08:49:37 GMT',
          'Sun Nov  6 08:49:37 1994',
        ])
          expect(parseRetryAfter(text, before(1_000))).toBe(1_000);
      },
    );
  });

  it.each([
    '',
    ' ',
    'soon',
    '-1',
    '+1',
    '1e3',
    '0x10',
    '1,000',
    '10 s',
    '10s',
    '1;2',
    'NaN',
    'Infinity',
    'Mon',
    'Monday 5',
    'Mon, 99 Foo 2026 99:99:99 GMT',
    '2026-11-21T00:00:00Z',
    '06 Nov 1994 08:49:37 GMT',
  ])('says nothing for %j', (text) => {
    expect(parseRetryAfter(text, before(0))).toBeUndefined();
  });

  it('says nothing where there is no field', () => {
    expect(parseRetryAfter(undefined, never)).toBeUndefined();
  });

  it('takes more than a year for a mistake of clock or unit', () => {
    const year = 366 * 24 * 3_600;
    expect(parseRetryAfter(String(year), never)).toBe(year * 1_000);
    expect(parseRetryAfter(String(year + 1), never)).toBeUndefined();
    expect(parseRetryAfter('9'.repeat(400), never)).toBeUndefined();
    expect(parseRetryAfter('Fri, 31 Dec 9999 23:59:59 GMT', before(0))).toBeUndefined();
  });

  it('never throws, and never gives what is no sane number', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.integer().map(String), fc.double().map(String)), (text) => {
        const ms = parseRetryAfter(text, before(0));
        if (ms !== undefined) expect(ms >= 0 && ms <= 366 * 24 * 3_600_000).toBe(true);
      }),
    );
  });
});

describe('retryAfterMs', () => {
  it('prefers retry-after-ms, for it is finer', () => {
    expect(retryAfterMs(['Retry-After', '1', 'Retry-After-Ms', '250'], never)).toBe(250);
    expect(retryAfterMs(['retry-after-ms', '1500.5'], never)).toBe(1_500.5);
    expect(retryAfterMs(['retry-after-ms', '0', 'retry-after', '9'], never)).toBe(0);
  });

  it.each(['-5', 'soon', '', '1s', '1e3'])('falls back to Retry-After where retry-after-ms is %j', (ms) => {
    expect(retryAfterMs(['retry-after-ms', ms, 'retry-after', '2'], never)).toBe(2_000);
  });

  it('does not take milliseconds for seconds, nor seconds for milliseconds', () => {
    expect(retryAfterMs(['retry-after-ms', '3000'], never)).toBe(3_000);
    expect(retryAfterMs(['retry-after', '3000'], never)).toBe(3_000_000);
  });

  it('reads dates, too', () => {
    expect(retryAfterMs(['retry-after', 'Sun, 06 Nov 1994 08:49:37 GMT'], before(7_000))).toBe(7_000);
  });

  it('says nothing for more than a year, nor where there is no field', () => {
    expect(retryAfterMs(['retry-after-ms', '999999999999'], never)).toBeUndefined();
    expect(retryAfterMs(['x-retry-after', '5'], never)).toBeUndefined();
  });
});
