/** The field in which a client names the endpoint that is to answer, and the one that tells it which endpoint did. */
import type { Exchange } from '../core/exchange.ts';
import { headerValues, withoutHeaders } from '../core/header-list.ts';
import type { HeaderList } from '../core/header-list.ts';
import type { Outcome } from '../core/outcome.ts';

export interface Pin {
  readonly headers: HeaderList;
  readonly pinnedTo: string | undefined;
}

/**
 * Takes the name out of the fields: it is for nobody behind the sidecar. Several names are the name of nobody.
 * @param field lower-case name of the field; undefined: clients may not choose, and no field is ours
 */
export function takePin(headers: HeaderList, field: string | undefined): Pin {
  const names = field === undefined ? [] : headerValues(headers, field);
  if (field === undefined || names.length === 0) return { headers, pinnedTo: undefined };
  return { headers: withoutHeaders(headers, new Set([field])), pinnedTo: names.join(', ').trim() };
}

/** What may stand in a header of ours: whoever registered it chose the id. */
const PRINTABLE = /^[\x21-\x7e]{1,256}$/;

/** The endpoint of this upstream whose answer it is, in a field of the answer; nothing where it is nobody's. */
export function toldEndpoint({ attempts, upstream }: Exchange, outcome: Outcome): string[] {
  const number = outcome.kind === 'response' ? outcome.attempt : undefined;
  const behind = number === undefined ? undefined : attempts[number - 1];
  if (behind?.exchange.upstream !== upstream) return [];
  const { name, instance = name } = behind.endpoint;
  return ['x-outrigger-endpoint', PRINTABLE.test(instance) ? instance : name];
}
