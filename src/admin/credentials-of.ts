/** The credentials of an upstream, as far as operators are concerned with them. */
import { Credentials } from '../policies/credentials.ts';
import type { LiveUpstream } from '../runtime/upstream.ts';

/** Undefined when it has none of its own. */
export function credentialsOf(upstream: LiveUpstream): Credentials | undefined {
  const policy = upstream.policies.get('credentials');
  return policy instanceof Credentials ? policy : undefined;
}
