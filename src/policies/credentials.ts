/**
 * Puts this upstream's own credential on an attempt, instead of whatever the client sent. It stands outside the commit
 * gate and the transport, so that it sees what each key is told, and inside selection, because keys belong to attempts.
 */
import { z } from 'zod';
import type { Cancellation } from '../core/cancellation.ts';
import { CREDENTIAL_HEADERS } from '../core/credential-headers.ts';
import type { Attempt } from '../core/exchange.ts';
import { withoutHeaders } from '../core/header-list.ts';
import type { Outcome } from '../core/outcome.ts';
import type { Next, Policy, PolicyModule, Snapshot } from '../core/policy.ts';
import { headerName, headerValue, secret } from '../schema/scalars.ts';

export const credentialsSchema = z
  .strictObject({
    header: headerName.default('authorization').describe('Field that carries the credential.'),
    value: secret(headerValue.min(1)).describe(
      'Its value, such as "Bearer ${file:/run/secrets/key}". Never printed.',
    ),
  })
  .describe('Credential to send to this upstream. Credentials that the client sent are removed.');

export type CredentialsOptions = z.output<typeof credentialsSchema>;

class Credentials implements Policy<Attempt> {
  readonly name = 'credentials';
  readonly #options: CredentialsOptions;
  readonly #removed: ReadonlySet<string>;

  constructor(options: CredentialsOptions) {
    this.#options = options;
    this.#removed = new Set([...CREDENTIAL_HEADERS, options.header.toLowerCase()]);
  }

  run(attempt: Attempt, next: Next<Attempt>, cancellation: Cancellation): Promise<Outcome> {
    const headers = withoutHeaders(attempt.headers, this.#removed);
    headers.push(this.#options.header, this.#options.value);
    attempt.replaceHeaders(headers);
    return next(attempt, cancellation);
  }

  snapshot(): Snapshot {
    return { header: this.#options.header };
  }

  dispose(): void {
    // Nothing is held.
  }
}

export const credentials: PolicyModule<Attempt, typeof credentialsSchema> = {
  name: 'credentials',
  key: 'credentials',
  schema: credentialsSchema,
  onByDefault: false,
  build: (options) => new Credentials(options),
};
