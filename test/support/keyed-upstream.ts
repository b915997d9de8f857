/** An upstream that treats each key in its own way and counts what came with which. */
import { scriptedUpstream } from './scripted-upstream.ts';
import type { ScriptedUpstream } from './scripted-upstream.ts';
import type { RecordedRequest } from './upstream/recorded-request.ts';
import { respond } from './steps/answers.ts';
import type { RequestStep } from './upstream/step.ts';

export interface KeyedUpstream extends AsyncDisposable {
  readonly upstream: ScriptedUpstream;
  readonly origin: string;
  /** What each key meets from now on, by the key without `Bearer `; others get 200. */
  readonly treat: Map<string, RequestStep>;
  /** Requests so far by key. */
  readonly seen: Readonly<Record<string, number>>;
}

export const keyOf = (request: RecordedRequest): string =>
  (request.header('authorization') ?? request.header('x-api-key') ?? 'none').replace('Bearer ', '');

/** @param good what a key meets of which nothing else is said */
export async function keyedUpstream(
  treatment: Readonly<Record<string, RequestStep>> = {},
  good: RequestStep = respond({ body: 'fine' }),
): Promise<KeyedUpstream> {
  const treat = new Map(Object.entries(treatment));
  const upstream = await scriptedUpstream((request) => treat.get(keyOf(request)) ?? good);
  return {
    upstream,
    origin: upstream.origin,
    treat,
    get seen() {
      const counts: Record<string, number> = {};
      for (const key of upstream.requests.map(keyOf)) counts[key] = (counts[key] ?? 0) + 1;
      return counts;
    },
    [Symbol.asyncDispose]: () => upstream[Symbol.asyncDispose](),
  };
}
