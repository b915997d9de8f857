/**
 * Keeps up with one answer of Consul's by blocking queries: each asks for what is newer than the one before. After a failure
 * it is asked for what stands now, whatever was known, for Consul's state may have been restored meanwhile.
 * @see https://developer.hashicorp.com/consul/api-docs/features/blocking
 */
import type { ConsulClient, ConsulParams } from './consul-client.ts';
import { Pursuit } from './pursuit.ts';
import type { PursuitDeps } from './pursuit.ts';

export interface ConsulQuestion {
  /** Such as `/v1/health/service/search`. */
  readonly path: string;
  readonly params: ConsulParams;
  /** How long one question may stay open, in milliseconds; up to ten minutes. */
  readonly waitMs: number;
}

export interface ConsulFollowerDeps extends PursuitDeps {
  /** Told of the body of every answer that may be news; undefined: there is nothing of the name (404). */
  readonly onAnswer: (body: unknown) => void;
  /** Told of every try that failed. What was known last stays true as far as anybody knows. */
  readonly onFailed: (message: string) => void;
}

/** Whatever changes however often, Consul is not asked more often than this. */
const SHORTEST_ROUND_MS = 250;
/** Rest where an answer has no index to go on with: then looking is all there is. */
const POLL_MS = 5_000;

export class ConsulFollower {
  readonly #client: ConsulClient;
  readonly #question: ConsulQuestion;
  readonly #deps: ConsulFollowerDeps;
  readonly #pursuit: Pursuit;
  #index = 0;

  constructor(client: ConsulClient, question: ConsulQuestion, deps: ConsulFollowerDeps) {
    this.#client = client;
    this.#question = question;
    this.#deps = deps;
    this.#pursuit = new Pursuit(deps, (signal) => this.#ask(signal), deps.onFailed);
  }

  start(): void {
    this.#pursuit.start();
  }

  dispose(): void {
    this.#pursuit.dispose();
  }

  async #ask(signal: AbortSignal): Promise<number> {
    const { clock, random, onAnswer } = this.#deps;
    const { path, params, waitMs } = this.#question;
    const startedAt = clock.now();
    const index = this.#index;
    // Also where what follows fails.
    this.#index = 0;
    const answer = await this.#client.query(path, params, { index, waitMs }, signal);
    if (signal.aborted) return 0;
    if (index === 0 || answer.index !== index) onAnswer(answer.body);
    this.#index = answer.index;
    if (answer.index === 0 && index === 0) return POLL_MS * (1 - random.next() / 5);
    return Math.max(0, startedAt + SHORTEST_ROUND_MS * (1 - random.next() / 5) - clock.now());
  }
}
