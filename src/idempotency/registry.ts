/** The runs of one policy, and what all of them may take. It lives on when a reload brings another policy. */
import { ByteBudget } from '../algorithms/byte-budget.ts';
import type { IdempotencyBounds, IdempotencyStore } from '../core/idempotency-store.ts';
import type { KeyedRun } from './keyed-run.ts';

export interface RegistryBounds extends IdempotencyBounds {
  /** Duplicates that wait, or read along. */
  readonly maxWaiting: number;
  /** Runs that go on with nobody waiting. */
  readonly maxUnattended: number;
}

export class Registry {
  store: IdempotencyStore;
  /** Room for requests and answers under way. */
  readonly recordings: ByteBudget;
  #bounds: RegistryBounds;
  readonly #runs = new Map<string, KeyedRun>();
  #waiting = 0;
  #unattended = 0;

  constructor(store: IdempotencyStore, bounds: RegistryBounds) {
    this.store = store;
    this.#bounds = bounds;
    this.recordings = new ByteBudget(bounds.maxBytes);
  }

  reconfigure(store: IdempotencyStore, bounds: RegistryBounds): void {
    this.store = store;
    this.#bounds = bounds;
    this.recordings.limitBytes = bounds.maxBytes;
  }

  get counts(): { readonly runs: number; readonly waiting: number; readonly unattended: number } {
    return { runs: this.#runs.size, waiting: this.#waiting, unattended: this.#unattended };
  }

  runOf(key: string): KeyedRun | undefined {
    return this.#runs.get(key);
  }

  add(run: KeyedRun): void {
    this.#runs.set(run.key, run);
  }

  remove(run: KeyedRun): void {
    if (this.#runs.get(run.key) === run) this.#runs.delete(run.key);
  }

  /** Takes a place for a duplicate; false: all are taken. */
  enter(): boolean {
    if (this.#waiting >= this.#bounds.maxWaiting) return false;
    this.#waiting += 1;
    return true;
  }

  leave(): void {
    this.#waiting -= 1;
  }

  /** Takes a place for a run that nobody waits for; false: all are taken. */
  goOn(): boolean {
    if (this.#unattended >= this.#bounds.maxUnattended) return false;
    this.#unattended += 1;
    return true;
  }

  wanted(): void {
    this.#unattended -= 1;
  }
}
