/**
 * What discovery asks of the Kubernetes API: the EndpointSlices of one Service, and what becomes of them.
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 */
import { z } from 'zod';
import type { Clock } from '../../core/clock.ts';
import { readText } from '../../schema/read-file.ts';
import { HttpClient } from '../../transport/http-client.ts';
import type { HttpStream } from '../../transport/http-client.ts';
import { linesOf } from '../json-lines.ts';
import { sliceSchema } from './slices.ts';
import type { Slice } from './slices.ts';

export interface ApiOptions {
  /** Origin of the API server. */
  readonly apiServer: string;
  /** Read before every request: the kubelet renews it. Undefined: nobody is authenticated. */
  readonly tokenFile: string | undefined;
  /** Roots of the API server’s certificate. Undefined: the system’s. */
  readonly caFile: string | undefined;
  readonly namespace: string;
  readonly service: string;
}

/** The API server did not do what it was asked for. The message is fit for a log line. */
export class ApiError extends Error {
  /** How long the server wants to be left alone, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, retryAfterMs?: number) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** What is asked for is too old to be known: only a new list helps (410). */
export class Expired extends Error {}

export interface SliceList {
  readonly slices: readonly Slice[];
  /** Where a watch goes on. */
  readonly resourceVersion: string;
}

export type WatchEvent =
  | { readonly type: 'put' | 'delete'; readonly slice: Slice; readonly resourceVersion: string | undefined }
  | { readonly type: 'bookmark'; readonly resourceVersion: string };

/** Bounds: for one page of a list, one event, and the answer's head. */
const MAX_PAGE_BYTES = 16 * 2 ** 20;
const MAX_EVENT_BYTES = 4 * 2 ** 20;
const TIMEOUT_MS = 10_000;
/** Slices on one page: each has up to 1,000 endpoints, and a hundred where nobody has changed that. */
const PAGE = 50;
const MAX_PAGES = 100;
const GONE = 410;

const pageSchema = z.object({
  metadata: z.object({ resourceVersion: z.string(), continue: z.string().nullish() }),
  items: z
    .array(sliceSchema)
    .nullish()
    .transform((items) => items ?? []),
});

const eventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.enum(['ADDED', 'MODIFIED', 'DELETED']), object: sliceSchema }),
  z.object({
    type: z.literal('BOOKMARK'),
    object: z.object({ metadata: z.object({ resourceVersion: z.string() }) }),
  }),
  z.object({
    type: z.literal('ERROR'),
    object: z.object({ code: z.number().nullish(), message: z.string().nullish() }),
  }),
]);

export class KubernetesApi {
  readonly #options: ApiOptions;
  readonly #clock: Clock;
  #client: { readonly http: HttpClient; readonly ca: string | undefined } | undefined;

  constructor(options: ApiOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  dispose(): void {
    this.#client?.http.dispose();
    this.#client = undefined;
  }

  /** All slices at one point in time. @throws ApiError, Expired, HttpClientError */
  async list(signal: AbortSignal): Promise<SliceList> {
    const slices: Slice[] = [];
    let next: string | undefined;
    for (let page = 1; page <= MAX_PAGES; page++) {
      const query = { limit: String(PAGE), ...(next !== undefined && { continue: next }) };
      const read = await this.#page(query, signal);
      slices.push(...read.items);
      next = read.metadata.continue ?? '';
      if (next === '') return { slices, resourceVersion: read.metadata.resourceVersion };
    }
    throw new ApiError(`${this.#what} has more than ${MAX_PAGES * PAGE} EndpointSlices`);
  }

  /**
   * What happens from `resourceVersion` on, until the server ends it, which it is asked to do after `seconds`.
   * @param opened called when the server has agreed
   * @throws ApiError, Expired, HttpClientError before that; afterwards also where the connection breaks
   */
  async *watch(
    resourceVersion: string,
    { seconds, signal, opened }: { seconds: number; signal: AbortSignal; opened: () => void },
  ): AsyncGenerator<WatchEvent> {
    const query = {
      watch: '1',
      allowWatchBookmarks: 'true',
      resourceVersion,
      timeoutSeconds: String(seconds),
    };
    const stream = await this.#http().stream({ ...this.#request(query), timeoutMs: TIMEOUT_MS, signal });
    // A connection that died without a word would else be waited for without an end.
    const timer = this.#clock.setBackgroundTimer(seconds * 1_000 + TIMEOUT_MS, () => stream.close());
    try {
      if (stream.status !== 200) throw await this.#refusedStream(stream);
      opened();
      for await (const line of linesOf(stream.chunks, MAX_EVENT_BYTES)) yield this.#event(line);
    } finally {
      this.#clock.clearTimer(timer);
      stream.close();
    }
  }

  async #page(
    query: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<z.output<typeof pageSchema>> {
    const answer = await this.#http().call({
      ...this.#request(query),
      timeoutMs: TIMEOUT_MS,
      maxBytes: MAX_PAGE_BYTES,
      signal,
    });
    if (answer.status !== 200) throw this.#refused(answer.status, answer.headers, answer.text());
    const { data, error } = pageSchema.safeParse(answer.json());
    if (!data) throw new ApiError(`${this.#what}: not a list of EndpointSlices (${z.prettifyError(error)})`);
    return data;
  }

  #event(line: string): WatchEvent {
    const { data, error } = eventSchema.safeParse(parsed(line));
    if (!data) throw new ApiError(`${this.#what}: not a watch event (${z.prettifyError(error)})`);
    const { type, object } = data;
    if (type === 'ERROR') {
      if (object.code === GONE) throw this.#expired();
      throw new ApiError(
        `${this.#what}: the watch ended with ${object.code ?? 'an error'}: ${object.message ?? ''}`,
      );
    }
    const { resourceVersion } = object.metadata;
    if (type === 'BOOKMARK') return { type: 'bookmark', resourceVersion: resourceVersion as string };
    return { type: type === 'DELETED' ? 'delete' : 'put', slice: object, resourceVersion };
  }

  /** A client that trusts the roots as they stand in the file now: they are renewed too. */
  #http(): HttpClient {
    const { caFile } = this.#options;
    const ca = caFile === undefined ? undefined : contentsOf(caFile);
    if (this.#client?.ca === ca && this.#client) return this.#client.http;
    this.#client?.http.dispose();
    const tls = ca === undefined ? {} : { tls: { ca } };
    this.#client = { http: new HttpClient({ clock: this.#clock, ...tls }), ca };
    return this.#client.http;
  }

  #request(query: Readonly<Record<string, string>>): { url: string; headers: Record<string, string> } {
    const { apiServer, namespace, service, tokenFile } = this.#options;
    const path = `/apis/discovery.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/endpointslices`;
    const all = new URLSearchParams({ labelSelector: `kubernetes.io/service-name=${service}`, ...query });
    const token = tokenFile === undefined ? undefined : contentsOf(tokenFile).trim();
    return {
      url: `${apiServer.replace(/\/+$/, '')}${path}?${all.toString()}`,
      headers: {
        accept: 'application/json',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
    };
  }

  async #refusedStream({ status, headers, chunks }: HttpStream): Promise<Error> {
    let text = '';
    for await (const chunk of chunks) {
      text += chunk.toString('utf8');
      if (text.length > MAX_EXPLANATION) break;
    }
    return this.#refused(status, headers, text);
  }

  #refused(status: number, headers: Readonly<Record<string, string>>, body: string): Error {
    if (status === GONE) return this.#expired();
    const seconds = Number(headers['retry-after']);
    const explanation = z.object({ message: z.string() }).safeParse(parsed(body)).data?.message ?? '';
    return new ApiError(
      `${this.#what}: the Kubernetes API answered ${status}${HINTS[status] ?? ''} ${explanation.slice(0, 300)}`.trim(),
      Number.isFinite(seconds) && headers['retry-after'] !== undefined ? seconds * 1_000 : undefined,
    );
  }

  #expired(): Expired {
    return new Expired(`${this.#what}: the Kubernetes API answered 410: what it is asked for is too old`);
  }

  get #what(): string {
    return `EndpointSlices of ${this.#options.namespace}/${this.#options.service}`;
  }
}

const MAX_EXPLANATION = 65_536;

const HINTS: Readonly<Record<number, string>> = {
  401: ' (is the token right?)',
  403: ' (may the service account list and watch endpointslices?)',
};

/** @throws ApiError */
export function contentsOf(path: string): string {
  const file = readText(path, { regularOnly: true });
  if (!file.ok) throw new ApiError(`${path} cannot be read (${file.reason})`);
  return file.text;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
