/** From the section `scaling` to what watches an upstream. */
import type { Clock } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import type { EndpointSet } from '../endpoints/endpoint-set.ts';
import { ScalingWatch, advisorOf } from '../endpoints/scaling-watch.ts';
import type { ScalingOptions } from '../schema/scaling.ts';
import type { Inventory } from './inventory.ts';

export interface ScalingDeps {
  readonly clock: Clock;
  readonly emit: Emit;
  readonly upstream: string;
  readonly inventory: Inventory;
  readonly endpoints: EndpointSet;
  readonly waiting: () => number;
}

/** What was seen so far lives through reloads that leave the section as it is. Undefined where no advice is wanted. */
export function scalingWatchFor(
  options: ScalingOptions | false | undefined,
  deps: ScalingDeps,
): ScalingWatch | undefined {
  if (!options) return undefined;
  const { clock, endpoints, waiting, inventory, upstream } = deps;
  const advisor = inventory.keep(`${upstream}/scaling`, options, () => advisorOf(options, deps));
  return new ScalingWatch({ clock, endpoints, waiting, advisor });
}
