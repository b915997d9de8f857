/** What outlier detection may know of the endpoints of its upstream, and how it takes them out and back. The roster is it. */
import type { EndpointState, Health } from './endpoint.ts';

/**
 * Which calls an ejected endpoint may be given to find out how it is. `none`: its time is not over, or such a call is under
 * way. `repeatable`: one that does no harm when it is made again. `any`: one of those has not come for too long.
 */
export type TrialCalls = 'none' | 'repeatable' | 'any';

/** The way back of an endpoint that is out. */
export interface Trial {
  readonly calls: TrialCalls;
  /** An active check has just found this. */
  checked(health: Health): void;
}

/** An endpoint that can be taken out. */
export interface Ejectable {
  readonly name: string;
  readonly state: EndpointState;
  readonly ejected: boolean;
  /** @param trial its way back; without, it gets no call until somebody says that it is not ejected any more */
  setEjected(ejected: boolean, trial?: Trial): void;
}

/** All endpoints of one upstream. */
export interface Ejections {
  /** How many there are on the list in force. */
  readonly size: number;
  readonly endpoints: readonly Ejectable[];
  /** Undefined: it is not on the list, or not any more; or endpoints are not taken out any more. */
  find(name: string): Ejectable | undefined;
  /** Whether calls would still go to endpoints that are well, were this one taken out. */
  canSpare(name: string): boolean;
}
