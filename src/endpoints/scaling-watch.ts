/** Looks at an upstream once a second, and lets an advisor draw its conclusions. */
import { ScalingAdvisor } from '../algorithms/scaling-advice.ts';
import type { ScalingRules, ScalingSample } from '../algorithms/scaling-advice.ts';
import type { Attendant } from '../core/attendant.ts';
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { EndpointState } from '../core/endpoint.ts';
import type { Emit } from '../core/events.ts';
import type { ScalingAdvice } from '../core/scaling.ts';
import type { ScalingOptions } from '../schema/scaling.ts';
import type { EndpointSet } from './endpoint-set.ts';
import type { ReachableEndpoint } from './reachable.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** There should be more endpoints, or fewer; or what there is will do again. */
    'scaling-advised': {
      readonly upstream: string;
      readonly advice: ScalingAdvice;
      readonly from: ScalingAdvice;
      readonly instances: number;
      readonly desired: number;
      /** Calls under way and waiting, for each instance, on average over the window. */
      readonly perInstance: number;
    };
  }
}

const EVERY_MS = 1_000;

export interface ScalingWatchDeps {
  readonly clock: Clock;
  readonly endpoints: EndpointSet;
  /** Calls that wait for a place. */
  readonly waiting: () => number;
  /** It lives through reloads. */
  readonly advisor: ScalingAdvisor;
}

export interface ScalingView {
  readonly advice: ScalingAdvice;
  readonly instances: number;
  readonly desiredInstances: number;
  /** Calls under way and waiting, on average over the window. */
  readonly demand: number;
  readonly demandPerInstance: number;
}

export class ScalingWatch implements Attendant {
  readonly #deps: ScalingWatchDeps;
  #timer: TimerHandle | undefined;

  constructor(deps: ScalingWatchDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.stop();
    this.#look();
  }

  stop(): void {
    if (this.#timer) this.#deps.clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  get view(): ScalingView {
    const { advice, instances, desired, demand, perInstance } = this.#deps.advisor;
    return {
      advice,
      instances,
      desiredInstances: desired,
      demand: rounded(demand),
      demandPerInstance: rounded(perInstance),
    };
  }

  #look(): void {
    const { clock, endpoints, waiting, advisor } = this.#deps;
    advisor.observe(sampleOf(endpoints.members, waiting()), clock.now());
    this.#timer = clock.setBackgroundTimer(EVERY_MS, () => this.#look());
  }
}

/** An advisor for the options as they stand in the configuration. */
export function advisorOf(
  options: ScalingOptions,
  { emit, upstream }: { readonly emit: Emit; readonly upstream: string },
): ScalingAdvisor {
  const advisor = new ScalingAdvisor(rulesOf(options), (advice, from) => {
    const { instances, desired, perInstance } = advisor;
    emit('scaling-advised', {
      upstream,
      advice,
      from,
      instances,
      desired,
      perInstance: rounded(perInstance),
    });
  });
  return advisor;
}

function rulesOf(options: ScalingOptions): ScalingRules {
  const { out, target, window, outAfter, inAfter, cooldown, min, max } = options;
  return {
    ...{ out, in: options.in, target: target ?? (options.in + out) / 2, min, max },
    ...{ windowMs: window, outAfterMs: outAfter, inAfterMs: inAfter, cooldownMs: cooldown },
  };
}

/** Those that are given calls now, or are about to be. */
const SERVING: ReadonlySet<EndpointState> = new Set<EndpointState>(['available', 'degraded', 'starting']);

/**
 * Instances are the endpoints that calls are meant for: of the first priority, with a weight, and not taken out. Calls are
 * those of all endpoints: while the first ones are away, others have their work.
 */
export function sampleOf(members: readonly ReachableEndpoint[], waiting: number): ScalingSample {
  const there = members.filter(({ member }) => member.state !== 'draining' && member.state !== 'disabled');
  const weighty = there.filter(({ endpoint }) => endpoint.weight > 0);
  const meant = weighty.length > 0 ? weighty : there;
  const first = meant.reduce((least, { endpoint }) => Math.min(least, endpoint.priority), Infinity);
  const instances = meant.filter(({ endpoint }) => endpoint.priority === first);
  const active = members.reduce((sum, { member }) => sum + member.active, 0);
  return {
    demand: active + waiting,
    instances: instances.length,
    serving: instances.filter(({ member }) => SERVING.has(member.state)).length,
  };
}

const rounded = (value: number): number => Math.round(value * 100) / 100;
