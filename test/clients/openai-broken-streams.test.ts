/**
 * What goes wrong after the first word cannot be mended any more: the caller has what came, then an error, never an end
 * that looks like one. The provider is asked once.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RequestStep } from '../support/upstream/step.ts';
import {
  cutAfter,
  cutInside,
  endedAfter,
  errorWithin,
  nonsenseAfter,
  silentAfter,
  wordOf,
} from './openai-faults.ts';
import { SPEAKERS } from './openai-speakers.ts';
import type { Speaker } from './openai-speakers.ts';
import { openaiStage } from './openai-stage.ts';
import type { OpenAiStage } from './openai-stage.ts';

let on: OpenAiStage;
beforeAll(async () => {
  on = await openaiStage();
});
afterAll(() => on[Symbol.asyncDispose]());

type Fault = readonly [
  name: string,
  step: (api: Speaker['api']) => RequestStep,
  reason: string,
  code: string,
  says: string,
];

const TOLD: readonly Fault[] = [
  ['a cut', cutAfter, 'response_incomplete', 'response_incomplete', 'before it was complete'],
  [
    'a clean end too early',
    endedAfter,
    'response_incomplete',
    'response_incomplete',
    'before it was complete',
  ],
  ['silence', silentAfter, 'idle_timeout', 'idle_timeout', 'stopped sending'],
  [
    'an error of the provider',
    (api) => errorWithin(api, 'server_error'),
    'upstream_error',
    'server_error',
    'it is server_error',
  ],
];

/** Errors that the SDK makes of what it cannot parse itself. */
const UNREADABLE: readonly (readonly [string, Fault[1], string])[] = [
  ['a cut in the middle of an event', cutInside, 'response_incomplete'],
  ['an event that nobody can read', nonsenseAfter, 'malformed_answer'],
];

describe.each(SPEAKERS)('$name', (speaker) => {
  const word = wordOf(speaker.api);

  it.each(TOLD)('%s: raises the error that stands in the stream', async (name, step, reason, code, says) => {
    on.play(step(speaker.api));
    const seen = await on.ask(speaker, 'stream', { upstream: name === 'silence' ? 'impatient' : 'patient' });
    expect(seen).toMatchObject({ text: undefined, requests: 1, attempts: ['ok'], broken: [reason] });
    expect(seen.pieces.join('')).toBe(word);
    const kind = speaker.name.startsWith('ai ') ? 'StreamProviderError' : 'APIError';
    expect(seen.error).toMatchObject({ kind, code });
    expect(seen.error?.message).toContain(says);
  });

  it.each(UNREADABLE)('%s: raises', async (_, step, reason) => {
    on.play(step(speaker.api));
    const seen = await on.ask(speaker, 'stream');
    expect(seen).toMatchObject({ text: undefined, requests: 1, attempts: ['ok'], broken: [reason] });
    expect(seen.pieces.join('')).toBe(word);
    expect(seen.error?.kind).toMatch(/^(SyntaxError|JSONParseError|TypeValidationError)$/);
  });
});

it('counts each stream that broke off', async () => {
  const broken = (reason: string): Promise<number> =>
    on.metric('outrigger_broken_responses_total', { reason });
  expect(await broken('response_incomplete')).toBe(3 * SPEAKERS.length);
  for (const reason of ['idle_timeout', 'upstream_error', 'malformed_answer'])
    expect(await broken(reason), reason).toBe(SPEAKERS.length);
});
