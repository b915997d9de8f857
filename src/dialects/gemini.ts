/** Google's Gemini API, as its own service and Vertex AI offer it: generation, embeddings, counting of tokens. */
import { valuesAt } from '../algorithms/json-pointer.ts';
import type { AnswerFacts, CallFacts, Dialect, ErrorRule, JsonReading } from '../core/dialect.ts';
import { headerValue } from '../core/header-list.ts';
import type { RequestHead } from '../core/request.ts';
import { STATUS_OF_NAME, renderAnswer, renderError, renderStreamError } from './gemini-answers.ts';
import { GeminiReader, errorOf, note, saysSomething } from './gemini-stream.ts';
import { generic } from './generic.ts';
import { judgeBy } from './judge.ts';
import { asRecord, bodyStatus, lastPathOf, needsIn } from './json-shapes.ts';
import type { Needs } from './json-shapes.ts';
import { saneDelay } from './retry-after.ts';

/** Statuses, reasons and words as Google writes them. */
const errors: readonly ErrorRule[] = [
  // Money, and what comes back tomorrow: no wait helps. A delay of seconds that comes with these is no promise.
  { status: [402], as: 'quota' },
  { body: { '/error/details/*/violations/*/quotaId': 'PerDay' }, as: 'quota' },
  { body: { '/error/details/*/reason': '^(BILLING_DISABLED|QUOTA_EXHAUSTED)$' }, as: 'quota' },
  {
    status: [429],
    body: { '/error/message': 'credits are depleted|spending (cap|limit)' },
    as: 'quota',
  },
  // Credentials; a wrong key is said with 400.
  {
    body: {
      '/error/details/*/reason':
        '^(API_KEY_[A-Z_]+|ACCESS_TOKEN_[A-Z_]+|CREDENTIALS_MISSING|CONSUMER_INVALID|SERVICE_DISABLED)$',
    },
    as: 'auth',
  },
  { status: [400], body: { '/error/message': 'API key (not valid|expired)' }, as: 'auth' },
  { body: { '/error/status': '^(UNAUTHENTICATED|PERMISSION_DENIED)$' }, as: 'auth' },
  // What the request says.
  {
    status: [400],
    body: { '/error/message': 'input token count.*(exceeds|only supports up to)' },
    as: 'context_length',
  },
  {
    body: {
      '/error/status': '^(INVALID_ARGUMENT|FAILED_PRECONDITION|OUT_OF_RANGE|NOT_FOUND|UNIMPLEMENTED)$',
    },
    as: 'permanent',
  },
  // Load.
  { body: { '/error/details/*/reason': '^MODEL_CAPACITY_EXHAUSTED$' }, as: 'overloaded' },
  { status: [503], body: { '/error/message': 'overloaded|high demand' }, as: 'overloaded' },
  { body: { '/error/status': '^RESOURCE_EXHAUSTED$' }, as: 'throttled' },
  { body: { '/error/status': '^(UNAVAILABLE|DEADLINE_EXCEEDED|INTERNAL|ABORTED)$' }, as: 'transient' },
];

/** What a repetition would do, by method of the API. Others start jobs, or nobody knows. */
const REPEAT: ReadonlyMap<string, CallFacts['repeat']> = new Map([
  ['generateContent', 'compute'],
  ['streamGenerateContent', 'compute'],
  ['countTokens', 'safe'],
  ['embedContent', 'compute'],
  ['batchEmbedContents', 'compute'],
  ['predict', 'compute'],
]);

/** `…/models/NAME:METHOD`, where the colon may be encoded. */
const CALL = /^(.+)(?::|%3a)([a-z]+)$/i;

function readCall({ method, target }: RequestHead, json: () => unknown): CallFacts {
  const [, model, name = ''] = (method === 'POST' && CALL.exec(lastPathOf(target, 1))) || [];
  const repeat = REPEAT.get(name);
  const operation = repeat && name;
  return {
    operation,
    model: operation && model,
    tool: undefined,
    // Without `alt=sse` such an answer comes bit by bit, too, but as one JSON array.
    stream: operation === 'streamGenerateContent' && /[?&]alt=sse(&|$)/.test(target),
    id: undefined,
    repeat: repeat ?? 'unsafe',
    get needs() {
      return needsIn(json(), NEEDS);
    },
  };
}

const NEEDS: Needs = {
  tools: ['/tools/*'],
  vision: [
    '/contents/*/parts/*/inlineData',
    '/contents/*/parts/*/inline_data',
    '/contents/*/parts/*/fileData',
  ],
  json_schema: ['/generationConfig/responseSchema', '/generationConfig/responseJsonSchema'],
};

/** Where the answer proper must be, by operation. */
const CONTENTS: Readonly<Record<string, string>> = {
  countTokens: '/totalTokens',
  embedContent: '/embedding',
  batchEmbedContents: '/embeddings/*',
  predict: '/predictions/*',
};

function readJson(json: unknown, { operation }: CallFacts, facts: AnswerFacts): JsonReading {
  const body = asRecord(json);
  if (!body) return { kind: json === null || json === '' ? 'empty' : 'answer' };
  if (errorOf(body)) return { kind: 'error' };
  note(facts, body);
  if (operation === 'generateContent' || operation === 'streamGenerateContent')
    return { kind: saysSomething(body) ? 'answer' : 'empty' };
  const place = operation === undefined ? undefined : CONTENTS[operation];
  return { kind: !place || valuesAt(body, place).length > 0 ? 'answer' : 'empty' };
}

/** The delay stands in the body, as "34s" or "1.5s". */
function delayOf(json: unknown): number | undefined {
  for (const value of valuesAt(json, '/error/details/*/retryDelay')) {
    const seconds = typeof value === 'string' ? /^(\d{1,8}(?:\.\d{1,9})?)s$/.exec(value)?.[1] : undefined;
    if (seconds !== undefined) return saneDelay(Math.ceil(Number(seconds) * 1_000));
  }
  return undefined;
}

const statusOf = (json: unknown): number | undefined => {
  const [name] = valuesAt(json, '/error/status');
  return bodyStatus(json) ?? (typeof name === 'string' ? STATUS_OF_NAME.get(name) : undefined);
};

const judge = judgeBy({ errors, statusOf, delayOf });

const JSON_TYPE = /^application\/json\b/i;

export const gemini: Dialect = {
  name: 'gemini',
  errors,
  // Where an array was asked for, an error comes as its only member.
  classify: (head, wallTime, json) => judge(head, wallTime, Array.isArray(json) ? json[0] : json),
  isStream: (head, call) =>
    generic.isStream(head) ||
    (call?.operation === 'streamGenerateContent' &&
      !call.stream &&
      head.status < 300 &&
      JSON_TYPE.test(headerValue(head.headers, 'content-type') ?? '')),
  renderError,
  readCall,
  readJson,
  follow: (call, facts) => new GeminiReader(call, facts),
  renderStreamError,
  renderAnswer,
};
