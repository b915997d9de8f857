/** Answers by what they are an answer to, on a shelf that only knows digests: each variant of a varying one has its own. */
import { varyOf } from '../algorithms/http-freshness.ts';
import type { AnswerKey, AnswerShelf, CachedAnswer, Found } from '../core/answer-store.ts';
import type { HeaderList } from '../core/header-list.ts';
import { variantOf } from './plan.ts';
import type { Plan } from './plan.ts';

export interface Located {
  /** Where it is, or would be. */
  readonly key: AnswerKey;
  readonly found: Found<CachedAnswer> | undefined;
  /** There are answers for those who ask in another way. */
  readonly varies: boolean;
}

/** No promise where the shelf answers at once. */
export function locate(shelf: AnswerShelf, key: AnswerKey, headers: HeaderList): Located | Promise<Located> {
  const first = shelf.get(key);
  return first instanceof Promise
    ? first.then((found) => follow(shelf, key, { found, headers }))
    : follow(shelf, key, { found: first, headers });
}

function follow(
  shelf: AnswerShelf,
  key: AnswerKey,
  { found, headers }: { readonly found: Found | undefined; readonly headers: HeaderList },
): Located | Promise<Located> {
  if (found?.shelved.kind !== 'varying')
    return { key, found: found as Found<CachedAnswer> | undefined, varies: false };
  const own = variantOf(key, found.shelved.names, headers);
  const second = shelf.get(own);
  return second instanceof Promise
    ? second.then((it) => ({ key: own, found: answerIn(it), varies: true }))
    : { key: own, found: answerIn(second), varies: true };
}

const answerIn = (found: Found | undefined): Found<CachedAnswer> | undefined =>
  found?.shelved.kind === 'answer' ? (found as Found<CachedAnswer>) : undefined;

/** @param headers of the request that it is the answer to */
export function shelve(
  shelf: AnswerShelf,
  { key, path }: Pick<Plan, 'key' | 'path'>,
  { cached, headers, keepForMs }: { cached: CachedAnswer; headers: HeaderList; keepForMs: number },
): void {
  const names = varyOf(cached.answer.head.headers);
  if (names.length > 0) shelf.put(key, { kind: 'varying', names, path }, keepForMs);
  shelf.put(variantOf(key, names, headers), cached, keepForMs);
}
