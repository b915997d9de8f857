/** Anthropic's HTTP API and those that speak it: messages, counting of tokens, legacy completions. */
import { textAt } from '../algorithms/json-pointer.ts';
import type { AnswerFacts, CallFacts, Dialect, ErrorRule, JsonReading } from '../core/dialect.ts';
import type { RequestHead } from '../core/request.ts';
import { STATUS_OF_TYPE, renderAnswer, renderError, renderStreamError } from './anthropic-answers.ts';
import { AnthropicReader, usageOf } from './anthropic-stream.ts';
import { generic } from './generic.ts';
import { judgeBy } from './judge.ts';
import { asNumber, asRecord, bodyStatus, lastPathOf, LazyCall, needsIn } from './json-shapes.ts';
import type { Needs } from './json-shapes.ts';

/** Types, codes and words as Anthropic writes them. */
const errors: readonly ErrorRule[] = [
  // Money: no wait helps.
  { status: [402], as: 'quota' },
  { body: { '/error/type': '^billing_error$' }, as: 'quota' },
  {
    status: [429],
    without: ['retry-after'],
    body: { '/error/details/error_code': '^enforced_spend_limit_reached$' },
    as: 'quota',
  },
  {
    body: {
      '/error/details/error_code':
        '^(contract_spend_limit_reached|linked_organization_(spend_limit_reached|billing_unavailable))$',
    },
    as: 'quota',
  },
  // Said with 400 and no type of its own.
  {
    status: [400, 403],
    body: { '/error/message': 'credit balance is too low|specified API usage limits' },
    as: 'quota',
  },
  // What the request says.
  { body: { '/error/type': '^request_too_large$' }, as: 'context_length' },
  { status: [413], as: 'context_length' },
  {
    status: [400],
    body: { '/error/message': 'prompt is too long|exceed context limit' },
    as: 'context_length',
  },
  {
    status: [400],
    body: { '/error/message': 'blocked by content filtering policy' },
    as: 'content_filter',
  },
  // A conversation that the provider keeps was continued by another request: this one comes too late for ever.
  { body: { '/error/details/error_code': '^thread_' }, as: 'permanent' },
  // Load.
  { status: [529], as: 'overloaded' },
  { body: { '/error/type': '^overloaded_error$' }, as: 'overloaded' },
  { body: { '/error/type': '^rate_limit_error$' }, as: 'throttled' },
  // Two requests at the same time.
  { status: [409], as: 'transient' },
  { body: { '/error/type': '^(api_error|timeout_error)$' }, as: 'transient' },
  // Credentials.
  { body: { '/error/type': '^(authentication_error|permission_error)$' }, as: 'auth' },
  // Inside an answer, where there is no status to go by.
  { body: { '/error/type': '^(invalid_request_error|not_found_error)$' }, as: 'permanent' },
];

const OPERATIONS: ReadonlyMap<string, string> = new Map([
  ['messages', 'messages'],
  ['complete', 'complete'],
]);

function operationOf({ method, target }: RequestHead): string | undefined {
  if (method !== 'POST') return undefined;
  if (lastPathOf(target, 2) === 'messages/count_tokens') return 'count_tokens';
  return OPERATIONS.get(lastPathOf(target, 1));
}

function readCall(request: RequestHead, json: () => unknown): CallFacts {
  const operation = operationOf(request);
  return new LazyCall(operation, json, {
    repeat: (body) => repeatOf(operation, body),
    needs: (body) => needsIn(body, NEEDS),
  });
}

const NEEDS: Needs = {
  tools: ['/tools/*'],
  vision: ['/messages/*/content/*/source/media_type', '/messages/*/content/*/source/url'],
  json_schema: ['/output_format/schema', '/output_config/format/schema'],
};

function repeatOf(operation: string | undefined, json: unknown): CallFacts['repeat'] {
  if (operation === undefined) return 'unsafe';
  if (operation === 'count_tokens') return 'safe';
  return leavesTraces(json) ? 'unsafe' : 'compute';
}

/** A turn added to a conversation that the provider keeps, or tools of others that the provider calls by itself. */
function leavesTraces(json: unknown): boolean {
  const body = asRecord(json);
  if (!body) return true;
  const servers = body['mcp_servers'];
  return (body['thread'] ?? null) !== null || (Array.isArray(servers) && servers.length > 0);
}

function readJson(json: unknown, { operation }: CallFacts, facts: AnswerFacts): JsonReading {
  const body = asRecord(json);
  if (!body) return { kind: json === null || json === '' ? 'empty' : 'answer' };
  if (body['type'] === 'error' || asRecord(body['error'])) return { kind: 'error' };
  const { model, stop_reason: stopReason } = body;
  if (typeof model === 'string') facts.model = model;
  if (typeof stopReason === 'string') facts.finishReason = stopReason;
  const usage = usageOf(asRecord(body['usage']));
  if (usage) facts.usage = usage;
  return { kind: hasAnswer(operation, body) ? 'answer' : 'empty' };
}

/** A model may have nothing to say, and says so by its reason to stop. */
function hasAnswer(operation: string | undefined, body: Readonly<Record<string, unknown>>): boolean {
  const { content, completion, stop_reason: stopReason } = body;
  switch (operation) {
    case 'messages':
      return typeof stopReason === 'string' || (Array.isArray(content) && content.length > 0);
    case 'complete':
      return typeof stopReason === 'string' || (typeof completion === 'string' && completion !== '');
    case 'count_tokens':
      return asNumber(body['input_tokens']) !== undefined;
    default:
      return true;
  }
}

/** Inside an answer an error has no status but the one that its type stands for. */
const statusOf = (json: unknown): number | undefined =>
  bodyStatus(json) ?? STATUS_OF_TYPE.get(textAt(json, '/error/type') ?? '');

export const anthropic: Dialect = {
  name: 'anthropic',
  errors,
  classify: judgeBy({ errors, statusOf }),
  isStream: (head) => generic.isStream(head),
  renderError,
  readCall,
  readJson,
  follow: (call, facts) => new AnthropicReader(call, facts),
  frameEnd: '\nevent: ping\n\n',
  renderStreamError,
  renderAnswer,
};
