/**
 * Bounds what further tries of one exchange may cost. It only lays down the bound: retry and the ladder, who make those
 * tries, ask it before each. It stands above retry, so that the bound is there before the first try.
 */
import { z } from 'zod';
import { nextPrompt, spentSoFar } from '../algorithms/spent.ts';
import type { Cancellation } from '../core/cancellation.ts';
import type { Exchange, NextTry, SpendGuard } from '../core/exchange.ts';
import type { Outcome } from '../core/outcome.ts';
import type { Next, Policy, PolicyDeps, PolicyModule, Snapshot } from '../core/policy.ts';
import { positiveCount } from '../schema/scalars.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** Another try would have cost more than one exchange may. Emitted once for each kind of try. */
    'spend-refused': {
      readonly exchange: Exchange;
      readonly upstream: string;
      readonly by: NextTry['by'];
    };
  }
}

export const spendCapSchema = z
  .strictObject({
    tokens: positiveCount
      .optional()
      .describe('Tokens, prompt and generated, that all attempts of one exchange may take together.'),
    cost: z
      .number()
      .gt(0)
      .optional()
      .describe(
        'What they may cost together, in the currency of the prices; models without a price cost nothing.',
      ),
  })
  .refine(({ tokens, cost }) => tokens !== undefined || cost !== undefined, {
    error: 'expected tokens, cost or both',
  })
  .describe('Stops further attempts at one request when it has cost enough.');

export type SpendCapOptions = z.output<typeof spendCapSchema>;

class SpendCap implements Policy<Exchange> {
  readonly name = 'spend-cap';
  readonly #options: SpendCapOptions;
  readonly #deps: PolicyDeps;

  constructor(options: SpendCapOptions, deps: PolicyDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  run(exchange: Exchange, next: Next<Exchange>, cancellation: Cancellation): Promise<Outcome> {
    // On a ladder the bound of the upstream that the client called is there already, and holds.
    exchange.spend ??= new Guard(this.#options, this.#deps);
    return next(exchange, cancellation);
  }

  snapshot(): Snapshot {
    return { tokens: this.#options.tokens ?? null, cost: this.#options.cost ?? null };
  }

  dispose(): void {
    // What it knows belongs to exchanges.
  }
}

/** The bound of one exchange. */
class Guard implements SpendGuard {
  readonly #options: SpendCapOptions;
  readonly #deps: PolicyDeps;
  readonly #told = new Set<NextTry['by']>();

  constructor(options: SpendCapOptions, deps: PolicyDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  allows(exchange: Exchange, next: NextTry): boolean {
    if (this.#fits(exchange, next)) return true;
    const { by } = next;
    if (!this.#told.has(by)) {
      this.#told.add(by);
      this.#deps.emit('spend-refused', { exchange, upstream: this.#deps.upstream, by });
    }
    return false;
  }

  #fits(exchange: Exchange, { upstream, model }: NextTry): boolean {
    const { tokens, cost } = this.#options;
    const spent = spentSoFar(exchange, cost !== undefined);
    // Only money needs the model's name, for which the whole request must be parsed.
    const price =
      cost === undefined ? undefined : upstream.models?.termsOf(model ?? exchange.call.model).price;
    const next = nextPrompt(exchange, price);
    return (
      (tokens === undefined || spent.tokens + next.tokens <= tokens) &&
      (cost === undefined || spent.cost + next.cost <= cost)
    );
  }
}

export const spendCap: PolicyModule<Exchange, typeof spendCapSchema> = {
  name: 'spend-cap',
  key: 'spendCap',
  schema: spendCapSchema,
  onByDefault: false,
  build: (options, deps) => new SpendCap(options, deps),
};
