/** Puts our address in place of an upstream's, where an answer tells clients where to go. */
import type { Place } from '../core/dialect.ts';

/** @returns undefined for an address that is not below one of the upstream's */
export function addressHere(address: string, { ours, theirs }: Place): string | undefined {
  const bases = theirs.filter((base) => isBelow(address, base)).sort((a, b) => b.length - a.length);
  const [base] = bases;
  return base === undefined ? undefined : ours + address.slice(base.length);
}

function isBelow(address: string, base: string): boolean {
  if (!address.startsWith(base)) return false;
  return address.length === base.length || '/?#'.includes(address.charAt(base.length));
}
