/** What a part leaves behind, handed to the one that follows it in another process: through JSON, and after a time without any. */
import type { Clock } from '../../src/core/clock.ts';
import { Instants, isPersistent } from '../../src/core/persistence.ts';
import type { PersistentState, Reading, SavedMoment } from '../../src/core/persistence.ts';
import type { FakeClock } from './fake-clock.ts';

/** A part and the clock it lives by. */
interface Living<C extends Clock> {
  readonly part: unknown;
  readonly clock: C;
}

export interface Left {
  readonly state: unknown;
  readonly taken: SavedMoment;
}

const readingOf = (clock: Clock): Reading => ({ now: clock.now(), wallMs: clock.wallMs() });

/** Undefined where it has nothing to leave. */
export function capture({ part, clock }: Living<Clock>): PersistentState | undefined {
  if (!isPersistent(part)) throw new Error('it does not outlive its process');
  return part.capture(Instants.of(readingOf(clock)));
}

export function leave(of: Living<Clock>): Left {
  const { now, wallMs } = readingOf(of.clock);
  const instant = Instants.of({ now, wallMs }).toSaved(now) ?? 0;
  return { state: JSON.parse(JSON.stringify(capture(of) ?? null)), taken: { instant, wallMs } };
}

/** @param downMs what passed between by the wall clock; below 0: that was put back */
export function take(left: Left, by: Living<FakeClock>, downMs = 0): boolean {
  if (!isPersistent(by.part)) throw new Error('it does not outlive its process');
  by.clock.wallOffsetMs += left.taken.wallMs + downMs - by.clock.wallMs();
  return by.part.restore(left.state, Instants.since(left.taken, readingOf(by.clock)));
}
