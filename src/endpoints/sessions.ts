/** Which endpoint keeps which session. Bounded, and kept through reloads. */
import type { Dialect } from '../core/dialect.ts';
import { headerValue } from '../core/header-list.ts';
import type { ResponseHead } from '../core/outcome.ts';
import type { RequestHead } from '../core/request.ts';

/** The session that was used least recently gives way. */
const MAX_SESSIONS = 10_000;
/** Longer names are not remembered: they come from clients. */
const MAX_NAME = 256;

export class Sessions {
  readonly #header: string;
  readonly #endpoints = new Map<string, string>();

  /** @param header lower-case name of the field that carries the session in both directions */
  constructor(header: NonNullable<Dialect['sessionHeader']>) {
    this.#header = header;
  }

  /** Name of the endpoint where the session of this request lives, as far as anybody knows. */
  endpointOf(request: RequestHead): string | undefined {
    const session = headerValue(request.headers, this.#header);
    if (session === undefined) return undefined;
    const endpoint = this.#endpoints.get(session);
    if (endpoint !== undefined) this.#remember(session, endpoint);
    return endpoint;
  }

  /** Only what an endpoint accepted is learnt: whatever clients make up takes no room. */
  answered(request: RequestHead, { status, headers }: ResponseHead, endpoint: string): void {
    const asked = headerValue(request.headers, this.#header);
    const session = headerValue(headers, this.#header) ?? asked;
    if (session === undefined) return;
    const ended = request.method === 'DELETE' && status < 300;
    if (ended || (status === 404 && asked !== undefined)) this.#forget(session, endpoint);
    else if (status < 300 && session.length <= MAX_NAME) this.#remember(session, endpoint);
  }

  get size(): number {
    return this.#endpoints.size;
  }

  /** The newest is the last; the first is the next to go. */
  #remember(session: string, endpoint: string): void {
    this.#endpoints.delete(session);
    this.#endpoints.set(session, endpoint);
    if (this.#endpoints.size > MAX_SESSIONS) {
      const [oldest] = this.#endpoints.keys();
      if (oldest !== undefined) this.#endpoints.delete(oldest);
    }
  }

  /** Another endpoint not knowing it says nothing. */
  #forget(session: string, endpoint: string): void {
    if (this.#endpoints.get(session) === endpoint) this.#endpoints.delete(session);
  }
}
