/** Other policies for some calls, told by method, tool and model. */
import { expect, it } from 'vitest';
import { apiAt, ownSidecar } from '../incidents/own-sidecar.ts';
import type { OwnSidecar } from '../incidents/own-sidecar.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond, respondWith } from '../support/steps/answers.ts';
import type { RequestStep } from '../support/upstream/step.ts';

const toolCall = (name: string, padding = 0): string =>
  JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name, arguments: { padding: ' '.repeat(padding) } },
  });

const callTool = async (own: OwnSidecar, name: string, padding = 0): Promise<number> => {
  const response = await own.send({ method: 'POST', body: toolCall(name, padding) });
  await response.ended();
  return response.status;
};

/** Fails for the tool `bad`, answers all others. */
const oneBadTool: RequestStep = respondWith((request) =>
  request.text().includes('"bad') ? { status: 500 } : { status: 200 },
);

const BREAKER = 'circuitBreaker: { consecutiveFailures: 2, openFor: 1m }';

const withOverride = (origin: string, override: string, policies: string = BREAKER): string =>
  apiAt(origin, `dialect: mcp, policies: { ${policies} }, overrides: { bad: ${override} }`);

it('a tool with a breaker of its own cannot open that of the others', async () => {
  await using upstream = await scriptedUpstream([oneBadTool]);
  const override = `{ match: { tool: "bad*" }, policies: { ${BREAKER} } }`;
  await using own = await ownSidecar(withOverride(upstream.origin, override));
  expect([await callTool(own, 'bad'), await callTool(own, 'bad'), await callTool(own, 'bad')]).toEqual([
    500, 500, 503,
  ]);
  expect(await callTool(own, 'good')).toBe(200);
  const states = own.sidecar.supervisor.runtime.upstreams
    .get('api')!
    .snapshots()
    .filter(({ name }) => name === 'circuit-breaker')
    .map(({ override: its, state }) => [its, state['state']]);
  expect(states).toEqual([
    [undefined, 'closed'],
    ['bad', 'open'],
  ]);
  await own.edit(`${withOverride(upstream.origin, override)}logging: { access: 'off' }\n`);
  expect(await callTool(own, 'bad')).toBe(503);
});

it('what an override does not name is shared with all other calls', async () => {
  await using upstream = await scriptedUpstream([oneBadTool]);
  const override = '{ match: { tool: bad }, policies: { deadline: { after: 5s } } }';
  await using own = await ownSidecar(withOverride(upstream.origin, override));
  await callTool(own, 'bad');
  await callTool(own, 'bad');
  expect(await callTool(own, 'good')).toBe(503);
});

it('a policy that is named keeps what was said of it for all calls', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 429 })]);
  const retry = 'retry: { maxRetries: 1, backoff: { initial: 0s, max: 0s }, budget: false }';
  const override = '{ match: { tool: bad }, policies: { retry: { maxRetries: 4 } } }';
  await using own = await ownSidecar(withOverride(upstream.origin, override, retry));
  await callTool(own, 'bad');
  expect(upstream.requests).toHaveLength(5);
  await callTool(own, 'good');
  expect(upstream.requests).toHaveLength(7);
});

it('`false` takes a policy away for some calls', async () => {
  await using upstream = await scriptedUpstream([oneBadTool]);
  const override = '{ match: { tool: bad }, policies: { circuitBreaker: false } }';
  await using own = await ownSidecar(withOverride(upstream.origin, override));
  for (let n = 0; n < 4; n++) expect(await callTool(own, 'bad')).toBe(500);
  expect(await callTool(own, 'good')).toBe(200);
});

it('a body that comes slowly is waited for, and one that is too large to be kept has no override', async () => {
  await using upstream = await scriptedUpstream([oneBadTool]);
  const override = `{ match: { method: tools/call, tool: bad }, policies: { ${BREAKER} } }`;
  const limits = 'bufferFirst: 1KiB, replayLimit: 256KiB';
  const yaml = withOverride(upstream.origin, override).replace('dialect: mcp', `dialect: mcp, ${limits}`);
  await using own = await ownSidecar(yaml);
  for (let n = 0; n < 2; n++) expect(await callTool(own, 'bad', 128 * 1024)).toBe(500);
  expect(await callTool(own, 'bad', 128 * 1024)).toBe(503);
  expect(await callTool(own, 'bad', 512 * 1024)).toBe(500);
});

it('models are told apart, too, and the first override that fits decides', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 429 })]);
  await using own = await ownSidecar(
    apiAt(
      upstream.origin,
      `dialect: openai, policies: { retry: false }, overrides: {
        small: { match: { model: ["*-mini", "*-nano"] }, policies: { retry: { maxRetries: 1, backoff: { initial: 0s } } } },
        chat: { match: { method: chat }, policies: { retry: { maxRetries: 2, backoff: { initial: 0s } } } } }`,
    ),
  );
  const ask = async (model: string): Promise<number> => {
    const before = upstream.requests.length;
    const body = JSON.stringify({ model, messages: [] });
    await (await own.send({ method: 'POST', path: '/api/v1/chat/completions', body })).ended();
    return upstream.requests.length - before;
  };
  expect([await ask('gpt-mini'), await ask('gpt-nano'), await ask('gpt')]).toEqual([2, 2, 3]);
});
