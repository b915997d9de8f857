/** Where registries of several sidecars share their instances. */
import type { Registration } from './registry.ts';

/** What one registry tells the others. `put`: registered or changed. `beat`: still alive. `keep`: there, unless others know better. */
export type SharedTold =
  | { readonly what: 'put' | 'beat' | 'keep'; readonly said: Registration; readonly leaseMs: number }
  | { readonly what: 'delete'; readonly service: string; readonly id: string };

/** What is known of one instance. */
export type SharedNews =
  | {
      readonly what: 'alive' | 'expired';
      readonly said: Registration;
      /** It was this call that let its lease run out. */
      readonly byUs: boolean;
    }
  | {
      readonly what: 'left';
      readonly service: string;
      readonly id: string;
      readonly reason: 'deregistered' | 'expired';
    };

export interface SharedAnswer {
  /** Of the memory that answered: another one has forgotten all that was told before. */
  readonly epoch: string;
  /** It had nothing in it before this call. */
  readonly created: boolean;
  /** To ask for what comes after it. */
  readonly revision: number;
  /** `news` begins with all there is: what is not in it is not there. */
  readonly whole: boolean;
  /** There is more: ask at once. */
  readonly more: boolean;
  readonly news: readonly SharedNews[];
  /** `service/id` of those whose heartbeat found nothing: they must be put. */
  readonly missing: readonly string[];
}

export interface SharedAsked {
  readonly told: readonly SharedTold[];
  /** Of the last answer; empty and 0 before the first. */
  readonly epoch: string;
  readonly revision: number;
  /** The last answer had more. */
  readonly continued: boolean;
  /** How long the others can learn that an instance left, in milliseconds. */
  readonly retentionMs: number;
  /** Instances that are kept at most. */
  readonly maxInstances: number;
}

export interface SharedInstances {
  /** Tells and hears in one step. @returns undefined where nobody answered in time; perhaps it was heard all the same */
  exchange(asked: SharedAsked): Promise<SharedAnswer | undefined>;
}
