/** Answers that break HTTP: none is relayed, and none leaves anything behind for the next request. */
import { expect, test } from 'vitest';
import { respond } from '../support/steps/answers.ts';
import {
  badChunk,
  badLength,
  bareCrInHeader,
  bareLfHead,
  bothLengths,
  codingOnHttp10,
  endlessChunkExtension,
  garbage,
  hugeHeaders,
  manyHeaders,
  nulInHeader,
  obsFold,
  spaceBeforeColon,
  statusBelow100,
  tooLongBody,
  twoCodings,
  twoLengths,
  unasked100,
  unasked101,
  unknownCoding,
} from '../support/steps/malformed.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import { brokenOff, delivered, givenUp } from './expected.ts';
import { play, SHORT } from './failure-mode.ts';
import { stage } from './stage.ts';

const INVALID = { status: 502, code: 'protocol_error', proxyError: 'http_protocol_error' };
const TOO_LARGE = {
  status: 502,
  code: 'response_head_too_large',
  proxyError: 'http_response_header_section_size',
};

const malformed: readonly [title: string, step: RequestStep][] = [
  ['Content-Length and Transfer-Encoding', bothLengths()],
  ['two Content-Lengths', twoLengths()],
  ['a Content-Length with a sign', badLength('+5')],
  ['an empty Content-Length', badLength('')],
  ['a Content-Length in hexadecimal', badLength('0x5')],
  ['a list of Content-Lengths', badLength('5, 5')],
  ['an unknown transfer coding', unknownCoding()],
  ['a transfer coding before chunked', unknownCoding('gzip, chunked')],
  ['two Transfer-Encodings', twoCodings()],
  ['a status below 100', statusBelow100()],
  ['lines without CR', bareLfHead()],
  ['NUL in a field', nulInHeader()],
  ['a bare CR in a field', bareCrInHeader()],
  ['a folded field', obsFold()],
  ['a space before the colon', spaceBeforeColon()],
  ['a protocol switch that nobody asked for', unasked101()],
  ['100 Continue that nobody asked for', unasked100()],
  ['something that is not HTTP', garbage()],
];

test.each(malformed)('%s is a 502, and only what may be repeated is tried again', async (_, step) => {
  expect(await play([step])).toEqual(givenUp(INVALID));
});

test.each([
  ['one huge field', hugeHeaders(100_000)],
  ['very many fields', manyHeaders(12_000)],
])('a head with %s is a 502', async (_, step) => {
  expect(await play([step])).toEqual(givenUp(TOO_LARGE));
});

test('a head just below the limit passes whole', async () => {
  await using on = await stage([hugeHeaders(60_000)]);
  const response = await on.send();
  expect(response.status).toBe(200);
  expect(response.header('x-huge')).toHaveLength(60_000);
});

test('a bad chunk breaks the answer off after what was good', async () => {
  expect(await play([badChunk()])).toEqual(brokenOff('hello', 'protocol_error'));
});

test('a chunk extension without end brings no body, and the idle timer breaks it off', async () => {
  const seen = { timeouts: { 'idle-timeout': 1 } };
  expect(await play([endlessChunkExtension(100_000)], SHORT)).toEqual(brokenOff('', 'idle_timeout', seen));
});

test('bytes beyond the announced body are dropped, and the next request does not get them', async () => {
  expect(await play([tooLongBody()])).toEqual(delivered('hello'));
  await using on = await stage([tooLongBody(), respond({ body: 'clean' })]);
  expect(await (await on.send()).text()).toBe('hello');
  expect(await (await on.send()).text()).toBe('clean');
  expect(on.upstream.connections.opened).toBe(2);
});

test('chunks under HTTP/1.0 are taken off, and the connection is not used again', async () => {
  await using on = await stage([codingOnHttp10(), respond({ body: 'clean' })]);
  expect(await (await on.send()).text()).toBe('hello');
  expect(await (await on.send()).text()).toBe('clean');
  expect(on.upstream.connections.opened).toBe(2);
});

test('a malformed answer costs its connection: the next request goes out on another', async () => {
  await using on = await stage([garbage(), respond({ body: 'ok' })], { api: 'policies: { retry: false }' });
  expect((await on.send()).status).toBe(502);
  expect(await (await on.send()).text()).toBe('ok');
  expect(on.upstream.requests.map(({ connection }) => connection)).toEqual([1, 2]);
});

test('a Trailer field on an answer that cannot have trailers is dropped, not a failure', async () => {
  const headers = { trailer: 'x-sum' };
  await using on = await stage([respond({ headers, body: 'whole' })]);
  const response = await on.send();
  expect(await response.text()).toBe('whole');
  expect(response.header('trailer')).toBeUndefined();
  expect((await on.send({ method: 'HEAD' })).status).toBe(200);
});

test('a reason phrase with odd bytes is left out, and the answer passes', async () => {
  await using on = await stage([respond({ reason: 'd\u00e9j\u00e0 vu', body: 'ok' })]);
  const response = await on.send();
  expect(response.status).toBe(200);
  expect(await response.text()).toBe('ok');
});
