import { describe, expect, it } from 'vitest';
import {
  demandsOf,
  lifetimeOf,
  stalenessOf,
  varyOf,
  whyUnshareable,
} from '../../src/algorithms/http-freshness.ts';

const NOW = Date.UTC(2026, 0, 1, 12);
const date = (ms: number): string => new Date(NOW + ms).toUTCString();
const received = { atMs: NOW, tookMs: 0 };
const STRICT = { overrides: false };

const freshFor = (
  headers: readonly string[],
  rules: { ttlMs?: number; overrides: boolean } = STRICT,
): number => lifetimeOf(headers, rules, received).freshForMs;

describe('the lifetime of an answer', () => {
  it.each([
    [['cache-control', 's-maxage=1, max-age=2', 'expires', date(3_000)], 1_000],
    [['cache-control', 'max-age=2', 'expires', date(3_000)], 2_000],
    [['expires', date(3_000), 'date', date(0)], 3_000],
    [['expires', date(3_000), 'date', date(-2_000)], 5_000],
    [['expires', date(3_000)], 3_000],
    [['expires', date(-3_000)], 0],
    [['expires', '0'], 0],
    [['expires', '3000'], 0],
    [['expires', date(9_000), 'expires', date(3_000)], 3_000],
    [['last-modified', date(-86_400_000)], 0],
    [['cache-control', 'max-age=9, no-cache'], 0],
    [[], 0],
  ])('%j: %i ms', (headers, ms) => {
    expect(freshFor(headers)).toBe(ms);
  });

  it('is the operator’s where nothing is stated, from when the answer came', () => {
    const rules = { ttlMs: 5_000, overrides: false };
    expect(freshFor([], rules)).toBe(5_000);
    expect(lifetimeOf(['age', '10'], rules, received)).toEqual({ ageMs: 10_000, freshForMs: 15_000 });
    expect(freshFor(['cache-control', 'max-age=9'], rules)).toBe(9_000);
    expect(freshFor(['cache-control', 'max-age=9'], { ttlMs: 5_000, overrides: true })).toBe(5_000);
  });

  it.each([
    [['age', '10'], 3_000, 13_000],
    [['date', date(-20_000)], 3_000, 20_000],
    [['date', date(-20_000), 'age', '30'], 0, 30_000],
    [['date', date(60_000)], 1_000, 1_000],
    [['age', 'old'], 0, 0],
  ])('counts from the age that it had: %j after %i ms', (headers, tookMs, ageMs) => {
    expect(lifetimeOf(headers, STRICT, { atMs: NOW, tookMs }).ageMs).toBe(ageMs);
  });
});

describe('being used past it', () => {
  it('is what the answer allows, and never against its word', () => {
    expect(stalenessOf(['cache-control', 'stale-while-revalidate=5, stale-if-error=9'])).toEqual({
      forbidden: false,
      whileRevalidateMs: 5_000,
      ifErrorMs: 9_000,
    });
    for (const word of ['must-revalidate', 'proxy-revalidate', 'no-cache'])
      expect(stalenessOf(['cache-control', `stale-if-error=9, ${word}`])).toEqual({
        forbidden: true,
        whileRevalidateMs: 0,
        ifErrorMs: 0,
      });
  });

  it('is against s-maxage, unless the answer says otherwise itself', () => {
    expect(stalenessOf(['cache-control', 's-maxage=1']).forbidden).toBe(true);
    expect(stalenessOf(['cache-control', 's-maxage=1, stale-while-revalidate=5']).forbidden).toBe(false);
  });
});

describe('what a request demands', () => {
  it('is nothing where it says nothing', () => {
    expect(demandsOf(['accept', '*/*'])).toEqual(demandsOf([]));
    expect(demandsOf([])).toMatchObject({ noCache: false, maxAgeMs: Number.POSITIVE_INFINITY });
  });

  it('is read from Cache-Control, and from Pragma only where that is not there', () => {
    expect(demandsOf(['pragma', 'No-Cache'])).toMatchObject({ noCache: true });
    expect(demandsOf(['pragma', 'no-cache', 'cache-control', 'max-age=1'])).toMatchObject({
      noCache: false,
      maxAgeMs: 1_000,
    });
    expect(demandsOf(['cache-control', 'max-stale'])).toMatchObject({ maxStaleMs: Number.POSITIVE_INFINITY });
    expect(demandsOf(['cache-control', 'max-stale=3'])).toMatchObject({ maxStaleMs: 3_000 });
  });
});

describe('who may have an answer', () => {
  it.each([
    [200, [], undefined],
    [404, [], 'status'],
    [206, [], 'status'],
    [302, [], 'status'],
    [302, ['expires', date(1)], undefined],
    [200, ['vary', 'a, *'], 'vary'],
    [200, ['cache-control', 'no-store, private'], 'no-store'],
  ])('%i %j: %s', (status, headers, why) => {
    expect(whyUnshareable({ status, statusText: '', headers })).toBe(why);
  });

  it('depends on the fields that it varies by, whatever their order', () => {
    expect(varyOf(['Vary', 'B,  a', 'vary', 'b, c,'])).toEqual(['a', 'b', 'c']);
  });
});
