/** Carries every event from the code that made it happen to everyone who listens, synchronously and in order. */
import type { AnyListener, EventMap, EventName } from '../core/events.ts';

export type Listener<N extends EventName> = (event: EventMap[N]) => void;

export class Bus {
  readonly #listeners = new Map<EventName, Listener<EventName>[]>();
  readonly #anyListeners: AnyListener[] = [];
  #failures = 0;

  /** Listeners that threw so far; an event reaches the others all the same. */
  get failures(): number {
    return this.#failures;
  }

  on<N extends EventName>(name: N, listener: Listener<N>): void {
    const list = this.#listeners.get(name) ?? [];
    list.push(listener as Listener<EventName>);
    this.#listeners.set(name, list);
  }

  onAny(listener: AnyListener): void {
    this.#anyListeners.push(listener);
  }

  readonly emit = <N extends EventName>(name: N, event: EventMap[N]): void => {
    const list = this.#listeners.get(name);
    if (list) {
      for (const listener of list) {
        try {
          listener(event);
        } catch {
          // Telemetry must never take traffic with it; the count is a metric.
          this.#failures += 1;
        }
      }
    }
    for (const listener of this.#anyListeners) {
      try {
        listener(name, event);
      } catch {
        this.#failures += 1;
      }
    }
  };
}
