/**
 * Counters and histograms that cost next to nothing to touch: a number in a map entry, published to prom-client only
 * when somebody scrapes. prom-client itself hashes every label on every touch.
 */
import { Counter } from 'prom-client';
import type { Histogram, MetricValueWithName, Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string>>;

/** Series per metric beyond which everything new is counted as `other`; configured names stay far below it. */
const MAX_SERIES = 2_000;

/** A series and its way there, one label a step: looking it up makes no strings and no garbage. */
class Series<T> {
  readonly #names: readonly string[];
  readonly #make: (labels: Labels) => T;
  readonly #root: Step<T> = { next: new Map(), cell: undefined };
  readonly cells: T[] = [];

  constructor(names: readonly string[], make: (labels: Labels) => T) {
    this.#names = names;
    this.#make = make;
  }

  /** @param values in the order of the names */
  at(values: readonly string[]): T {
    let step = this.#root;
    for (const value of values) {
      let next = step.next.get(value);
      if (!next) {
        // Not even the way there is remembered: names come and go for as long as the process lives.
        if (this.cells.length >= MAX_SERIES) return this.#overflow();
        next = { next: new Map(), cell: undefined };
        step.next.set(value, next);
      }
      step = next;
    }
    return (step.cell ??= this.#add(
      Object.fromEntries(this.#names.map((name, i) => [name, values[i] ?? ''])),
    ));
  }

  #shared: T | undefined;

  #overflow(): T {
    this.#shared ??= this.#add(Object.fromEntries(this.#names.map((name) => [name, 'other'])));
    return this.#shared;
  }

  #add(labels: Labels): T {
    const cell = this.#make(labels);
    this.cells.push(cell);
    return cell;
  }
}

interface Step<T> {
  readonly next: Map<string, Step<T>>;
  cell: T | undefined;
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
        for (const { labels, value } of series.cells) this.inc(labels as Record<Name, string>, value);
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
        values: series.cells.flatMap((cell) => publish(name, buckets, cell)),
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
