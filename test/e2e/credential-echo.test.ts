import { expect, it } from 'vitest';
import { request } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import { respondJson } from '../support/steps/answers.ts';

const KEY = 'sk-very-secret-0123456789abcdefghijklmnop';

it.each([470, 495, 499])(
  'a key that an upstream echoes where our account of it ends (%i) is hidden before that is cut',
  async (at) => {
    const message = `${'x'.repeat(at)}${KEY}`;
    await using upstream = await scriptedUpstream([
      respondJson({ error: { message, code: 'server_error' } }),
    ]);
    await using proxy = await startSidecar(`
upstreams:
  api:
    route: /api
    dialect: openai
    endpoints: [{ url: "${upstream.origin}" }]
    credentials: { value: "${KEY}" }
    policies: { retry: false }
`);
    const answer = await request(proxy.port, {
      method: 'POST',
      path: '/api/v1/chat/completions',
      body: '{"messages":[]}',
    });
    const told = `${(await answer.bytes()).toString()} ${answer.header('proxy-status') ?? ''}`;
    expect(answer.status).toBe(502);
    expect(told).toContain('xxxx');
    expect(told).not.toContain(KEY.slice(0, 6));
    await proxy.waitForLines(({ msg }) => msg === 'exchange');
    expect(JSON.stringify(proxy.logLines())).not.toContain(KEY.slice(0, 6));
  },
);
