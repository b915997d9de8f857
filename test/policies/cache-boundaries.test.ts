/** What must not get from one client to another, or into a request, by way of the cache. */
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { sleep } from '../../src/core/clock.ts';
import { hasHeader } from '../../src/core/header-list.ts';
import type { Exchange } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
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

describe('cache: those who ask at the same time', () => {
  /** Two at a time, with these fields each, of an upstream that answers with its number of the call. */
  async function together(answerHeaders: readonly string[], ...askers: readonly ExchangeParts[]) {
    const { clock, deps } = kit();
    const policy = cache.build(cache.schema.parse({}), deps, undefined);
    let calls = 0;
    const script = new Script<Exchange>(clock, async (exchange, cancellation) => {
      const text = String((calls += 1));
      await sleep(clock, 10, cancellation);
      return (whole(text, answerHeaders) as (exchange: Exchange) => Outcome)(exchange);
    });
    const pending = askers.map((parts) => {
      const exchange = exchangeAt(clock, parts);
      return policy.run(exchange, script.next, exchange.cancellation);
    });
    await clock.advance(10);
    await clock.advance(10);
    return (await Promise.all(pending)).map(textOf);
  }

  const asking = (...headers: readonly string[]): ExchangeParts => ({ request: { headers } });

  it('gives nobody an answer that is not said to be for others, where a field tells them apart', async () => {
    const [alice, bob] = [asking('x-auth-token', 'alice'), asking('x-auth-token', 'bob')];
    expect(await together([], alice, bob)).toEqual(['1', '2']);
    expect(await together([], alice, alice)).toEqual(['1', '1']);
    expect(await together(['cache-control', 'public, max-age=60'], alice, bob)).toEqual(['1', '1']);
  });

  it('takes no account of what differs with every request, nor of who the agent is', async () => {
    const one = { ...asking('traceparent', 'a', 'x-agent', 'one'), agentId: 'one' };
    const two = { ...asking('x-agent', 'two', 'traceparent', 'b', 'user-agent', 'x'), agentId: 'two' };
    expect(await together([], one, two)).toEqual(['1', '1']);
  });

  it('uploads a large request piece by piece, so that it is seen to move', async () => {
    const { script, ask } = rig({ post: [{ path: '/*', ttl: '1s' }] }, whole('ok'));
    const body = bodyOfBytes(Buffer.alloc(300 * 1024, 'x'));
    await ask({ request: { method: 'POST' }, body });
    expect(script.calls[0]!.scope.body.open()).toBeInstanceOf(Readable);
  });
});
