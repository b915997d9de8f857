import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AgentState } from '../../src/algorithms/agent-state.ts';
import type { CheckResult } from '../../src/algorithms/agent-state.ts';

const RULES = { rise: 2, fall: 3 };
const GRACE_MS = 30_000;

/** A state that has seen `results`, one a second, without a time to start. */
function after(results: readonly CheckResult[], state = new AgentState(RULES, 0)): AgentState {
  results.forEach((result, index) => state.observe(result, (index + 1) * 1_000));
  return state;
}

const up = (): AgentState => after(['passed']);

describe('an agent that starts', () => {
  it('is starting until its first check, and up with the first good one', () => {
    const state = new AgentState(RULES, GRACE_MS);
    expect(state.status).toBe('starting');
    expect(after(['passed'], state).status).toBe('up');
  });

  it('may fail as often as it likes in its time to start', () => {
    const state = after(Array<CheckResult>(20).fill('failed'), new AgentState(RULES, GRACE_MS));
    expect([state.status, state.failures]).toEqual(['starting', 0]);
  });

  it('is down after as many failed checks as anybody when that time is over', () => {
    const state = new AgentState(RULES, GRACE_MS);
    state.observe('failed', GRACE_MS - 1);
    state.observe('failed', GRACE_MS);
    state.observe('failed', GRACE_MS + 1);
    expect(state.status).toBe('starting');
    state.observe('failed', GRACE_MS + 2);
    expect(state.status).toBe('down');
  });

  it('has no time to start left once a check was good', () => {
    const state = new AgentState(RULES, GRACE_MS);
    after(['passed', 'failed', 'failed', 'failed'], state);
    expect(state.status).toBe('down');
  });
});

describe('an agent that was up', () => {
  it('is degraded by the first failed check, and down by as many in a row as `fall`', () => {
    const state = up();
    const seen = (['failed', 'failed', 'failed'] as const).map((result) => after([result], state).status);
    expect(seen).toEqual(['degraded', 'degraded', 'down']);
  });

  it('comes back after `rise` good checks in a row, from degraded as from down', () => {
    const degraded = after(['failed', 'passed'], up());
    expect(degraded.status).toBe('degraded');
    expect(after(['passed'], degraded).status).toBe('up');
    const down = after(['failed', 'failed', 'failed', 'passed'], up());
    expect(down.status).toBe('down');
    expect(after(['passed'], down).status).toBe('up');
  });

  it('that says itself that it is not well is degraded at once, whatever it was', () => {
    expect(after(['degraded'], up()).status).toBe('degraded');
    expect(after(['failed', 'failed', 'failed', 'degraded', 'degraded'], up()).status).toBe('degraded');
  });

  it('forgets failed checks with a good one while it is not down', () => {
    expect(after(['failed', 'failed', 'passed', 'failed', 'failed'], up()).status).toBe('degraded');
  });

  it('that flaps without coming back goes on counting', () => {
    const state = after(['failed', 'failed', 'failed', 'passed', 'failed'], up());
    expect([state.status, state.failures]).toEqual(['down', 4]);
  });
});

it('an agent that was started anew has time again, but its failures are remembered until it is well', () => {
  const state = after(['failed', 'failed', 'failed'], up());
  state.restarted(GRACE_MS);
  state.observe('failed', GRACE_MS - 1);
  expect([state.status, state.failures]).toEqual(['starting', 3]);
  state.observe('failed', GRACE_MS);
  expect([state.status, state.failures]).toEqual(['down', 4]);
  after(['passed', 'passed'], state);
  expect([state.status, state.failures]).toEqual(['up', 0]);
});

it('an agent that stops is stopping for good', () => {
  const state = up();
  state.stop();
  state.restarted(GRACE_MS);
  expect(after(['passed', 'failed'], state).status).toBe('stopping');
});

it('goes on where another left off', () => {
  const before = after(['failed', 'failed'], up());
  const state = new AgentState({ rise: 1, fall: 3 }, GRACE_MS, before);
  expect(after(['failed'], state).status).toBe('down');
});

it('is down exactly when the last `fall` checks failed since it was well, whatever came before', () => {
  const results = fc.array(fc.constantFrom<CheckResult>('passed', 'degraded', 'failed'), { maxLength: 40 });
  fc.assert(
    fc.property(
      results,
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 5 }),
      (seen, rise, fall) => {
        const state = after(seen, new AgentState({ rise, fall }, 0));
        const tail = (ending: (result: CheckResult) => boolean): number => {
          const from = seen.findLastIndex((result) => !ending(result));
          return seen.length - 1 - from;
        };
        if (tail((result) => result === 'failed') >= fall) expect(state.status).toBe('down');
        if (tail((result) => result === 'passed') >= rise) expect(state.status).toBe('up');
        if (state.status === 'up') expect(state.failures).toBe(0);
        if (state.status === 'down') expect(state.failures).toBeGreaterThanOrEqual(fall);
      },
    ),
  );
});
