/** A stub provider that does one thing, a sidecar before it, and what an SDK and the provider saw of a call. */
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { startSidecar } from '../support/start-sidecar.ts';
import type { RequestStep } from '../support/upstream/step.ts';
import type { Speaker, SpeakerSettings } from './openai-speakers.ts';

export interface Seen {
  /** What the SDK gave its caller; undefined when it raised. */
  readonly text: string | undefined;
  /** Pieces of a stream that came before whatever came. */
  readonly pieces: readonly string[];
  readonly error: RaisedError | undefined;
  /** Requests that the provider saw. */
  readonly requests: number;
  /** Class of each attempt, in order. */
  readonly attempts: readonly string[];
  /** Reasons of streams that broke off after they had begun. */
  readonly broken: readonly (string | undefined)[];
}

/** What callers branch on. */
export interface RaisedError {
  readonly kind: string;
  readonly status: number | undefined;
  readonly code: string | undefined;
  readonly message: string;
}

export interface OpenAiStage extends AsyncDisposable {
  play(step: RequestStep): void;
  ask(speaker: Speaker, way: Way, options?: AskOptions): Promise<Seen>;
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
}

export type Way = 'stream' | 'JSON';

export interface AskOptions {
  /** Which upstream of the configuration. Default `patient`. */
  readonly upstream?: string;
  readonly settings?: SpeakerSettings;
}

const retryOnce = 'retry: { maxRetries: 1, backoff: { initial: 1ms, max: 1ms }, budget: false }';

/** @param more further upstreams, as YAML, with ORIGIN in place of the address */
export async function openaiStage(more = ''): Promise<OpenAiStage> {
  let step: RequestStep | undefined;
  const upstream = await scriptedUpstream(() => {
    if (!step) throw new Error('nothing is played');
    return step;
  });
  const proxy = await startSidecar(
    `
upstreams:
  patient:
    route: /patient
    preset: azure-openai
    endpoints: [{ url: "ORIGIN" }]
    policies: { ${retryOnce}, pacing: false, circuitBreaker: false }
  impatient:
    route: /impatient
    preset: azure-openai
    endpoints: [{ url: "ORIGIN" }]
    policies: { ${retryOnce}, pacing: false, circuitBreaker: false, attemptTimeout: { firstByte: 150ms, firstToken: 150ms, idle: 150ms } }
${more}`.replaceAll('ORIGIN', upstream.origin),
  );
  return {
    play: (next) => void (step = next),
    ask: async (speaker, way, { upstream: name = 'patient', settings } = {}) => {
      const before = { requests: upstream.requests.length, events: proxy.events.length };
      const base = `http://127.0.0.1:${proxy.port}/${name}`;
      const pieces: string[] = [];
      const call =
        way === 'JSON'
          ? speaker.whole(base, settings)
          : speaker.streamed(base, (piece) => void pieces.push(piece), settings);
      const result = await call.then(
        (text) => ({ text, error: undefined }),
        (error: unknown) => ({ text: undefined, error: raised(error) }),
      );
      await proxy.waitForEvent('exchange-ended', proxy.eventsNamed('exchange-started').length);
      const events = proxy.events.slice(before.events);
      return {
        ...result,
        pieces,
        requests: upstream.requests.length - before.requests,
        attempts: events
          .filter(({ name: one }) => one === 'attempt-ended')
          .map(({ event }) => classOf(event)),
        broken: events
          .filter(({ name: one }) => one === 'exchange-ended')
          .map(({ event }) => brokenBy(event)),
      };
    },
    metric: (name, labels) => proxy.metric(name, labels),
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

const classOf = (event: unknown): string =>
  (event as { attempt: { verdict: { class: string } } }).attempt.verdict.class;

function brokenBy(event: unknown): string | undefined {
  const { reason, outcome } = event as { reason: string | undefined; outcome: { kind: string } };
  return outcome.kind === 'response' ? reason : undefined;
}

interface AnyError {
  readonly name?: string;
  readonly constructor: { readonly name: string };
  readonly status?: number;
  readonly statusCode?: number;
  readonly code?: unknown;
  readonly data?: { readonly error?: { readonly code?: unknown } };
  readonly error?: { readonly code?: unknown; readonly error?: { readonly code?: unknown } };
  readonly message: string;
}

function raised(thrown: unknown): RaisedError {
  const error = thrown as AnyError;
  const { error: body, data } = error;
  const code = error.code ?? data?.error?.code ?? body?.error?.code ?? body?.code;
  return {
    kind: error.constructor.name,
    status: error.status ?? error.statusCode,
    code: typeof code === 'string' ? code : undefined,
    message: error.message,
  };
}
