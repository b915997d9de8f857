/**
 * Counters and histograms that cost next to nothing to touch: a number in a map entry, published to prom-client only
 * when somebody scrapes. prom-client itself hashes every label on every touch.
 */
import { Counter } from 'prom-client';
import type { Histogram, MetricValueWithName, Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string>>;

/** Series per metric beyond which everything new is counted as `other`; configured names stay far below it. */
const MAX_SERIES = 2_000;

/**
 * Where there is no room, series go that have stood still for so many scrapes: they are those of endpoints that have come
 * and gone. At the usual 15 s that is an hour.
 */
const IDLE_SCRAPES = 240;

interface Entry<T> {
  readonly cell: T;
  readonly values: readonly string[];
  /** Number of the scrape after which it was touched last. */
  touchedAt: number;
}

interface Step<T> {
  readonly next: Map<string, Step<T>>;
  entry: Entry<T> | undefined;
}

/** A series and its way there, one label a step: looking it up makes no strings and no garbage. */
class Series<T> {
  readonly #names: readonly string[];
  readonly #make: (labels: Labels) => T;
  readonly #root: Step<T> = { next: new Map(), entry: undefined };
  #entries: Entry<T>[] = [];
  #shared: T | undefined;
  #scrapes = 0;
  /** The scrape after which there was no room to be made. */
  #fullSince: number | undefined;

  constructor(names: readonly string[], make: (labels: Labels) => T) {
    this.#names = names;
    this.#make = make;
  }

  /** All cells, for a scrape. */
  scrape(): T[] {
    this.#scrapes += 1;
    const cells = this.#entries.map(({ cell }) => cell);
    return this.#shared === undefined ? cells : [...cells, this.#shared];
  }

  /** @param values in the order of the names */
  at(values: readonly string[]): T {
    const entry = this.#find(values) ?? this.#add(values);
    if (!entry) return this.#overflow();
    entry.touchedAt = this.#scrapes;
    return entry.cell;
  }

  #find(values: readonly string[]): Entry<T> | undefined {
    let step: Step<T> | undefined = this.#root;
    for (const value of values) {
      step = step.next.get(value);
      if (!step) return undefined;
    }
    return step.entry;
  }

  #add(values: readonly string[]): Entry<T> | undefined {
    if (this.#entries.length >= MAX_SERIES && !this.#makeRoom()) return undefined;
    const entry = { cell: this.#cellOf((i) => values[i] ?? ''), values: [...values], touchedAt: 0 };
    this.#entries.push(entry);
    this.#put(entry);
    return entry;
  }

  #put(entry: Entry<T>): void {
    let step = this.#root;
    for (const value of entry.values) {
      const next: Step<T> = step.next.get(value) ?? { next: new Map(), entry: undefined };
      step.next.set(value, next);
      step = next;
    }
    step.entry = entry;
  }

  /** Prometheus takes a series that goes and comes back for one that was reset. */
  #makeRoom(): boolean {
    if (this.#fullSince === this.#scrapes) return false;
    const kept = this.#entries.filter(({ touchedAt }) => this.#scrapes - touchedAt < IDLE_SCRAPES);
    const found = kept.length < this.#entries.length;
    this.#fullSince = found ? undefined : this.#scrapes;
    if (!found) return false;
    this.#entries = kept;
    this.#root.next.clear();
    this.#root.entry = undefined;
    for (const entry of kept) this.#put(entry);
    return true;
  }

  #overflow(): T {
    this.#shared ??= this.#cellOf(() => 'other');
    return this.#shared;
  }

  #cellOf(valueOf: (index: number) => string): T {
    return this.#make(Object.fromEntries(this.#names.map((name, i) => [name, valueOf(i)])));
  }
}

interface Cell {
  readonly labels: Labels;
  value: number;
}

interface MetricSpec<Name extends string> {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly Name[];
}

/** One counter with its series. */
export class CounterFamily<Name extends string> {
  readonly #series: Series<Cell>;

  constructor(registry: Registry, spec: MetricSpec<Name>) {
    const series = new Series<Cell>(spec.labels, (labels) => ({ labels, value: 0 }));
    this.#series = series;
    new Counter({
      name: spec.name,
      help: spec.help,
      labelNames: [...spec.labels],
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, value } of series.scrape()) this.inc(labels as Record<Name, string>, value);
      },
    });
  }

  /** @param values in the order of the labels; each from a closed set */
  add(values: readonly string[], amount = 1): void {
    // One absurd amount must not spoil the sum, or the whole scrape, for ever.
    if (Number.isFinite(amount)) this.#series.at(values).value += amount;
  }

  /** Makes the series visible before anything happened, so that rates have a start. */
  create(values: readonly string[]): void {
    this.#series.at(values);
  }
}

interface HistogramCell {
  readonly labels: Labels;
  readonly counts: Float64Array;
  sum: number;
  count: number;
}

/** One histogram with its series. */
export class HistogramFamily<Name extends string> {
  readonly #buckets: readonly number[];
  readonly #series: Series<HistogramCell>;

  constructor(registry: Registry, spec: MetricSpec<Name> & { readonly buckets: readonly number[] }) {
    const { name, help, labels: labelNames, buckets } = spec;
    const counts = (): Float64Array => new Float64Array(buckets.length + 1);
    const series = new Series<HistogramCell>(labelNames, (labels) => ({
      labels,
      counts: counts(),
      sum: 0,
      count: 0,
    }));
    this.#buckets = buckets;
    this.#series = series;
    // No Histogram of theirs: it would be asked for its own cells, which are empty.
    const published = {
      name,
      help,
      type: 'histogram',
      labelNames: [...labelNames],
      get: async () => ({
        ...{ name, help, type: 'histogram', aggregator: 'sum' },
        values: series.scrape().flatMap((cell) => publish(name, buckets, cell)),
      }),
    };
    registry.registerMetric(published as unknown as Histogram<string>);
  }

  observe(labelValues: readonly string[], value: number): void {
    const cell = this.#series.at(labelValues);
    let at = 0;
    while (at < this.#buckets.length && value > (this.#buckets[at] as number)) at += 1;
    cell.counts[at] = (cell.counts[at] as number) + 1;
    cell.sum += value;
    cell.count += 1;
  }
}

function publish(
  name: string,
  buckets: readonly number[],
  cell: HistogramCell,
): MetricValueWithName<string>[] {
  let below = 0;
  const values = buckets.map((bound, i): MetricValueWithName<string> => {
    below += cell.counts[i] as number;
    return { labels: { ...cell.labels, le: bound }, value: below, metricName: `${name}_bucket` };
  });
  values.push({ labels: { ...cell.labels, le: '+Inf' }, value: cell.count, metricName: `${name}_bucket` });
  values.push({ labels: { ...cell.labels }, value: cell.sum, metricName: `${name}_sum` });
  values.push({ labels: { ...cell.labels }, value: cell.count, metricName: `${name}_count` });
  return values;
}
