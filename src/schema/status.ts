/** Sets of HTTP statuses as people write them: `503`, `"5xx"`, `"500-504"`. */
import { z } from 'zod';

const CLASS = /^([1-5])xx$/;
const RANGE = /^(\d{3})-(\d{3})$/;

export const statusRange = z
  .union([
    z.number().int().min(100).max(599),
    z.string().regex(/^([1-5]xx|[1-5]\d\d|[1-5]\d\d-[1-5]\d\d)$/, {
      error: 'expected a status such as 503, "5xx" or "500-504"',
    }),
  ])
  .meta({ id: 'StatusRange', description: 'A status (503), a class ("5xx") or a range ("500-504").' });

export type StatusRange = z.output<typeof statusRange>;

function bounds(range: StatusRange): readonly [number, number] {
  const text = String(range);
  const wide = CLASS.exec(text);
  if (wide) return [Number(wide[1]) * 100, Number(wide[1]) * 100 + 99];
  const from = RANGE.exec(text);
  return from ? [Number(from[1]), Number(from[2])] : [Number(text), Number(text)];
}

/** @returns a test whether a status is in any of the ranges */
export function statusMatcher(ranges: readonly StatusRange[]): (status: number) => boolean {
  const all = ranges.map(bounds);
  return (status) => all.some(([low, high]) => status >= low && status <= high);
}
