/**
 * Whether a service needs more instances, or fewer, from what its instances have to do. Slow on purpose: advice is given
 * for what lasts, in a band between two thresholds none is given at all, and after each change there is a pause. Told again
 * and again how things are; asks no clock.
 */
import type { ScalingAdvice } from '../core/scaling.ts';
import { RollingCounts } from './rolling-counts.ts';

export interface ScalingRules {
  /** Calls an instance, on average, above which there should be more instances. */
  readonly out: number;
  /** Below which there should be fewer; less than `target`. */
  readonly in: number;
  /** Calls that an instance is meant to have: what the number of instances is reckoned from. Between `in` and `out`. */
  readonly target: number;
  /** Milliseconds over which calls are averaged, > 0. */
  readonly windowMs: number;
  /** How long it must have been too much, or too little, in milliseconds. */
  readonly outAfterMs: number;
  readonly inAfterMs: number;
  /** After a change of the number of instances no advice is given for so long: what came must find its work first. */
  readonly cooldownMs: number;
  /** Fewest and most instances. */
  readonly min: number;
  readonly max: number;
}

/** How things are at one moment. */
export interface ScalingSample {
  /** Calls under way and calls that wait to be. */
  readonly demand: number;
  /** Instances that there are. */
  readonly instances: number;
  /** Those of them that are given calls. */
  readonly serving: number;
}

const [DEMAND, SAMPLES] = [0, 1];

const NOTHING: ScalingSample = { demand: 0, instances: 0, serving: 0 };

export class ScalingAdvisor {
  readonly #rules: ScalingRules;
  readonly #onChange: (to: ScalingAdvice, from: ScalingAdvice) => void;
  readonly #counts: RollingCounts;
  #last: ScalingSample = NOTHING;
  #meanDemand = 0;
  #advice: ScalingAdvice = 'hold';
  /** What it looks like just now, and since when. */
  #pressure: ScalingAdvice = 'hold';
  #pressedSince = 0;
  #changedAt = Number.NEGATIVE_INFINITY;

  /** @param onChange told of every change of the advice, when all figures are those it was made from */
  constructor(
    rules: ScalingRules,
    onChange: (to: ScalingAdvice, from: ScalingAdvice) => void = () => undefined,
  ) {
    this.#rules = rules;
    this.#onChange = onChange;
    this.#counts = new RollingCounts(rules.windowMs, 2);
  }

  get advice(): ScalingAdvice {
    return this.#advice;
  }

  /** The number of instances that are there as of now. */
  get instances(): number {
    return this.#last.instances;
  }

  /** Calls under way and waiting, on average over the window. */
  get demand(): number {
    return this.#meanDemand;
  }

  /** The same for each instance that serves; of all there are where none does. */
  get perInstance(): number {
    const { serving, instances } = this.#last;
    return this.#meanDemand / Math.max(1, serving > 0 ? serving : instances);
  }

  /** How many instances there should be: as many as there are while the advice is to hold. */
  get desired(): number {
    const { instances } = this.#last;
    const { min, max } = this.#rules;
    if (this.#advice === 'out') return Math.min(max, Math.max(min, instances + 1, this.#reckoned));
    if (this.#advice === 'in') return Math.min(max, Math.max(min, Math.min(instances - 1, this.#reckoned)));
    return instances;
  }

  /** @param now monotonic; to be called at short and even intervals */
  observe(sample: ScalingSample, now: number): void {
    const isOther = sample.instances !== this.#last.instances && this.#last !== NOTHING;
    this.#last = sample;
    this.#counts.add(DEMAND, now, sample.demand);
    this.#counts.add(SAMPLES, now);
    const totals = this.#counts.totals(now);
    this.#meanDemand = (totals[DEMAND] ?? 0) / (totals[SAMPLES] ?? 1);
    if (isOther) {
      this.#changedAt = now;
      this.#advise('hold');
    }
    this.#press(now);
  }

  /** As many as would have what they are meant to have. */
  get #reckoned(): number {
    return Math.ceil(this.#meanDemand / this.#rules.target);
  }

  #press(now: number): void {
    const pressure = this.#pressureNow();
    if (pressure !== this.#pressure) [this.#pressure, this.#pressedSince] = [pressure, now];
    const { outAfterMs, inAfterMs, cooldownMs } = this.#rules;
    const lasts = now - this.#pressedSince >= (pressure === 'out' ? outAfterMs : inAfterMs);
    const isSettled = now - this.#changedAt >= cooldownMs;
    if (pressure !== 'hold' && lasts && isSettled) this.#advise(pressure);
    else if (this.#advice !== pressure) this.#advise('hold');
  }

  #advise(to: ScalingAdvice): void {
    const from = this.#advice;
    if (from === to) return;
    this.#advice = to;
    this.#onChange(to, from);
  }

  #pressureNow(): ScalingAdvice {
    const { out, target, min, max } = this.#rules;
    const { instances } = this.#last;
    if (instances < min) return 'out';
    if (instances > max) return 'in';
    // Advice that stands is taken back when things are as they are meant to be, and not when they are just bearable.
    const tooMuch = this.#advice === 'out' ? target : out;
    const nobody = instances === 0 && this.#meanDemand > 0;
    if ((nobody || this.perInstance > tooMuch) && instances < max) return 'out';
    return this.#canSpare() ? 'in' : 'hold';
  }

  /** In an outage there is little to do, too: nobody is sent away while anybody is missing. */
  #canSpare(): boolean {
    const { instances, serving } = this.#last;
    if (serving < instances || instances <= this.#rules.min) return false;
    return this.perInstance < this.#rules.in && this.#reckoned < instances;
  }
}
