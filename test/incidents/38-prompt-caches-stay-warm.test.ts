/**
 * Every endpoint of a model keeps the beginnings of prompts that it has worked on. A balancer that spread the turns of
 * conversations over all of them had next to no hits where one endpoint alone had nearly all. What belongs together goes to
 * one endpoint, before anything is balanced.
 */
import { expect, it } from 'vitest';
import { request } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import type { ScriptedUpstream } from '../support/scripted-upstream.ts';
import { respondWith } from '../support/steps/answers.ts';
import { ownSidecar } from './own-sidecar.ts';

const CONVERSATIONS = 12;
const TURNS = 8;
const ENDPOINTS = 4;

interface Prompt {
  readonly messages: readonly unknown[];
}

/** A model that knows the prompts that it has seen, and says whether all but the newest message was one of them. */
async function cachingModel(): Promise<ScriptedUpstream> {
  const seen = new Set<string>();
  return scriptedUpstream([
    respondWith((call) => {
      const { messages } = call.json() as Prompt;
      const hit = seen.has(JSON.stringify(messages.slice(0, -1)));
      seen.add(JSON.stringify(messages));
      return { body: hit ? 'hit' : 'miss' };
    }),
  ]);
}

/** Conversations take their turns one after the other, each turn a longer prompt. */
async function play(balance: string): Promise<{ readonly hitRatio: number; readonly used: number }> {
  const models = await Promise.all(Array.from({ length: ENDPOINTS }, cachingModel));
  const endpoints = models.map(({ origin }) => `{ url: "${origin}" }`).join(', ');
  await using own = await ownSidecar(
    `upstreams: { api: { route: /api, endpoints: [${endpoints}], balance: ${balance} } }\n`,
  );
  let hits = 0;
  for (let turn = 1; turn <= TURNS; turn++)
    for (let conversation = 0; conversation < CONVERSATIONS; conversation++) {
      const system = { role: 'system', content: `You are a careful planner. Your name is ${conversation}.` };
      const turns = Array.from({ length: turn }, (_, i) => ({ role: 'user', content: `question ${i}` }));
      const answer = await request(own.port, {
        method: 'POST',
        path: '/api/v1/chat/completions',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'm', messages: [system, ...turns] }),
      });
      if ((await answer.text()) === 'hit') hits += 1;
    }
  const used = models.filter(({ requests }) => requests.length > 0).length;
  for (const model of models) await model[Symbol.asyncDispose]();
  return { hitRatio: hits / (CONVERSATIONS * TURNS), used };
}

it('every turn but the first finds its conversation in the cache, and all endpoints have some to do', async () => {
  const { hitRatio, used } = await play('{ affinity: { by: [prompt] } }');
  expect(hitRatio).toBe((TURNS - 1) / TURNS);
  expect(used).toBeGreaterThan(1);
});

it('without affinity hardly any does', async () => {
  expect((await play('{ algorithm: random }')).hitRatio).toBeLessThan(0.5);
});
