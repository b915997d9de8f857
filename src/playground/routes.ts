/** Which operation answers which path. */
import { chatCompletion } from './chat.ts';
import { createEmbeddings } from './embeddings.ts';
import { methodNotAllowed, unknownPath } from './errors.ts';
import type { ApiError } from './errors.ts';
import { FAULT_HEADER, FAULT_KINDS } from './faults.ts';
import { listModels } from './models.ts';
import type { Operation } from './reply.ts';
import { createResponse } from './responses.ts';

interface Route {
  readonly method: 'GET' | 'POST';
  readonly operation: Operation;
}

/** The provider's API. Faults strike here and nowhere else. */
const API: ReadonlyMap<string, Route> = new Map<string, Route>([
  ['/v1/chat/completions', { method: 'POST', operation: chatCompletion }],
  ['/v1/responses', { method: 'POST', operation: createResponse }],
  ['/v1/embeddings', { method: 'POST', operation: createEmbeddings }],
  ['/v1/models', { method: 'GET', operation: listModels }],
]);

const ABOUT = {
  name: 'Outrigger playground',
  about: 'A made-up provider that speaks the OpenAI API and fails as configured. No model runs here.',
  endpoints: [...[...API].map(([path, { method }]) => `${method} ${path}`), 'GET /health'],
  faultHeader: `${FAULT_HEADER}: ${[...FAULT_KINDS, 'none'].join(' | ')}`,
};

/** Pages about the playground itself: always 200, never faulty, not counted. */
const PAGES: ReadonlyMap<string, object> = new Map<string, object>([
  ['/', ABOUT],
  ['/health', { status: 'ok' }],
]);

export type Target =
  | { readonly kind: 'api'; readonly method: 'GET' | 'POST'; readonly operation: Operation }
  | { readonly kind: 'page'; readonly body: object }
  | { readonly kind: 'refusal'; readonly error: ApiError };

/** @param url the request target; its query is ignored */
export function targetOf(method: string, url: string): Target {
  const path = url.split('?', 1)[0] ?? '';
  const page = PAGES.get(path);
  if (page && (method === 'GET' || method === 'HEAD')) return { kind: 'page', body: page };
  const route = API.get(path);
  if (route?.method === method) return { kind: 'api', ...route };
  const allowed = page ? 'GET, HEAD' : route?.method;
  const error = allowed === undefined ? unknownPath(method, path) : methodNotAllowed(method, path, allowed);
  return { kind: 'refusal', error };
}
