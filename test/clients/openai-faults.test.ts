/**
 * Every fault before the first word, through every SDK, whole and streamed: the provider sees exactly the attempts that
 * the policy allows, and the caller gets the SDK's own class of error with a status, a code and words for people.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stall } from '../support/steps/silence.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { cutBefore, empty, endedBefore, errorInside, good, nonsense, nothing } from './openai-faults.ts';
import { slowFirstWord, slowJson, withStatus } from './openai-faults.ts';
import { SPEAKERS } from './openai-speakers.ts';
import type { Speaker } from './openai-speakers.ts';
import { openaiStage } from './openai-stage.ts';
import type { OpenAiStage, Way } from './openai-stage.ts';

let on: OpenAiStage;
beforeAll(async () => {
  on = await openaiStage();
});
afterAll(() => on[Symbol.asyncDispose]());

interface Fault {
  readonly fault: string;
  readonly step: (api: Speaker['api'], way: Way) => RequestStep;
  readonly ways?: readonly Way[];
  readonly impatient?: true;
  readonly status: number;
  readonly code: string;
  /** Words that the caller reads. */
  readonly says: string;
  /** Class of each attempt. */
  readonly attempts: readonly string[];
}

const twice = (name: string): string[] => [name, name];
const COME_BACK = { 'retry-after-ms': '1' };

const FAULTS: readonly Fault[] = [
  {
    fault: 'a server error',
    step: () => withStatus(500, 'server_error'),
    status: 500,
    code: 'server_error',
    says: 'it is server_error',
    attempts: twice('transient'),
  },
  {
    fault: 'an overload',
    step: () => withStatus(503, 'server_is_overloaded'),
    status: 503,
    code: 'server_is_overloaded',
    says: 'it is server_is_overloaded',
    attempts: twice('overloaded'),
  },
  {
    fault: 'a rate limit',
    step: () => withStatus(429, 'rate_limit_exceeded', COME_BACK),
    status: 429,
    code: 'rate_limit_exceeded',
    says: 'it is rate_limit_exceeded',
    attempts: twice('throttled'),
  },
  {
    fault: 'no credit',
    step: () => withStatus(429, 'insufficient_quota', COME_BACK),
    status: 429,
    code: 'insufficient_quota',
    says: 'it is insufficient_quota',
    attempts: ['quota'],
  },
  {
    fault: 'a wrong key',
    step: () => withStatus(401, 'invalid_api_key'),
    status: 401,
    code: 'invalid_api_key',
    says: 'it is invalid_api_key',
    attempts: ['auth'],
  },
  {
    fault: 'a conversation that is too long',
    step: () => withStatus(400, 'context_length_exceeded'),
    status: 400,
    code: 'context_length_exceeded',
    says: 'it is context_length_exceeded',
    attempts: ['context_length'],
  },
  {
    fault: 'a rate limit inside a 200',
    step: (api, way) => errorInside(api, way, 'rate_limit_exceeded'),
    status: 429,
    code: 'rate_limit_exceeded',
    says: 'it is rate_limit_exceeded',
    attempts: twice('throttled'),
  },
  {
    fault: 'no credit inside a 200',
    step: (api, way) => errorInside(api, way, 'insufficient_quota'),
    status: 429,
    code: 'insufficient_quota',
    says: 'it is insufficient_quota',
    attempts: ['quota'],
  },
  {
    fault: 'an overload inside a 200',
    step: (api, way) => errorInside(api, way, 'server_is_overloaded'),
    status: 503,
    code: 'server_is_overloaded',
    says: 'it is server_is_overloaded',
    attempts: twice('overloaded'),
  },
  {
    fault: 'an answer with nothing in it',
    step: empty,
    status: 502,
    code: 'empty_answer',
    says: 'nothing in it',
    attempts: twice('transient'),
  },
  {
    fault: 'an empty 200',
    step: nothing,
    status: 502,
    code: 'empty_answer',
    says: 'nothing in it',
    attempts: twice('transient'),
  },
  {
    fault: 'a cut',
    step: cutBefore,
    status: 502,
    code: 'response_incomplete',
    says: 'before it was complete',
    attempts: twice('transient'),
  },
  {
    fault: 'a clean end too early',
    step: endedBefore,
    ways: ['stream'],
    status: 502,
    code: 'response_incomplete',
    says: 'before it was complete',
    attempts: twice('transient'),
  },
  {
    fault: 'nonsense',
    step: (_, way) => nonsense(way),
    status: 502,
    code: 'malformed_answer',
    says: 'cannot be read',
    attempts: twice('transient'),
  },
  {
    fault: 'silence',
    step: () => stall(),
    impatient: true,
    status: 504,
    code: 'first_byte_timeout',
    says: 'did not begin its answer in time',
    attempts: twice('transient'),
  },
  {
    fault: 'a first word that does not come',
    step: slowFirstWord,
    ways: ['stream'],
    impatient: true,
    status: 504,
    code: 'first_token_timeout',
    says: 'first word in time',
    attempts: twice('transient'),
  },
  {
    fault: 'an answer that stops half-way',
    step: slowJson,
    ways: ['JSON'],
    impatient: true,
    status: 504,
    code: 'idle_timeout',
    says: 'stopped sending',
    attempts: twice('transient'),
  },
];

/** What an SDK raises for an error with this status and code. */
function raisedFor({ name }: Speaker, { status, code }: Pick<Fault, 'status' | 'code'>): object {
  if (name.startsWith('ai ')) return { kind: 'APICallError', status, code };
  // It has a class of its own for this, which carries neither.
  if (name.startsWith('@langchain') && code === 'context_length_exceeded')
    return { kind: 'ContextOverflowError' };
  const known = { 400: 'BadRequestError', 401: 'AuthenticationError', 429: 'RateLimitError' };
  const kind = (known as Readonly<Record<number, string>>)[status] ?? 'InternalServerError';
  return { kind, status, code };
}

describe.each(SPEAKERS)('$name', (speaker) => {
  it.each<Way>(['stream', 'JSON'])('gets a good answer: %s', async (way) => {
    on.play(good(speaker.api, way));
    expect(await on.ask(speaker, way)).toMatchObject({ text: 'Hello', requests: 1, attempts: ['ok'] });
  });

  const rows = FAULTS.flatMap((fault) =>
    (fault.ways ?? (['stream', 'JSON'] as const)).map((way) => ({ ...fault, way })),
  );

  it.each(rows)('$fault: $way', async ({ step, way, impatient, attempts, ...expected }) => {
    on.play(step(speaker.api, way));
    const seen = await on.ask(speaker, way, { upstream: impatient ? 'impatient' : 'patient' });
    expect(seen).toMatchObject({ pieces: [], requests: attempts.length, attempts });
    expect(seen.error).toMatchObject(raisedFor(speaker, expected));
    expect(seen.error?.message).toContain(expected.says);
  });
});

it('counts what it saw', async () => {
  const all = FAULTS.flatMap(({ ways, attempts }) =>
    Array.from({ length: ways?.length ?? 2 }, () => attempts),
  ).flat();
  const count = (name: string): number => all.filter((one) => one === name).length * SPEAKERS.length;
  for (const name of ['transient', 'throttled', 'overloaded', 'quota', 'auth', 'context_length'])
    expect(await on.metric('outrigger_attempts_total', { class: name }), name).toBe(count(name));
  expect(await on.metric('outrigger_attempts_total', { class: 'ok' })).toBe(2 * SPEAKERS.length);
  for (const cause of ['transient', 'throttled', 'overloaded'])
    expect(await on.metric('outrigger_retries_total', { cause }), cause).toBe(count(cause) / 2);
  expect(await on.metric('outrigger_retries_refused_total', { why: 'exhausted' })).toBe(
    (count('transient') + count('throttled') + count('overloaded')) / 2,
  );
});
