/** Sets of HTTP statuses as people write them: `503`, `"5xx"`, `"500-504"`. */

const CLASS = /^([1-5])xx$/;
const RANGE = /^(\d{3})-(\d{3})$/;

function bounds(range: number | string): readonly [number, number] {
  const text = String(range);
  const wide = CLASS.exec(text);
  if (wide) return [Number(wide[1]) * 100, Number(wide[1]) * 100 + 99];
  const from = RANGE.exec(text);
  return from ? [Number(from[1]), Number(from[2])] : [Number(text), Number(text)];
}

/** @returns a test whether a status is in any of the ranges */
export function statusMatcher(ranges: readonly (number | string)[]): (status: number) => boolean {
  const all = ranges.map(bounds);
  return (status) => all.some(([low, high]) => status >= low && status <= high);
}
