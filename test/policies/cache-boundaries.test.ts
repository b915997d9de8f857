/** What must not get from one client to another, or into a request, by way of the cache. */
import { describe, expect, it } from 'vitest';
import { hasHeader } from '../../src/core/header-list.ts';
import type { Exchange } from '../../src/core/exchange.ts';
import { bodyOfBytes } from '../../src/core/request-bodies.ts';
import { ReplayBody } from '../../src/core/stored-answer.ts';
import { cache } from '../../src/policies/cache.ts';
import { settle } from '../support/fake-clock.ts';
import { Script, exchangeAt, kit, respond, textOf } from '../support/policy-kit.ts';
import type { ExchangeParts, Step } from '../support/policy-kit.ts';

function rig(options: unknown, ...steps: readonly Step<Exchange>[]) {
  const { clock, deps } = kit();
  const policy = cache.build(cache.schema.parse(options), deps, undefined);
  const script = new Script<Exchange>(clock, ...steps);
  const ask = async (parts: ExchangeParts = {}): Promise<string> => {
    const exchange = exchangeAt(clock, parts);
    const text = textOf(await policy.run(exchange, script.next, exchange.cancellation));
    await settle();
    return text;
  };
  return { clock, script, ask };
}

const whole =
  (text: string, headers: readonly string[] = []): Step<Exchange> =>
  () => {
    const head = { status: 200, statusText: '', headers };
    return respond(200, {
      headers,
      body: new ReplayBody({ head, chunks: [Buffer.from(text)], trailers: [] }),
    });
  };

describe('cache: POSTs', () => {
  it('makes no conditional request of a POST, which would be refused where the copy still holds', async () => {
    const { clock, script, ask } = rig(
      { post: [{ path: '/graphql', ttl: '1s' }] },
      whole('old', ['etag', '"1"', 'last-modified', 'Thu, 01 Jan 1970 00:00:00 GMT']),
      whole('new'),
    );
    const parts = (): ExchangeParts => ({
      request: { method: 'POST', target: '/graphql' },
      body: bodyOfBytes(Buffer.from('{"query":"{a}"}')),
    });
    expect(await ask(parts())).toBe('old');
    await clock.advance(2_000);
    expect(await ask(parts())).toBe('new');
    const { headers } = script.calls[1]!.scope.request;
    expect([hasHeader(headers, 'if-none-match'), hasHeader(headers, 'if-modified-since')]).toEqual([
      false,
      false,
    ]);
  });
});
