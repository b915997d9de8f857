/**
 * Streams had a fallback and no retry; some statuses and routes were left out of it. There is one loop of attempts: what
 * is retried, and what leads to the fallback, is the same for every way of asking and every route of the dialect.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cutBefore, empty, errorInside, good, nonsense, withStatus } from '../clients/openai-faults.ts';
import type { Way } from '../clients/openai-stage.ts';
import { PATHS } from '../support/openai-fixtures.ts';
import { request } from '../support/raw-client.ts';
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar, type TestSidecar } from '../support/start-sidecar.ts';
import { closeBeforeResponse } from '../support/steps/cuts.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { apiAt } from './own-sidecar.ts';

type Api = 'chat' | 'responses';
type Fault = (api: Api, way: Way) => RequestStep;

const AGAIN: readonly (readonly [string, Fault])[] = [
  ['500', () => withStatus(500, 'server_error')],
  ['502', () => withStatus(502, 'server_error')],
  ['503', () => withStatus(503, 'server_is_overloaded')],
  ['429', () => withStatus(429, 'rate_limit_exceeded')],
  ['408', () => withStatus(408, 'timeout')],
  ['498', () => withStatus(498, 'capacity_exceeded')],
  ['a disconnect', () => closeBeforeResponse()],
  ['an error inside', (api, way) => errorInside(api, way, 'server_error')],
  ['a rate limit inside', (api, way) => errorInside(api, way, 'rate_limit_exceeded')],
  ['nothing in it', empty],
  ['a cut', cutBefore],
  ['nonsense', (_, way) => nonsense(way)],
];

const ELSEWHERE: readonly (readonly [string, Fault])[] = [
  ['no credit', () => withStatus(429, 'insufficient_quota')],
  ['payment', () => withStatus(402, 'payment_required')],
  ['a key', () => withStatus(401, 'invalid_api_key')],
  ['no credit inside', (api, way) => errorInside(api, way, 'insufficient_quota')],
];

let upstream: ScriptedUpstream;
let spare: ScriptedUpstream;
let own: TestSidecar;
let script: readonly RequestStep[] = [];
let asked = 0;
let spareStep: RequestStep;

beforeAll(async () => {
  upstream = await scriptedUpstream(
    () => script[Math.min(asked++, script.length - 1)] ?? closeBeforeResponse(),
  );
  spare = await scriptedUpstream(() => spareStep);
  const settings =
    'preset: azure-openai, policies: { circuitBreaker: false, pacing: false, fallback: [{ upstream: spare }], retry: { maxRetries: 1, budget: false, backoff: { initial: 0s, max: 0s } } }';
  const other = `spare: { route: /spare, preset: azure-openai, endpoints: [{ url: "${spare.origin}" }] }`;
  own = await startSidecar(apiAt(upstream.origin, settings, other));
});
afterAll(async () => {
  await own[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
  await spare[Symbol.asyncDispose]();
});

async function ask(api: Api, way: Way, steps: readonly RequestStep[]) {
  script = steps;
  asked = 0;
  spareStep = good(api, way);
  const before = [upstream.requests.length, spare.requests.length] as const;
  const answer = await request(own.port, {
    method: 'POST',
    path: `/api${PATHS[api]}`,
    body: JSON.stringify({ stream: way === 'stream' }),
  });
  await answer.bytes();
  const seen = [upstream.requests.length - before[0], spare.requests.length - before[1]];
  return { status: answer.status, from: answer.header('x-outrigger-upstream'), seen };
}

const ROUTES = (['chat', 'responses'] as const).flatMap((api) =>
  (['stream', 'JSON'] as const).map((way) => ({ api, way })),
);

describe.each(ROUTES)('$api, $way', ({ api, way }) => {
  it.each(AGAIN)('%s is mended by a retry', async (_, fault) => {
    const answer = await ask(api, way, [fault(api, way), good(api, way)]);
    expect(answer).toEqual({ status: 200, from: undefined, seen: [2, 0] });
  });

  it.each(AGAIN)('%s that stays is mended by the fallback', async (_, fault) => {
    expect(await ask(api, way, [fault(api, way)])).toEqual({ status: 200, from: 'spare', seen: [2, 1] });
  });

  it.each(ELSEWHERE)('%s leads to the fallback at once', async (_, fault) => {
    expect(await ask(api, way, [fault(api, way)])).toEqual({ status: 200, from: 'spare', seen: [1, 1] });
  });
});
