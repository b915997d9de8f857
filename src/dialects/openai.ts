/**
 * OpenAI's HTTP API and the many that speak it: chat completions, legacy completions, Responses, embeddings. The table of
 * errors holds those of all of them: their codes do not collide.
 */
import { valuesAt } from '../algorithms/json-pointer.ts';
import type { CallFacts, Dialect, LocalError, RenderedAnswer } from '../core/dialect.ts';
import type { RequestHead } from '../core/request.ts';
import { generic } from './generic.ts';
import { judgeBy } from './judge.ts';
import { asRecord, bodyStatus, lastPathOf, LazyCall, needsIn } from './json-shapes.ts';
import type { Needs } from './json-shapes.ts';
import { renderAnswer } from './openai-answers.ts';
import { readJson } from './openai-json.ts';
import { errors, nested } from './openai-errors.ts';
import { isResponsesPath, OpenAiReader } from './openai-stream.ts';

const OPERATIONS: ReadonlyMap<string, string> = new Map([
  ['chat/completions', 'chat'],
  ['completions', 'completion'],
  ['responses', 'responses'],
  ['embeddings', 'embeddings'],
  ['moderations', 'moderation'],
  ['images/generations', 'image'],
  ['audio/speech', 'speech'],
  ['audio/transcriptions', 'transcription'],
  ['audio/translations', 'transcription'],
  ['rerank', 'rerank'],
]);

function readCall(request: RequestHead, json: () => unknown): CallFacts {
  const operation = request.method === 'POST' ? operationOf(request.target) : streamOf(request);
  return new LazyCall(operation, json, {
    repeat: (body) => (leavesTraces(operation, body) ? 'unsafe' : 'compute'),
    needs: (body) => needsIn(body, NEEDS),
  });
}

/** Where a request says that it wants more than text, in chat completions and in Responses. */
const NEEDS: Needs = {
  tools: ['/tools/*', '/functions/*'],
  vision: ['/messages/*/content/*/image_url', '/input/*/content/*/image_url'],
  audio: ['/messages/*/content/*/input_audio', '/audio'],
  files: ['/messages/*/content/*/file', '/input/*/content/*/file_id'],
  json_schema: ['/response_format/json_schema', '/text/format/schema'],
};

/** A response that is stored can be read as the stream that it was. */
const streamOf = ({ method, target }: RequestHead): string | undefined =>
  method === 'GET' && isResponsesPath(target) && /[?&]stream=true(&|$)/.test(target)
    ? 'responses'
    : undefined;

function operationOf(target: string): string | undefined {
  return OPERATIONS.get(lastPathOf(target, 2)) ?? OPERATIONS.get(lastPathOf(target, 1));
}

/** A background job, a turn added to a conversation that the provider keeps, or tools that the provider calls itself. */
function leavesTraces(operation: string | undefined, json: unknown): boolean {
  if (operation !== 'responses') return operation === undefined;
  const body = asRecord(json);
  if (body === undefined || body['background'] === true || (body['conversation'] ?? null) !== null)
    return true;
  return valuesAt(body, '/tools/*/type').includes('mcp');
}

const TYPE_OF_STATUS: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  404: 'invalid_request_error',
  413: 'invalid_request_error',
  429: 'rate_limit_error',
};

/** What the upstream said of itself stays: clients know its codes, such as `insufficient_quota`. */
function errorBody(error: LocalError): Record<string, unknown> {
  const said = asRecord(asRecord(nested(error.said))?.['error']);
  return {
    message: error.detail ? `${error.title} ${error.detail}` : error.title,
    type: asText(said?.['type']) ?? TYPE_OF_STATUS[error.status] ?? 'server_error',
    param: asText(said?.['param']) ?? null,
    code: asText(said?.['code']) ?? error.reason,
  };
}

const asText = (value: unknown): string | undefined =>
  typeof value === 'string' && value.length <= MAX_CODE ? value : undefined;

/** A code is a word or two. */
const MAX_CODE = 100;

const renderError = (error: LocalError): RenderedAnswer => ({
  headers: ['content-type', 'application/json'],
  body: JSON.stringify({ error: errorBody(error) }),
});

function renderStreamError(error: LocalError): string {
  const body = errorBody(error);
  if (error.call.operation !== 'responses')
    return `event: error\ndata: ${JSON.stringify({ error: body })}\n\n`;
  // Clients disagree on where the words of an error are: they stand in both places.
  const { code, message, param } = body;
  const event = { type: 'error', sequence_number: 0, code, message, param, error: body };
  return `event: error\ndata: ${JSON.stringify(event)}\n\n`;
}

const judge = judgeBy({ errors, statusOf: bodyStatus });

export const openai: Dialect = {
  name: 'openai',
  errors,
  classify: (head, wallTime, json) => judge(head, wallTime, nested(json)),
  isStream: (head) => generic.isStream(head),
  renderError,
  readCall,
  readJson,
  follow: (call, facts) => new OpenAiReader(call, facts),
  renderStreamError,
  renderAnswer,
  resumes: ({ target }) => isResponsesPath(target),
};
