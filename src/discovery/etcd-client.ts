/**
 * What the sidecar says to etcd v3, by its JSON gateway: ranges, puts, leases, watches. Members of the cluster are tried in
 * turn; a token that has run out is renewed once a call.
 * @see https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/
 */
import type { HttpAnswer, HttpClient, HttpStream } from '../transport/http-client.ts';
import { HttpClientError } from '../transport/http-client.ts';
import { watchMessage, clusterOf, fieldsOf, rangeEnd, revisionOf, entriesIn } from './etcd-messages.ts';
import type { EtcdRange, EtcdWatched, Fields } from './etcd-messages.ts';
import { linesOf } from './json-lines.ts';
import { SourceError } from './source-error.ts';

export interface EtcdOptions {
  /** `http://host:2379` or `https://…`, without a path; at least one. */
  readonly endpoints: readonly string[];
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** Longest wait for one answer of one member, in milliseconds. Default 5 000. */
  readonly timeoutMs?: number | undefined;
}

/** Keys that are meant: one, or all that begin with it. */
export interface EtcdKeys {
  readonly key: string;
  readonly prefix: boolean;
}

export interface EtcdPut {
  /** The value goes when it does. Default: it stays. */
  readonly lease?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A watch was ended by what was said in it, rather than by its connection: it need not go on from there. */
export class WatchRefused extends SourceError {}

const DEFAULT_TIMEOUT_MS = 5_000;
/** A range or a line of a watch that is larger fails. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
/** What etcd says when the token is not, or no more, good for anything; in part with status 400. */
const TOKEN_IS_STALE = /invalid auth token|user name is empty|revision of auth store is old/;
const AUTH_IS_OFF = /authentication is not enabled/;

export class EtcdClient {
  readonly #options: EtcdOptions;
  readonly #http: HttpClient;
  readonly #timeoutMs: number;
  /** Index of the member that answered last. */
  #member = 0;
  /** Empty: etcd wants none. Undefined: not asked for yet. */
  #token: string | undefined;
  #authenticating: Promise<string> | undefined;

  constructor(options: EtcdOptions, http: HttpClient) {
    this.#options = options;
    this.#http = http;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    if (options.user === undefined) this.#token = '';
  }

  /** The keys as they stand in the store's newest revision; a majority of the cluster was asked. @throws SourceError */
  async range(keys: EtcdKeys, signal?: AbortSignal): Promise<EtcdRange> {
    const answer = await this.#ask('/v3/kv/range', { ...selection(keys) }, signal);
    const revision = revisionOf(answer);
    // A watch that began with the first revision of all would be told that it is forgotten, again and again.
    if (revision === 0) throw new SourceError('etcd: /v3/kv/range: there is no revision in the answer');
    return {
      revision,
      cluster: clusterOf(answer),
      entries: entriesIn(answer['kvs']),
    };
  }

  /** @throws SourceError */
  async put(key: string, value: string, { lease, signal }: EtcdPut = {}): Promise<void> {
    const body = { key: base64(key), value: base64(value), ...(lease !== undefined && { lease }) };
    await this.#ask('/v3/kv/put', body, signal);
  }

  /** @throws SourceError */
  async delete(keys: EtcdKeys, signal?: AbortSignal): Promise<void> {
    await this.#ask('/v3/kv/deleterange', { ...selection(keys) }, signal);
  }

  /** A lease that lives for `ttlSeconds` without a sign of life. @returns its id @throws SourceError */
  async grant(ttlSeconds: number, signal?: AbortSignal): Promise<string> {
    const { ID: id } = await this.#ask('/v3/lease/grant', { TTL: String(ttlSeconds) }, signal);
    if (typeof id !== 'string') throw new SourceError('etcd: /v3/lease/grant: there is no id in the answer');
    return id;
  }

  /** A sign of life. @returns whether the lease still stands; where not, it has to be granted anew @throws SourceError */
  async keepAlive(lease: string, signal?: AbortSignal): Promise<boolean> {
    const answer = await this.#ask('/v3/lease/keepalive', { ID: lease }, signal);
    return Number(fieldsOf(answer['result'])['TTL'] ?? 0) > 0;
  }

  /** Ends a lease, and all keys that hang on it. One that is gone is no error. @throws SourceError */
  async revoke(lease: string, signal?: AbortSignal): Promise<void> {
    try {
      await this.#ask('/v3/lease/revoke', { ID: lease }, signal);
    } catch (error) {
      if (!(error instanceof SourceError && error.message.includes('lease not found'))) throw error;
    }
  }

  /**
   * Changes from a revision on, as they come; ends with an error when the stream does.
   * @param fromRevision the first that is wanted: the one after that of the range
   * @throws SourceError, WatchRefused
   */
  async *watch(keys: EtcdKeys, fromRevision: number, signal: AbortSignal): AsyncGenerator<EtcdWatched> {
    const create_request = {
      ...selection(keys),
      start_revision: String(fromRevision),
      progress_notify: true,
    };
    const { stream, member, token } = await this.#stream('/v3/watch', { create_request }, signal);
    try {
      for await (const line of linesOf(stream.chunks, MAX_ANSWER_BYTES)) {
        const watched = watchMessage(line);
        if (watched.error !== undefined && TOKEN_IS_STALE.test(watched.error)) this.#forgetToken(token);
        if (watched.error !== undefined) throw new Error(watched.error);
        yield watched;
      }
    } catch (error) {
      const failed = this.#failed('/v3/watch', member, error);
      throw error instanceof HttpClientError ? failed : new WatchRefused(failed.message, undefined, error);
    } finally {
      stream.close();
    }
    throw new SourceError(`etcd: ${member}/v3/watch: the stream has ended`);
  }

  async #ask(path: string, body: object, signal?: AbortSignal): Promise<Fields> {
    const call = (url: string, token: string): Promise<HttpAnswer> =>
      this.#http.call({ ...this.#request(url, body, token, signal), maxBytes: MAX_ANSWER_BYTES });
    return this.#withToken(async (token) => {
      const { answer, member } = await this.#atSomeMember(path, (url) => call(url, token), signal);
      if (answer.status === 200) return this.#parsed(answer, path, member);
      throw refused(answer.status, answer.text(), `${member}${path}`);
    });
  }

  #stream(path: string, body: object, signal: AbortSignal): Promise<Streamed> {
    return this.#withToken(async (token) => {
      const ask = (url: string): Promise<HttpStream> =>
        this.#http.stream(this.#request(url, body, token, signal));
      const { answer: stream, member } = await this.#atSomeMember(path, ask, signal);
      if (stream.status === 200) return { stream, member, token };
      stream.close();
      throw refused(stream.status, '', `${member}${path}`);
    });
  }

  #request(url: string, body: object, token: string, signal?: AbortSignal) {
    return {
      method: 'POST',
      url,
      headers: {
        'content-type': 'application/json',
        // A member that has lost the others would keep a watch open and never say anything.
        'grpc-metadata-hasleader': 'true',
        ...(token !== '' && { authorization: token }),
      },
      body: JSON.stringify(body),
      timeoutMs: this.#timeoutMs,
      ...(signal && { signal }),
    };
  }

  /** Once around the cluster, beginning with the member that answered last. */
  async #atSomeMember<A extends { readonly status: number }>(
    path: string,
    ask: (url: string) => Promise<A>,
    signal?: AbortSignal,
  ): Promise<{ answer: A; member: string }> {
    const { endpoints } = this.#options;
    // Of its own: others who ask meanwhile go around too.
    const first = this.#member;
    for (let tried = 1; ; tried++) {
      const at = (first + tried - 1) % endpoints.length;
      const member = endpoints[at] ?? '';
      const isLast = tried >= endpoints.length || signal?.aborted === true;
      try {
        const answer = await ask(`${member}${path}`);
        if (!isAway(answer.status)) this.#member = at;
        if (!isAway(answer.status) || isLast) return { answer, member };
        if ('close' in answer) (answer as unknown as HttpStream).close();
      } catch (error) {
        if (isLast) throw this.#failed(path, member, error);
      }
    }
  }

  /** Runs `work` with the token, and once more with a new one where that is what it lacked. */
  async #withToken<R>(work: (token: string) => Promise<R>): Promise<R> {
    const token = this.#token ?? (await this.#authenticate());
    try {
      return await work(token);
    } catch (error) {
      if (!(error instanceof TokenIsStale) || this.#options.user === undefined) throw error;
      this.#forgetToken(token);
      return work(await this.#authenticate());
    }
  }

  #forgetToken(token: string | undefined): void {
    // Another call may have renewed it meanwhile.
    if (this.#token === token && this.#options.user !== undefined) this.#token = undefined;
  }

  /** One at a time, whoever needs it. */
  #authenticate(): Promise<string> {
    if (this.#token !== undefined) return Promise.resolve(this.#token);
    this.#authenticating ??= this.#newToken().finally(() => (this.#authenticating = undefined));
    return this.#authenticating;
  }

  async #newToken(): Promise<string> {
    const path = '/v3/auth/authenticate';
    const { user = '', password = '' } = this.#options;
    const body = { name: user, password };
    const ask = (url: string): Promise<HttpAnswer> => this.#http.call(this.#request(url, body, ''));
    const { answer, member } = await this.#atSomeMember(path, ask);
    const text = answer.text();
    if (answer.status === 200) {
      const { token } = this.#parsed(answer, path, member);
      if (typeof token === 'string') return (this.#token = token);
      throw new SourceError(`etcd: ${member}${path}: there is no token in the answer`);
    }
    if (AUTH_IS_OFF.test(text)) return (this.#token = '');
    throw new SourceError(refused(answer.status, text, `${member}${path}`).message, answer.status);
  }

  #parsed(answer: HttpAnswer, path: string, member: string): Fields {
    try {
      return fieldsOf(answer.json());
    } catch (error) {
      throw this.#failed(path, member, error);
    }
  }

  #failed(path: string, member: string, error: unknown): Error {
    if (error instanceof SourceError) return error;
    // The client's own words say already what was asked.
    const what = error instanceof Error ? error.message : String(error);
    const where = error instanceof HttpClientError ? '' : `${member}${path}: `;
    return new SourceError(`etcd: ${where}${what}`, undefined, error);
  }
}

interface Streamed {
  readonly stream: HttpStream;
  readonly member: string;
  readonly token: string;
}

class TokenIsStale extends SourceError {}

/** The gateway's words for a member that is there and cannot serve: others may. */
const isAway = (status: number): boolean => status >= 500;

const base64 = (text: string): string => Buffer.from(text).toString('base64');

const selection = ({ key, prefix }: EtcdKeys): { key: string; range_end?: string } =>
  prefix ? rangeEnd(key) : { key: base64(key) };

function refused(status: number, text: string, where: string): SourceError {
  const stale = status === 401 || TOKEN_IS_STALE.test(text);
  const message = `etcd: ${where}: answered ${status}${reasonIn(text)}`;
  return stale ? new TokenIsStale(message, status) : new SourceError(message, status);
}

/** etcd's own words, cut: whoever answers there need not be etcd. */
function reasonIn(text: string): string {
  try {
    const { message, error } = fieldsOf(JSON.parse(text));
    const reason = typeof message === 'string' ? message : error;
    return typeof reason === 'string' ? ` (${reason.slice(0, 200)})` : '';
  } catch {
    return '';
  }
}
