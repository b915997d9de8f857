/** Upstreams that cannot be reached, say nothing, or break off: what clients, upstream and metrics see of each. */
import { expect, test } from 'vitest';
import { blackhole, closedPort } from '../support/dead-ports.ts';
import { closeOnAccept, resetOnAccept, silenceOnAccept } from '../support/steps/connections.ts';
import {
  closeBeforeResponse,
  closeMidHead,
  closeMidStatusLine,
  cutMidBody,
  cutMidChunk,
  resetBeforeResponse,
  resetMidBody,
} from '../support/steps/cuts.ts';
import { respond } from '../support/steps/answers.ts';
import { sse } from '../support/steps/event-stream.ts';
import { drippedHead, endless1xx, stall, stallAfterHead } from '../support/steps/silence.ts';
import type { Step } from '../support/upstream/step.ts';
import { brokenOff, delivered, givenUp } from './expected.ts';
import { play, SHORT, type Outcomes } from './failure-mode.ts';

const REFUSED = { status: 502, code: 'connection_refused', proxyError: 'connection_refused' };
const NO_CONNECTION = {
  status: 504,
  code: 'connection_timeout',
  proxyError: 'connection_timeout',
  timer: 'connect-timeout',
};
const RESET = { status: 502, code: 'connection_reset', proxyError: 'connection_terminated' };
const INCOMPLETE = { status: 502, code: 'response_incomplete', proxyError: 'http_response_incomplete' };
const SILENT = {
  status: 504,
  code: 'first_byte_timeout',
  proxyError: 'http_response_timeout',
  timer: 'first-byte-timeout',
};

test('a refused connection is tried again for every request, for nothing was sent', async () => {
  await using closed = await closedPort();
  expect(await play(closed)).toEqual(givenUp(REFUSED, 'always'));
});

test('a black hole costs the connect timeout and no more, and every request is tried again', async () => {
  await using hole = await blackhole();
  expect(await play(hole, SHORT)).toEqual(givenUp(NO_CONNECTION, 'always'));
});

const unanswered: readonly [title: string, step: Step, expected: Outcomes][] = [
  ['FIN on accept: the request may have been read', closeOnAccept(), givenUp(RESET)],
  ['FIN before the answer', closeBeforeResponse(), givenUp(RESET)],
  ['RST before the answer', resetBeforeResponse(), givenUp(RESET)],
  ['FIN in the status line', closeMidStatusLine('fin'), givenUp(INCOMPLETE)],
  ['RST in the status line', closeMidStatusLine('reset'), givenUp(INCOMPLETE)],
  ['FIN in the head', closeMidHead('fin'), givenUp(INCOMPLETE)],
  ['RST in the head', closeMidHead('reset'), givenUp(INCOMPLETE)],
];

test('RST on accept: tried again, and POST only where the reset came before the request went out', async () => {
  const { post, ...others } = await play([resetOnAccept()]);
  const { post: _, ...expected } = givenUp(RESET);
  expect(others).toEqual(expected);
  expect(post).toMatchObject({ status: 502, code: 'connection_reset' });
});

test.each(unanswered)('%s: only what may be repeated is tried again', async (_, step, expected) => {
  expect(await play([step])).toEqual(expected);
});

const silent: readonly [title: string, step: Step][] = [
  ['silence after accept', silenceOnAccept()],
  ['silence after the request', stall()],
  ['a head that drips in too slowly', drippedHead({ everyMs: 20 })],
  ['interim answers without end', endless1xx({ everyMs: 20 })],
];

test.each(silent)('%s: every attempt has the same time for its first byte', async (_, step) => {
  expect(await play([step], SHORT)).toEqual(givenUp(SILENT));
});

const STALLED = { timeouts: { 'idle-timeout': 1 } };
const CHUNKS_AND_CLOSE = { 'transfer-encoding': 'chunked', connection: 'close' };
const CLOSING = { 'content-length': '100', connection: 'close' };

const broken: readonly [title: string, step: Step, expected: Outcomes][] = [
  ['a short body, by FIN', cutMidBody(), brokenOff('partial', 'response_incomplete')],
  ['a short body, by RST', resetMidBody(), brokenOff('partial', 'response_incomplete')],
  [
    'a short body on a closing connection, by FIN',
    respond({ headers: CLOSING, body: 'partial', afterwards: 'fin' }),
    brokenOff('partial', 'response_incomplete'),
  ],
  [
    'a short body on a closing connection, by RST',
    respond({ headers: CLOSING, body: 'partial', afterwards: 'reset' }),
    brokenOff('partial', 'response_incomplete'),
  ],
  [
    'a chunked body without its end, by FIN',
    cutMidBody({ framing: 'chunked' }),
    brokenOff('partial', 'response_incomplete'),
  ],
  [
    'a chunked body without its end, by RST',
    resetMidBody({ framing: 'chunked' }),
    brokenOff('partial', 'response_incomplete'),
  ],
  [
    'a chunked body without its end on a closing connection, by FIN',
    respond({ headers: CHUNKS_AND_CLOSE, body: '7\r\npartial\r\n', afterwards: 'fin' }),
    brokenOff('partial', 'response_incomplete'),
  ],
  [
    'a chunked body without its end on a closing connection, by RST',
    respond({ headers: CHUNKS_AND_CLOSE, body: '7\r\npartial\r\n', afterwards: 'reset' }),
    brokenOff('partial', 'response_incomplete'),
  ],
  ['half a chunk, by FIN', cutMidChunk('fin'), brokenOff('partial', 'response_incomplete')],
  ['half a chunk, by RST', cutMidChunk('reset'), brokenOff('partial', 'response_incomplete')],
  [
    'a body without framing, by RST',
    resetMidBody({ framing: 'close' }),
    brokenOff('partial', 'response_incomplete'),
  ],
  ['a head without its body', cutMidBody({ sent: '' }), brokenOff('', 'response_incomplete')],
  [
    'an event stream that is cut',
    sse({ events: ['one'], end: 'cut' }),
    brokenOff('data: one\n\n', 'response_incomplete'),
  ],
  [
    'an event stream that is reset',
    sse({ events: ['one'], end: 'reset' }),
    brokenOff('data: one\n\n', 'response_incomplete'),
  ],
];

test.each(broken)('%s: the client has what came and sees that it is broken', async (_, step, expected) => {
  expect(await play([step])).toEqual(expected);
});

const stalled: readonly [title: string, step: Step, body: string][] = [
  ['a body that stops', stallAfterHead({}, ['partial']), 'partial'],
  ['a body that never starts', stallAfterHead(), ''],
  ['an event stream that stops', sse({ events: ['one'], end: 'stall' }), 'data: one\n\n'],
];

test.each(stalled)('%s: the idle timer breaks it off, visibly', async (_, step, body) => {
  expect(await play([step], SHORT)).toEqual(brokenOff(body, 'idle_timeout', STALLED));
});

test('a body without framing that ends by FIN is whole: nobody can tell otherwise', async () => {
  expect(await play([cutMidBody({ framing: 'close' })])).toEqual(delivered('partial'));
});
