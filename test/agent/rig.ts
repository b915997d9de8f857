/** What tests of the agent's parts have in common: a fake clock, a seed, events in order, an agent that is nobody. */
import type { AgentIdentity } from '../../src/core/agent.ts';
import type { EventMap, EventName } from '../../src/core/events.ts';
import { seededRandom } from '../../src/core/random.ts';
import { FakeClock } from '../support/fake-clock.ts';

export const AGENT: AgentIdentity = {
  service: 'planner',
  id: 'planner-1',
  address: 'http://10.0.0.7:8000',
  weight: 2,
  priority: 0,
  zone: 'a',
  metadata: { capabilities: 'plan,search' },
};

export class Rig {
  readonly clock = new FakeClock();
  readonly random = seededRandom(1);
  readonly events: { readonly name: EventName; readonly event: unknown }[] = [];
  readonly emit = <N extends EventName>(name: N, event: EventMap[N]): void => {
    this.events.push({ name, event });
  };

  named<N extends EventName>(name: N): EventMap[N][] {
    return this.events.filter((one) => one.name === name).map(({ event }) => event as EventMap[N]);
  }
}
