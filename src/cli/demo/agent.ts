/** The demo's agent: it asks, and knows whether it got a whole answer. */
import type OpenAI from 'openai';
import type { Clock } from '../../core/clock.ts';
import { isWhole } from '../../playground/answer.ts';

/** The official SDK, which is there only in a development checkout. */
export type Sdk = typeof OpenAI;

export interface Call {
  readonly prompt: string;
  readonly streaming: boolean;
}

export interface CallEnd {
  readonly streaming: boolean;
  /** `whole`, or in a few words what went wrong. */
  readonly kind: string;
  readonly durationMs: number;
}

export const WHOLE = 'whole';
export const BROKEN_STREAM = 'broken stream';
export const SILENT_PARTIAL = 'partial taken for whole';

/** How long the agent waits for an answer to begin. */
export const CLIENT_TIMEOUT_MS = 3_000;

/** The same for every side: every other call streams. */
export const planCalls = (count: number): Call[] =>
  Array.from({ length: count }, (_, index) => ({
    prompt: `question ${index + 1}`,
    streaming: index % 2 === 1,
  }));

export class Agent {
  readonly #sdk: Sdk;
  readonly #client: OpenAI;
  readonly #clock: Clock;

  /** The SDK's own retries are off, so that only what stands in front of the provider makes a difference. */
  constructor(sdk: Sdk, baseURL: string, clock: Clock) {
    this.#sdk = sdk;
    this.#clock = clock;
    this.#client = new sdk({
      apiKey: 'not-needed',
      baseURL,
      maxRetries: 0,
      timeout: CLIENT_TIMEOUT_MS,
      logLevel: 'off',
    });
  }

  /** Makes all calls, `concurrency` at a time, in order. */
  async work(calls: readonly Call[], concurrency: number, onEnd: () => void): Promise<CallEnd[]> {
    const ends: CallEnd[] = [];
    const queue = calls.values();
    const worker = async (): Promise<void> => {
      for (const call of queue) {
        ends.push(await this.#timed(call));
        onEnd();
      }
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
    return ends;
  }

  async #timed(call: Call): Promise<CallEnd> {
    const startedAt = this.#clock.now();
    const kind = call.streaming ? await this.#stream(call.prompt) : await this.#ask(call.prompt);
    return { kind, streaming: call.streaming, durationMs: this.#clock.now() - startedAt };
  }

  async #ask(prompt: string): Promise<string> {
    try {
      const { choices } = await this.#client.chat.completions.create(bodyOf(prompt));
      return isWhole(choices[0]?.message.content ?? '') ? WHOLE : 'incomplete answer';
    } catch (error) {
      return this.#kindOf(error);
    }
  }

  async #stream(prompt: string): Promise<string> {
    let begun = false;
    let text = '';
    try {
      const stream = await this.#client.chat.completions.create({ ...bodyOf(prompt), stream: true });
      for await (const chunk of stream) {
        begun = true;
        text += chunk.choices[0]?.delta.content ?? '';
      }
      // The worst of all: nothing tells the agent that something is missing.
      return isWhole(text) ? WHOLE : SILENT_PARTIAL;
    } catch (error) {
      return begun ? BROKEN_STREAM : this.#kindOf(error);
    }
  }

  #kindOf(error: unknown): string {
    if (error instanceof this.#sdk.APIConnectionTimeoutError) return 'timeout';
    if (error instanceof this.#sdk.APIConnectionError) return 'connection lost';
    if (error instanceof this.#sdk.APIError && typeof error.status === 'number')
      return `HTTP ${error.status}`;
    return 'incomplete answer';
  }
}

const bodyOf = (prompt: string) => ({
  model: 'playground-small',
  messages: [{ role: 'user' as const, content: prompt }],
});
