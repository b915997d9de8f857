/** What can go wrong at a provider, as scripts, in the form that each API and each way of asking has. */
import {
  CHAT_JSON,
  RESPONSE_JSON,
  STREAMS,
  chatChunk,
  response,
  responseEvent,
} from '../support/openai-fixtures.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { cutMidBody } from '../support/steps/cuts.ts';
import { eventText } from '../support/steps/event-stream.ts';
import { stallAfterHead } from '../support/steps/silence.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import type { Speaker } from './openai-speakers.ts';
import type { Way } from './openai-stage.ts';

type Api = Speaker['api'];

const TYPE = { stream: 'text/event-stream', JSON: 'application/json' } as const;

export const errorBody = (code: string, type = 'a_type'): object => ({
  error: { message: `it is ${code}`, type, param: null, code },
});

/** An answer with these bytes that ends in order. */
const ended = (way: Way, body: string): RequestStep =>
  respond({ framing: 'chunked', headers: { 'content-type': TYPE[way] }, body: [body] });

const cut = (way: Way, sent: string): RequestStep =>
  cutMidBody({ framing: 'chunked', contentType: TYPE[way], sent });

/** What comes before the first word. */
export const preamble = (api: Api): string =>
  api === 'chat'
    ? eventText(chatChunk({ role: 'assistant', content: '' }))
    : responseEvent('response.created', response('in_progress'), 0) +
      responseEvent('response.in_progress', response('in_progress'), 1);

/** A stream up to and including its first word. */
export const begun = (api: Api): string => {
  const events = STREAMS[api].split('\n\n');
  return `${events.slice(0, api === 'chat' ? 2 : 5).join('\n\n')}\n\n`;
};

/** The first word of `begun`. */
export const wordOf = (api: Api): string => (api === 'chat' ? 'Hel' : 'Hello');

const errorEvent = (api: Api, code: string): string =>
  api === 'chat'
    ? eventText(JSON.stringify(errorBody(code)))
    : responseEvent('error', { code, message: `it is ${code}`, param: null }, 9);

export const good = (api: Api, way: Way): RequestStep => {
  if (way === 'stream') return ended(way, STREAMS[api]);
  return respondJson(api === 'chat' ? CHAT_JSON : RESPONSE_JSON);
};

export const withStatus = (status: number, code: string, headers: Readonly<Record<string, string>> = {}) =>
  respondJson(errorBody(code), { status, headers });

export const errorInside = (api: Api, way: Way, code: string): RequestStep =>
  way === 'JSON' ? respondJson(errorBody(code)) : ended(way, preamble(api) + errorEvent(api, code));

export const errorWithin = (api: Api, code: string): RequestStep =>
  ended('stream', begun(api) + errorEvent(api, code));

export function empty(api: Api, way: Way): RequestStep {
  if (way === 'stream') return ended(way, api === 'chat' ? preamble(api) + eventText('[DONE]') : '');
  return respondJson(api === 'chat' ? { ...CHAT_JSON, choices: [] } : { ...RESPONSE_JSON, output: [] });
}

export const nothing = (): RequestStep => respond({ headers: {} });

export const cutBefore = (api: Api, way: Way): RequestStep =>
  cut(way, way === 'stream' ? preamble(api) : '{"id":');

export const endedBefore = (api: Api): RequestStep => ended('stream', preamble(api));
export const cutAfter = (api: Api): RequestStep => cut('stream', begun(api));
export const endedAfter = (api: Api): RequestStep => ended('stream', begun(api));
export const cutInside = (api: Api): RequestStep =>
  cut(
    'stream',
    `${begun(api)}${api === 'chat' ? '' : 'event: response.output_text.delta\n'}data: {"type":"resp`,
  );

export const nonsense = (way: Way): RequestStep =>
  ended(way, way === 'stream' ? 'data: {nonsense\n\n' : '{"id": nonsense}');

export const nonsenseAfter = (api: Api): RequestStep => ended('stream', `${begun(api)}data: {nonsense\n\n`);

export const slowFirstWord = (api: Api): RequestStep =>
  stallAfterHead({ headers: { 'content-type': TYPE.stream } }, [preamble(api)]);

export const silentAfter = (api: Api): RequestStep =>
  stallAfterHead({ headers: { 'content-type': TYPE.stream } }, [begun(api)]);

export const slowJson = (): RequestStep =>
  stallAfterHead({ headers: { 'content-type': TYPE.JSON } }, ['{"id":']);
