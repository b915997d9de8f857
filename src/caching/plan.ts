/** Whether a request may be answered from what is kept, by which rules, and what names it. */
import { hash } from 'node:crypto';
import { canonicalJson } from '../algorithms/canonical-json.ts';
import { demandsOf } from '../algorithms/http-freshness.ts';
import type { Demands, LifetimeRules } from '../algorithms/http-freshness.ts';
import { namesLike } from '../algorithms/name-pattern.ts';
import type { AnswerKey } from '../core/answer-store.ts';
import { unlessCancelled } from '../core/cancellation.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Exchange } from '../core/exchange.ts';
import { hasHeader, headerValues } from '../core/header-list.ts';
import type { HeaderList } from '../core/header-list.ts';
import { NO_BODY } from '../core/request-bodies.ts';
import type { RequestBody } from '../core/request.ts';
import type { CacheOptions } from '../schema/cache.ts';
import { independentBody } from '../streams/independent-body.ts';

export interface Plan {
  /**
   * `http`: what headers allow. `post`: the same, but time and method are the operator's word. `model`: all is the
   * operator's word, but for `no-store`.
   */
  readonly kind: 'http' | 'post' | 'model';
  readonly key: AnswerKey;
  readonly path: string;
  readonly demands: Demands;
  readonly rules: LifetimeRules;
  /** The request's body, to be had also when its client has left. */
  readonly body: RequestBody;
}

/** Conditions and parts that only the upstream can judge. */
const FOR_THE_UPSTREAM = ['range', 'if-range', 'if-match', 'if-unmodified-since', 'last-event-id'];

/** What every POST's answer may depend on. */
const OF_EVERY_POST = ['accept', 'accept-encoding', 'content-encoding', 'content-type'];

interface Declared {
  readonly kind: 'post' | 'model';
  readonly ttlMs: number;
  readonly headers: readonly string[];
}

export class Planner {
  readonly #options: CacheOptions;
  readonly #posts: readonly { readonly fits: (path: string) => boolean; readonly declared: Declared }[];
  readonly #models: Declared | undefined;

  constructor(options: CacheOptions) {
    this.#options = options;
    this.#posts = options.post.map(({ path, ttl, headers }) => ({
      fits: namesLike([path]),
      declared: { kind: 'post', ttlMs: ttl, headers },
    }));
    const { models } = options;
    this.#models = models ? { kind: 'model', ttlMs: models.ttl, headers: models.headers } : undefined;
  }

  /**
   * Waits for a body where its rules need one.
   *
   * @returns undefined when the request is none for the cache
   */
  plan(exchange: Exchange, cancellation: Cancellation): Plan | undefined | Promise<Plan | undefined> {
    const { request } = exchange;
    if (request.upgrade !== undefined || FOR_THE_UPSTREAM.some((name) => hasHeader(request.headers, name)))
      return undefined;
    const demands = demandsOf(request.headers);
    if (demands.noStore) return undefined;
    if (request.method === 'POST') return this.#planPost(exchange, demands, cancellation);
    return request.method === 'GET' || request.method === 'HEAD'
      ? this.#planGet(exchange, demands)
      : undefined;
  }

  #planGet(exchange: Exchange, demands: Demands): Plan | undefined {
    const { get } = this.#options;
    if (get === false || exchange.body.peek() !== null) return undefined;
    return {
      kind: 'http',
      key: { group: groupOfGet(exchange), variant: digest(this.#askerOf(exchange, [])) },
      path: pathOf(exchange.request.target),
      demands,
      rules: { ttlMs: get.ttl, overrides: get.override },
      body: NO_BODY,
    };
  }

  #planPost(
    exchange: Exchange,
    demands: Demands,
    cancellation: Cancellation,
  ): Plan | undefined | Promise<Plan | undefined> {
    const path = pathOf(exchange.request.target);
    const post = this.#posts.find(({ fits }) => fits(path))?.declared;
    if (!post && !(this.#models && exchange.upstream.dialect.readCall)) return undefined;
    const bytes = exchange.body.peek();
    if (bytes !== undefined) return this.#planDeclared(exchange, demands, { bytes, post });
    return unlessCancelled(exchange.body.whole(), cancellation).then((whole) =>
      whole === undefined ? undefined : this.#planDeclared(exchange, demands, { bytes: whole, post }),
    );
  }

  #planDeclared(
    exchange: Exchange,
    demands: Demands,
    { bytes, post }: { readonly bytes: Uint8Array | null; readonly post: Declared | undefined },
  ): Plan | undefined {
    const declared = post ?? (exchange.call.repeat === 'compute' ? this.#models : undefined);
    if (!declared) return undefined;
    const { target } = exchange.request;
    const place = placeOf(exchange, 'POST');
    return {
      kind: declared.kind,
      key: {
        group: digest([...place, bytes === null ? '' : meaningOf(bytes)]),
        variant: digest(this.#askerOf(exchange, [...OF_EVERY_POST, ...declared.headers])),
      },
      path: pathOf(target),
      demands,
      rules: { ttlMs: declared.ttlMs, overrides: true },
      body: independentBody(bytes),
    };
  }

  /** Who asks, by credential, and how. */
  #askerOf({ request, upstream, borrowedHeaders, agentId }: Exchange, names: readonly string[]): unknown[] {
    const { sessionHeader } = upstream.dialect;
    const secret = [
      ...upstream.credentialHeaders,
      ...borrowedHeaders,
      ...(sessionHeader ? [sessionHeader] : []),
    ];
    const telling = [...new Set([...secret, ...names])].sort();
    return [...valuesOf(request.headers, telling), this.#options.perAgent ? (agentId ?? null) : ''];
  }
}

/** Names all answers to a GET of what is asked for. */
export const groupOfGet = (exchange: Exchange): string => digest(placeOf(exchange, 'GET'));

/** Answers may speak of where their client reached them: in links, or in the card of an agent. */
const placeOf = ({ request, route, client }: Exchange, method: string): unknown[] => [
  method,
  request.target,
  request.host,
  route,
  client().secure,
];

/** Names the variant of those who ask with the same values in these fields. */
export const variantOf = (
  { group, variant }: AnswerKey,
  names: readonly string[],
  headers: HeaderList,
): AnswerKey => ({
  group,
  variant: names.length === 0 ? variant : digest([variant, ...valuesOf(headers, names)]),
});

const valuesOf = (headers: HeaderList, names: readonly string[]): [string, ...string[]][] =>
  names.map((name) => [name, ...headerValues(headers, name)]);

export const pathOf = (target: string): string => target.split('?', 1)[0] as string;

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Beyond it nobody's JSON is gone through, value by value, while all others wait: 10 MB of numbers would take seconds. */
const MAX_JSON_BYTES = 256 * 1024;

/** The order of members and blanks mean nothing; what is no JSON, or a lot, means itself, byte for byte. */
function meaningOf(bytes: Uint8Array): string {
  const meaning = bytes.length > MAX_JSON_BYTES ? undefined : canonicalJson(decoded(bytes));
  return meaning === undefined ? `bytes ${hash('sha256', bytes, 'base64url')}` : `json ${meaning}`;
}

function decoded(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return '';
  }
}

/** As long as a digest must be so that nobody can find two texts with the same one. */
const DIGEST_CHARACTERS = 32;

const digest = (parts: readonly unknown[]): string =>
  hash('sha256', JSON.stringify(parts), 'base64url').slice(0, DIGEST_CHARACTERS);
