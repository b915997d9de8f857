/**
 * Who may ask the registry. Where it has a token, only who bears it. Where it has none it listens on loopback, and what
 * threatens it is a browser there that runs a stranger's page: such a page's requests carry its own name as the host (DNS
 * rebinding) or as the origin, and both are refused.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { bearsToken } from '../algorithms/bearer-token.ts';
import { hostNameOf, isLoopback } from '../algorithms/host-names.ts';
import type { Answer } from './problem.ts';
import { problem } from './problem.ts';

export interface Guarded {
  readonly token: string | undefined;
  /** The address that it is bound to. */
  readonly bound: string;
}

/** @returns why not; undefined: it may */
export function refusalOf(headers: IncomingHttpHeaders, { token, bound }: Guarded): Answer | undefined {
  if (token !== undefined)
    return bearsToken(headers.authorization, token) ? undefined : unauthorized(headers);
  const host = hostNameOf(headers.host);
  if (isLoopback(bound) && (host === undefined || !isLoopback(host)))
    return forbidden(
      'host_not_allowed',
      `this registry listens on loopback and answers to 127.0.0.1, ::1 and localhost, not to ${host ?? 'this Host field'}`,
    );
  if (headers.origin !== undefined)
    return forbidden('origin_not_allowed', 'pages in browsers may not ask a registry without a token');
  return undefined;
}

function unauthorized({ authorization }: IncomingHttpHeaders): Answer {
  const sent = authorization !== undefined;
  return problem({
    status: 401,
    code: 'token_required',
    detail: sent
      ? 'the token is not the one in registry.token'
      : 'this needs the token in registry.token: Authorization: Bearer …',
    headers: {
      'www-authenticate': `Bearer realm="outrigger-registry"${sent ? ', error="invalid_token"' : ''}`,
    },
  });
}

const forbidden = (code: string, detail: string): Answer => problem({ status: 403, code, detail });
