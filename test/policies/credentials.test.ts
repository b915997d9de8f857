import { describe, expect, it } from 'vitest';
import { credentials } from '../../src/policies/credentials.ts';
import { Script, attemptAt, exchangeAt, kit } from '../support/policy-kit.ts';
import { policyContract } from './contract.ts';

const SECRET = 'Bearer sk-of-the-sidecar';

policyContract({
  module: credentials,
  options: { value: SECRET },
  scope: (clock) => attemptAt(clock),
  secrets: [SECRET, 'sk-of-the-sidecar'],
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
    expect(policy.snapshot()).toEqual({ header: 'authorization' });
  });

  it.each(['', 'two\r\nlines', 'zero\0'])('refuses %j as a value', (value) => {
    expect(credentials.schema.safeParse({ value }).success).toBe(false);
  });
});
