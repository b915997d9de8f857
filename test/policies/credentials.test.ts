import { describe, expect, it } from 'vitest';
import type { Attempt } from '../../src/core/exchange.ts';
import { generic } from '../../src/dialects/generic.ts';
import { credentials } from '../../src/policies/credentials.ts';
import { Script, attemptAt, exchangeAt, fail, kit } from '../support/policy-kit.ts';
import { policyContract } from './contract.ts';

const SECRET = 'Bearer sk-of-the-sidecar';

policyContract({
  module: credentials,
  options: { value: SECRET },
  scope: (clock) => attemptAt(clock),
  secrets: [SECRET, 'sk-of-the-sidecar'],
});

describe('with several keys', () => {
  policyContract({
    module: credentials,
    options: { values: [SECRET, 'another-secret'] },
    scope: (clock) => attemptAt(clock),
    secrets: [SECRET, 'sk-of-the-sidecar', 'another-secret'],
  });
});

describe('credentials', () => {
  async function headersWith(options: unknown, headers: readonly string[]) {
    const { clock, deps } = kit();
    const policy = credentials.build(credentials.schema.parse(options), deps, undefined);
    const attempt = attemptAt(clock, exchangeAt(clock, { request: { headers } }));
    await policy.run(attempt, new Script<typeof attempt>(clock).next, attempt.cancellation);
    return { sent: attempt.headers, kept: attempt.exchange.request.headers };
  }

  it('puts the credential of the upstream on the attempt', async () => {
    const { sent } = await headersWith({ value: SECRET }, ['accept', '*/*']);
    expect(sent).toEqual(['accept', '*/*', 'authorization', SECRET]);
  });

  it('replaces what the client sent, in whatever case and however often', async () => {
    const { sent } = await headersWith({ value: SECRET }, [
      ...['Authorization', 'Bearer of-the-client'],
      ...['AUTHORIZATION', 'Bearer again'],
      ...['accept', '*/*'],
    ]);
    expect(sent).toEqual(['accept', '*/*', 'authorization', SECRET]);
  });

  it.each(['authorization', 'x-api-key', 'api-key', 'x-goog-api-key', 'cookie'])(
    'removes the client’s %s also where the credential goes in another field',
    async (name) => {
      const { sent } = await headersWith({ header: 'X-Custom-Key', value: 'v' }, [name, 'of the client']);
      expect(sent).toEqual(['X-Custom-Key', 'v']);
    },
  );

  it('removes the client’s own value of the configured field', async () => {
    const { sent } = await headersWith({ header: 'X-Custom-Key', value: 'v' }, ['x-custom-key', 'mine']);
    expect(sent).toEqual(['X-Custom-Key', 'v']);
  });

  it('leaves the request of the exchange as it was, for the next attempt may have another key', async () => {
    const { kept } = await headersWith({ value: SECRET }, ['authorization', 'Bearer of-the-client']);
    expect(kept).toEqual(['authorization', 'Bearer of-the-client']);
  });

  it('shows the field and never the value', () => {
    const { deps } = kit();
    const policy = credentials.build(credentials.schema.parse({ value: SECRET }), deps, undefined);
    expect(policy.snapshot()).toEqual({
      header: 'authorization',
      keys: [{ name: 'key-1', state: 'ready', usableInMs: 0 }],
    });
  });

  it.each([
    ['/v1/x?key=mine&alt=sse', 'openai', '/v1/x?alt=sse'],
    ['/v1/x?API_KEY=mine', 'generic', '/v1/x'],
    ['/v1/x?access_token=mine&key=of+a+thing', 'generic', '/v1/x?key=of+a+thing'],
  ])('removes the client’s credential from the query: %s to %s', async (target, dialect, expected) => {
    const { clock, deps } = kit();
    const policy = credentials.build(credentials.schema.parse({ value: SECRET }), deps, undefined);
    const upstream = { dialect: { ...generic, name: dialect } };
    const attempt = attemptAt(clock, exchangeAt(clock, { request: { target }, upstream }));
    await policy.run(attempt, new Script<typeof attempt>(clock).next, attempt.cancellation);
    expect([attempt.target, attempt.exchange.request.target]).toEqual([expected, target]);
  });

  it('keeps the key out of what is said of a failure', async () => {
    const { clock, deps } = kit();
    const policy = credentials.build(credentials.schema.parse({ value: SECRET }), deps, undefined);
    const attempt = attemptAt(clock);
    const failure = fail('upstream_error', { detail: 'no such key: sk-of-the-sidecar, sorry' });
    const outcome = await policy.run(attempt, new Script<Attempt>(clock, failure).next, attempt.cancellation);
    expect(outcome).toMatchObject({ detail: 'no such key: ***, sorry' });
  });

  it.each([
    [{}, 'exactly one of value, values and keys'],
    [{ value: 'a', values: ['b'] }, 'exactly one of value, values and keys'],
    [{ keys: [{ value: 'a' }, { name: 'key-1', value: 'b' }] }, 'names that differ'],
    [{ values: [] }, ''],
    [{ keys: [{ value: 'a', weight: 0 }] }, ''],
    [{ keys: [{ name: 'not a name', value: 'a' }] }, 'expected a name'],
  ])('refuses %j', (options, message) => {
    const result = credentials.schema.safeParse(options);
    expect(result.success).toBe(false);
    expect(JSON.stringify(result.error?.issues)).toContain(message);
  });

  it.each(['', 'two\r\nlines', 'zero\0'])('refuses %j as a value', (value) => {
    expect(credentials.schema.safeParse({ value }).success).toBe(false);
  });
});
