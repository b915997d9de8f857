/**
 * What the operator says of an upstream's models: which names may become labels, and what their tokens cost. Names that
 * nobody configured share one label, so that neither clients nor providers can make metrics grow.
 */
import type { Usage } from './dialect.ts';

/** What a million tokens cost, in the configuration's currency; each ≥ 0. */
export interface Price {
  readonly input: number;
  /** Of prompt tokens that the provider had in its cache. Default: as `input`. */
  readonly cachedInput?: number | undefined;
  /** Of everything generated, reasoning included. */
  readonly output: number;
}

export interface ModelTerms {
  /** For metrics: the configured name that fits, or `other`. */
  readonly label: string;
  /** Undefined where the operator gave none. */
  readonly price: Price | undefined;
}

export interface ModelSettings {
  /** Names, in which `*` stands for any characters. */
  readonly models: readonly string[];
  /** By names of the same kind; these count as configured names, too. */
  readonly prices: Readonly<Record<string, Price>>;
  /** Label of all costs, such as `USD`. */
  readonly currency: string;
}

export const OTHER_MODEL: ModelTerms = { label: 'other', price: undefined };

const PER_MILLION = 1e-6;

/** What these tokens cost, in the price's currency. */
export function costOf({ input, cached, output }: Usage, price: Price): number {
  const fromCache = Math.min(cached, input);
  const fresh = (input - fromCache) * price.input;
  return PER_MILLION * (fresh + fromCache * (price.cachedInput ?? price.input) + output * price.output);
}

/** Names that were looked up are remembered up to here; a provider may invent new ones for ever. */
const MAX_REMEMBERED = 256;
const MAX_NAME_LENGTH = 256;

export class ModelCatalog {
  readonly currency: string;
  readonly #labels: NamePatterns;
  readonly #priced: NamePatterns;
  readonly #prices: ModelSettings['prices'];
  readonly #remembered = new Map<string, ModelTerms>();

  constructor({ models, prices, currency }: ModelSettings) {
    this.currency = currency;
    this.#prices = prices;
    this.#priced = new NamePatterns(Object.keys(prices));
    this.#labels = new NamePatterns([...models, ...Object.keys(prices)]);
  }

  /** Exact names win over patterns, longer patterns over shorter ones. Undefined: nobody said which model. */
  termsOf(model: string | undefined): ModelTerms {
    if (model === undefined || model.length > MAX_NAME_LENGTH) return OTHER_MODEL;
    let terms = this.#remembered.get(model);
    if (!terms) {
      terms = this.#find(model);
      if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
      this.#remembered.set(model, terms);
    }
    return terms;
  }

  #find(model: string): ModelTerms {
    const label = this.#labels.match(model);
    if (label === undefined) return OTHER_MODEL;
    const priced = this.#priced.match(model);
    return { label, price: priced === undefined ? undefined : this.#prices[priced] };
  }
}

/** Names with `*`, most telling first. */
class NamePatterns {
  readonly #exact: ReadonlySet<string>;
  readonly #patterns: readonly { readonly name: string; readonly parts: readonly string[] }[];

  constructor(names: readonly string[]) {
    this.#exact = new Set(names.filter((name) => !name.includes('*')));
    this.#patterns = names
      .filter((name) => name.includes('*'))
      .map((name) => ({ name, parts: name.split('*') }))
      .sort((a, b) => b.name.length - a.name.length);
  }

  match(model: string): string | undefined {
    if (this.#exact.has(model)) return model;
    return this.#patterns.find(({ parts }) => fits(model, parts))?.name;
  }
}

/** @param parts what stands between the stars; at least two */
function fits(model: string, parts: readonly string[]): boolean {
  const first = parts[0] ?? '';
  const last = parts.at(-1) ?? '';
  if (!model.startsWith(first) || !model.endsWith(last)) return false;
  let from = first.length;
  const until = model.length - last.length;
  for (const part of parts.slice(1, -1)) {
    const at = model.indexOf(part, from);
    if (at < 0) return false;
    from = at + part.length;
  }
  return from <= until;
}
