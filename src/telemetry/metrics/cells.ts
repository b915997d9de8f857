/**
 * Counters and histograms that cost next to nothing to touch: a number in a map entry, published to prom-client only
 * when somebody scrapes. prom-client itself hashes every label on every touch.
 */
import { Counter, Histogram } from 'prom-client';
import type { MetricObjectWithValues, MetricValueWithName, Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string>>;

/** Series per metric beyond which everything new is counted as `other`; configured names stay far below it. */
const MAX_SERIES = 2_000;

interface Cell {
  readonly labels: Labels;
  value: number;
}

/** One counter with its series. */
export class CounterFamily<Name extends string> {
  readonly #names: readonly Name[];
  readonly #cells = new Map<string, Cell>();

  constructor(registry: Registry, spec: { name: string; help: string; labels: readonly Name[] }) {
    this.#names = spec.labels;
    const cells = this.#cells;
    new Counter({
      name: spec.name,
      help: spec.help,
      labelNames: [...spec.labels],
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, value } of cells.values()) this.inc(labels as Record<Name, string>, value);
      },
    });
  }

  /** @param values in the order of the labels; each from a closed set */
  add(values: readonly string[], amount = 1): void {
    this.#cell(values).value += amount;
  }

  /** Makes the series visible before anything happened, so that rates have a start. */
  create(values: readonly string[]): void {
    this.#cell(values);
  }

  #cell(values: readonly string[]): Cell {
    const key = values.length === 1 ? (values[0] as string) : values.join('\0');
    let cell = this.#cells.get(key);
    if (!cell) {
      const full = this.#cells.size >= MAX_SERIES;
      const labels = Object.fromEntries(
        this.#names.map((name, i) => [name, full ? 'other' : (values[i] ?? '')]),
      );
      cell = { labels, value: 0 };
      if (full) return this.#overflow(cell);
      this.#cells.set(key, cell);
    }
    return cell;
  }

  #overflow(cell: Cell): Cell {
    const known = this.#cells.get('other');
    if (known) return known;
    this.#cells.set('other', cell);
    return cell;
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
  readonly #names: readonly Name[];
  readonly #buckets: readonly number[];
  readonly #cells = new Map<string, HistogramCell>();

  constructor(
    registry: Registry,
    spec: { name: string; help: string; labels: readonly Name[]; buckets: readonly number[] },
  ) {
    this.#names = spec.labels;
    this.#buckets = spec.buckets;
    const { name, help, buckets } = spec;
    const values = (): MetricValueWithName<string>[] =>
      [...this.#cells.values()].flatMap((cell) => publish(name, buckets, cell));
    class Published extends Histogram<string> {
      override async get(): Promise<MetricObjectWithValues<MetricValueWithName<string>>> {
        return { ...(await super.get()), values: values() };
      }
    }
    registry.registerMetric(
      new Published({ name, help, labelNames: [...spec.labels], buckets: [...buckets], registers: [] }),
    );
  }

  observe(labelValues: readonly string[], value: number): void {
    const key = labelValues.length === 1 ? (labelValues[0] as string) : labelValues.join('\0');
    let cell = this.#cells.get(key);
    if (!cell) {
      const labels = Object.fromEntries(this.#names.map((name, i) => [name, labelValues[i] ?? '']));
      cell = { labels, counts: new Float64Array(this.#buckets.length + 1), sum: 0, count: 0 };
      this.#cells.set(key, cell);
    }
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
