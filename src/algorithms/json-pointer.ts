/** Looks values up in parsed JSON by RFC 6901 pointers, in which `*` stands for every member of an array or object. */

/** @returns every value that the pointer reaches; none where the way ends before */
export function valuesAt(json: unknown, pointer: string): unknown[] {
  if (pointer === '') return [json];
  let reached: unknown[] = [json];
  for (const step of pointer.slice(1).split('/')) {
    const key = step.replaceAll('~1', '/').replaceAll('~0', '~');
    reached = reached.flatMap((value) => membersOf(value, key));
    if (reached.length === 0) break;
  }
  return reached;
}

/** The first of them, where it is a string. */
export function textAt(json: unknown, pointer: string): string | undefined {
  const [first] = valuesAt(json, pointer);
  return typeof first === 'string' ? first : undefined;
}

function membersOf(value: unknown, key: string): unknown[] {
  if (value === null || typeof value !== 'object') return [];
  if (key === '*') return Object.values(value);
  // An array's own length is none of its members.
  return Object.prototype.propertyIsEnumerable.call(value, key)
    ? [(value as Record<string, unknown>)[key]]
    : [];
}
