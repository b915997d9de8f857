import { describe, expect, it } from 'vitest';
import { formatOf, requestFor } from '../../src/broadcast/requests.ts';
import type { Format } from '../../src/broadcast/requests.ts';
import { headerValue, headerValues } from '../../src/core/header-list.ts';

const sent = (headers: string[], format: Format = 'json', endpoint = 'http://a.test'): readonly string[] =>
  requestFor({ method: 'POST', target: '/x?y', headers, host: 'h' }, format, endpoint).headers;

describe('the form of the answer', () => {
  it.each([
    ['', 'json'],
    ['*/*', 'json'],
    ['application/json', 'json'],
    ['Application/X-NDJSON; q=0.9', 'lines'],
    ['text/event-stream', 'events'],
    ['application/json, text/event-stream', 'json'],
    ['application/json, text/event-stream, application/x-ndjson', 'lines'],
  ])('%j asks for %s', (accept, format) => {
    expect(formatOf(['Accept', accept])).toBe(format);
  });

  it('is JSON where nothing is asked for', () => {
    expect(formatOf([])).toBe('json');
  });
});

describe('the request for one endpoint', () => {
  it('asks for an answer that is not encoded, for nobody here decodes', () => {
    expect(headerValues(sent(['Accept-Encoding', 'gzip, br']), 'accept-encoding')).toEqual(['identity']);
  });

  it.each([
    [
      'lines',
      'application/x-ndjson, application/json, text/event-stream',
      'application/json, text/event-stream',
    ],
    ['events', 'text/event-stream;q=1, text/plain', 'text/plain'],
    ['lines', 'application/x-ndjson', undefined],
    ['json', 'application/json, text/event-stream', 'application/json, text/event-stream'],
  ] as const)('does not ask for %s, which is about the collected answer: %j', (format, accept, left) => {
    expect(headerValue(sent(['accept', accept], format), 'accept')).toBe(left);
  });

  it('has a key of its own, the same each time, inside the quotes where there are some', () => {
    const keyAt = (key: string, endpoint: string): string | undefined =>
      headerValue(sent(['Idempotency-Key', key], 'json', endpoint), 'idempotency-key');
    expect(keyAt('k', 'http://a.test')).toMatch(/^k-[0-9a-f]{12}$/);
    expect(keyAt('k', 'http://a.test')).toBe(keyAt('k', 'http://a.test'));
    expect(keyAt('k', 'http://a.test')).not.toBe(keyAt('k', 'http://b.test'));
    expect(keyAt('"k"', 'http://a.test')).toMatch(/^"k-[0-9a-f]{12}"$/);
    expect(keyAt(' ', 'http://a.test')).toBe(' ');
  });

  it('is otherwise as the client sent it', () => {
    expect(sent(['X-One', '1', 'x-two', '2', 'X-One', '3']).slice(0, 6)).toEqual([
      'X-One',
      '1',
      'x-two',
      '2',
      'X-One',
      '3',
    ]);
  });
});
