/**
 * Lets a dialect change what an answer says of where to go, so that clients come through here the next time, too. It
 * stands innermost around the selection of an endpoint: what policies above keep or replace is what clients get.
 */
import { Buffer } from 'node:buffer';
import { BytesBody } from '../core/bytes-body.ts';
import type { Dialect } from '../core/dialect.ts';
import type { Emit } from '../core/events.ts';
import type { Exchange } from '../core/exchange.ts';
import { withoutHeaders } from '../core/header-list.ts';
import type { Outcome, ResponseOutcome } from '../core/outcome.ts';
import type { Next } from '../core/policy.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** An answer that leads past the sidecar was passed on as it is although it should have been rewritten. */
    'answer-kept': { readonly exchange: Exchange; readonly upstream: string; readonly why: string };
  }
}

/** They describe the body as it was. */
const OF_THE_BODY: ReadonlySet<string> = new Set([
  'content-length',
  'content-encoding',
  'content-digest',
  'content-md5',
  'digest',
  'repr-digest',
  'etag',
]);

export function withRewrittenAnswers(
  next: Next<Exchange>,
  dialect: Dialect,
  deps: { theirs: () => readonly string[]; emit: Emit; upstream: string },
): Next<Exchange> {
  const { theirs, emit, upstream } = deps;
  return async (exchange, cancellation): Promise<Outcome> => {
    const outcome = await next(exchange, cancellation);
    if (outcome.kind !== 'response' || outcome.tunnel) return outcome;
    const { head, json } = outcome;
    const answer = { head, json, call: exchange.call };
    const rewriting = dialect.rewrite?.(answer, { ours: addressOf(exchange), theirs: theirs() });
    if (!rewriting) return outcome;
    if (rewriting.kept !== undefined) emit('answer-kept', { exchange, upstream, why: rewriting.kept });
    return rewritten(outcome, rewriting.headers ?? head.headers, rewriting.json);
  };
}

function rewritten(outcome: ResponseOutcome, headers: readonly string[], json: unknown): ResponseOutcome {
  if (json === undefined) return { ...outcome, head: { ...outcome.head, headers } };
  const bytes = Buffer.from(JSON.stringify(json), 'utf8');
  outcome.body.discard();
  const own = [...withoutHeaders(headers, OF_THE_BODY), 'content-length', String(bytes.length)];
  return { ...outcome, head: { ...outcome.head, headers: own }, body: new BytesBody(bytes), json };
}

/** Where the client reached this upstream; on a listener of its own that is the listener itself. */
function addressOf({ client, request, route }: Exchange): string {
  const prefix = route.startsWith('/') && route !== '/' ? route : '';
  return `${client().secure ? 'https' : 'http'}://${request.host}${prefix}`;
}
