import { afterEach, describe, expect, it } from 'vitest';
import { httpDate } from '../../src/algorithms/http-date.ts';

const AT = Date.UTC(1994, 10, 6, 8, 49, 37);

describe('a date in a field', () => {
  const { TZ } = process.env;
  afterEach(() => {
    if (TZ === undefined) delete process.env['TZ'];
    else process.env['TZ'] = TZ;
  });

  it.each(['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'])(
    'is read in all three forms, wherever this machine is: %s',
    (text) => {
      for (const zone of ['UTC', 'America/New_York', 'Asia/Tokyo']) {
        process.env['TZ'] = zone;
        expect(httpDate(text)).toBe(AT);
      }
    },
  );

  it.each([
    ...['', '0', '-1', '3000', '2026-01-01T00:00:00Z', 'Sun, 06 Nov 1994 08:49:37', 'in 5 years'],
    ...['Sun, 06 Nov 1994 08:49:37 PST', 'Sun, 06 Nov 1994 25:49:37 GMT', 'Sun, 06 Nul 1994 08:49:37 GMT'],
  ])('is none where it has no such form: %j', (text) => {
    expect(httpDate(text)).toBeUndefined();
  });
});
