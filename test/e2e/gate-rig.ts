/** The commit gate in this process, fed with any bytes and any end, and what a client would make of what comes out. */
import OpenAI from 'openai';
import { Stream } from 'openai/streaming';
import type { Outcome } from '../../src/core/outcome.ts';
import { openai } from '../../src/dialects/openai.ts';
import { commitGate } from '../../src/policies/commit-gate.ts';
import { PATHS, STREAMS, operationOf } from '../support/openai-fixtures.ts';
import type { StreamName } from '../support/openai-fixtures.ts';
import { settle } from '../support/fake-clock.ts';
import { CollectingSink, attemptAt, bytesBody, exchangeAt, kit, respond } from '../support/policy-kit.ts';
import { Source } from '../streams/watch-rig.ts';

export const STREAM_NAMES = Object.keys(STREAMS) as StreamName[];

/** How an upstream's body ends. */
export type UpstreamEnd = 'clean' | 'destroyed';

/** What left the gate: a failure, which another attempt or a local answer follows, or bytes and an end. */
export type GateOutput =
  | { readonly kind: 'failure'; readonly reason: string }
  | { readonly kind: 'bytes'; readonly sink: CollectingSink };

/** Says nothing of what it cannot parse. */
const quiet = new OpenAI({ apiKey: 'sk', logLevel: 'off' });

const policies = kit();
const gate = commitGate.build(commitGate.schema.parse({}), policies.deps, undefined);

export async function throughGate(
  target: string,
  contentType: string,
  chunks: readonly Uint8Array[],
  end: UpstreamEnd,
): Promise<GateOutput> {
  const { clock } = policies;
  const exchange = exchangeAt(clock, {
    upstream: { dialect: openai },
    request: { method: 'POST', target },
    body: bytesBody(Buffer.from('{"stream":true}')),
  });
  const attempt = attemptAt(clock, exchange);
  attempt.phase = 'receiving';
  const source = new Source();
  const answer = respond(200, { headers: ['content-type', contentType], body: source });
  let outcome: Outcome | undefined;
  void gate.run(attempt, async () => answer, attempt.cancellation).then((settled) => (outcome = settled));
  await settle();
  source.write(...chunks);
  if (end === 'clean') source.end();
  else source.cut();
  await settle();
  if (outcome?.kind === 'failure') return { kind: 'failure', reason: outcome.reason };
  if (outcome?.kind !== 'response') throw new Error('the gate says nothing');
  const sink = new CollectingSink();
  outcome.body.pipe(sink);
  return { kind: 'bytes', sink };
}

/** The decoder takes anything that can be iterated, at a fraction of what a web stream costs. */
async function* inOnePiece(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

/** What the official SDK makes of these bytes, as one that reads them to their end. */
export async function asDecoded(bytes: Uint8Array): Promise<{ items: unknown[]; error: unknown }> {
  const response = { body: inOnePiece(bytes) } as unknown as Response;
  const stream = Stream.fromSSEResponse(response, new AbortController(), quiet);
  const items: unknown[] = [];
  try {
    for await (const item of stream) items.push(item);
    return { items, error: undefined };
  } catch (error) {
    return { items, error };
  }
}

export const targetOf = (name: StreamName): string => PATHS[operationOf(name)];
