/** A client of a source's own, with the certificates that its section of the configuration names. */
import type { Clock } from '../core/clock.ts';
import type { TlsTowards } from '../schema/tls.ts';
import { HttpClient } from '../transport/http-client.ts';
import { tlsOptionsOf } from '../transport/tls-options.ts';

/** Contacts nobody before it is asked to. */
export const clientOf = (clock: Clock, tls: TlsTowards): HttpClient =>
  new HttpClient({ clock, tls: tlsOptionsOf(tls) });

/** Origins without a slash at the end, as requests are written from. */
export const originsOf = (urls: readonly string[]): string[] => urls.map((url) => new URL(url).origin);
