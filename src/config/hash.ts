/** A short name for a configuration's content: equal configurations have equal hashes, whatever their layout. */
import { createHash } from 'node:crypto';

/** The first 12 hex digits of the SHA-256 of the value with sorted keys. */
export function configHash(config: unknown): string {
  return createHash('sha256').update(canonical(config)).digest('hex').slice(0, 12);
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value instanceof Map || value instanceof Set) return canonical([...value]);
  if (value instanceof RegExp || value instanceof URL) return JSON.stringify(String(value));
  if (value instanceof Date) return JSON.stringify(value.toISOString());
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, each]) => each !== undefined);
    entries.sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, each]) => `${JSON.stringify(key)}:${canonical(each)}`).join(',')}}`;
  }
  if (typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value)))
    return `"${value}"`;
  return JSON.stringify(value) ?? 'null';
}
