/** Sends bytes that no honest client sends, and checks that the sidecar is none the worse for it. */
import { afterAll, beforeAll, expect } from 'vitest';
import { rawClient } from '../support/raw-client.ts';
import { stage, type Stage, type StageSettings } from '../e2e/stage.ts';
import { respondWith } from '../support/steps/answers.ts';

/** A sidecar before an upstream that says what it got. */
export const target = (settings: StageSettings = {}): Promise<Stage> =>
  stage([respondWith((got) => ({ body: `${got.method} ${got.target} ${got.body.length}` }))], settings);

/** One target for all attacks of a file: each finds what the ones before left behind. */
export function sharedTarget(settings: StageSettings = {}): () => Stage {
  let on: Stage | undefined;
  beforeAll(async () => {
    on = await target(settings);
  });
  afterAll(() => on?.[Symbol.asyncDispose]());
  return () => {
    if (!on) throw new Error('the target is there while tests run');
    return on;
  };
}

export interface Impact {
  /** Of the first answer; undefined when the connection was closed without one. */
  readonly status: number | undefined;
  /** `x-outrigger-code` of the first answer. */
  readonly code: string | undefined;
  /** Answers on this connection. */
  readonly answers: number;
  /** All that came back. */
  readonly text: string;
}

/**
 * Sends the bytes on a connection of its own and waits until the sidecar closes it.
 * @param finish send FIN after them, for attacks that stop halfway
 */
export async function attack(on: Stage, bytes: string | Buffer, finish = false): Promise<Impact> {
  await using client = await rawClient(on.port);
  void client.send(bytes);
  if (finish) client.halfClose();
  const text = (await client.readToEnd())?.toString('latin1') ?? '';
  const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(text) ?? [];
  return {
    status: status === undefined ? undefined : Number(status),
    code: /\r\nx-outrigger-code: (.+)\r\n/.exec(text)?.[1],
    answers: text.match(/HTTP\/1\.1 \d{3} /g)?.length ?? 0,
    text,
  };
}

/** The attack was refused, nothing of it reached the upstream, and the next client is served. */
export async function expectRefused(on: Stage, bytes: string | Buffer, status = 400): Promise<Impact> {
  const before = on.upstream.requests.length;
  const impact = await attack(on, bytes);
  expect(impact.status, JSON.stringify(impact.text.slice(0, 300))).toBe(status);
  expect(impact.answers).toBe(1);
  await expectServing(on);
  expect(on.upstream.requests.slice(before).map(({ target }) => target)).toEqual(['/honest']);
  return impact;
}

export async function expectServing(on: Stage): Promise<void> {
  const response = await on.send({ path: '/honest' });
  expect(await response.text()).toBe('GET /honest 0');
  expect(on.upstream.malformed).toEqual([]);
}

/** A request head, with CRLF line ends and the empty line. */
export const head = (...lines: readonly string[]): string => `${lines.join('\r\n')}\r\n\r\n`;
