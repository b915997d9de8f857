/** Tokens that a call will take, before it was made, and those that it took, as far as anybody knows. */
import type { CallFacts, Usage } from '../core/dialect.ts';
import type { Attempt, Exchange } from '../core/exchange.ts';
import { costsNothing, estimatedPrompt } from './spent.ts';

export interface TokenDemand {
  readonly prompt: number;
  /** Most of the answer where the call says so, else what answers usually have. */
  readonly answer: number;
}

/** What an answer is taken to have before any was counted. */
const FIRST_GUESS = 500;
/** Share of the newest answer in what is usual. */
const NEWEST = 0.1;

/** Operations on models that generate nothing. */
const GENERATE_NOTHING: ReadonlySet<string> = new Set([
  'embeddings',
  'embedContent',
  'batchEmbedContents',
  'moderation',
  'count_tokens',
  'countTokens',
]);

/** What answers usually have, learnt from those that said. */
export class UsualAnswer {
  #tokens = FIRST_GUESS;

  get tokens(): number {
    return Math.ceil(this.#tokens);
  }

  /** Takes an answer's own count; a nonsensical one counts for nothing. */
  learn({ output }: Usage): void {
    if (Number.isFinite(output) && output > 0) this.#tokens += (output - this.#tokens) * NEWEST;
  }
}

/** Ask when the body is here, as far as it can be kept: one that is not, and names no length, may hold anything. */
export function demandOf(exchange: Exchange, usual: UsualAnswer): TokenDemand {
  const { call, body } = exchange;
  const answer = call.maxTokens ?? (generates(call) ? usual.tokens : 0);
  const unknown = body.length === undefined && body.peek() === undefined;
  return { prompt: unknown ? Number.POSITIVE_INFINITY : estimatedPrompt(exchange), answer };
}

const generates = ({ model, operation }: CallFacts): boolean =>
  model !== undefined && !GENERATE_NOTHING.has(operation ?? '');

/**
 * What the attempts took: as their provider counted, nothing where no model was asked, and the demand where an answer
 * broke off, or nobody counted.
 *
 * @param most that an attempt counts for which nobody counted
 */
export function tokensTaken(
  attempts: readonly Attempt[],
  { prompt, answer }: TokenDemand,
  most: number,
): number {
  return attempts.reduce((sum, attempt) => {
    const { usage } = attempt.answer ?? {};
    if (usage) return sum + Math.max(0, usage.input) + Math.max(0, usage.output);
    if (costsNothing(attempt)) return sum;
    // Without an answer that began nothing is known but that it was asked.
    return sum + Math.min(most, prompt + (attempt.status === undefined ? 0 : answer));
  }, 0);
}
