import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PermitLine } from '../../src/algorithms/permit-line.ts';
import type { Admission, Permit, PermitLineOptions } from '../../src/algorithms/permit-line.ts';
import { Cancellation } from '../../src/core/cancellation.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';

const OPTIONS: PermitLineOptions = { maxQueue: 20, queueTimeoutMs: 1_000, order: 'strict', msPerRank: 500 };

interface Rig {
  readonly clock: FakeClock;
  readonly line: PermitLine;
  readonly held: Permit[];
  readonly ends: Admission['kind'][];
  readonly waiting: Cancellation[];
}

function rigOf(limit: number, options: Partial<PermitLineOptions> = {}): Rig {
  const clock = new FakeClock();
  const line = new PermitLine(limit, { ...OPTIONS, ...options }, { clock, onFull: () => undefined });
  return { clock, line, held: [], ends: [], waiting: [] };
}

function apply(rig: Rig, flow: string, rank = 0, deadlineAt = Number.POSITIVE_INFINITY): void {
  const permit = rig.line.take(flow);
  if (permit) {
    rig.held.push(permit);
    return;
  }
  const cancellation = new Cancellation();
  rig.waiting.push(cancellation);
  void rig.line.wait({ flow, rank, deadlineAt, cancellation }).then((admission) => {
    rig.waiting.splice(rig.waiting.indexOf(cancellation), 1);
    rig.ends.push(admission.kind);
    if (admission.kind === 'go') rig.held.push(admission.permit);
  });
}

describe('PermitLine', () => {
  it('ignores a permit that was given back already', () => {
    const { line } = rigOf(1);
    const permit = line.take('a') as Permit;
    line.release(permit);
    const other = line.take('a');
    line.release(permit);
    expect(line.active).toBe(1);
    expect(other).toBeDefined();
    expect(line.take('a')).toBeUndefined();
  });

  it('lets go as many as a higher limit has room for, and takes nothing back at a lower one', async () => {
    const rig = rigOf(1);
    for (let i = 0; i < 6; i++) apply(rig, 'a');
    rig.line.limit = 4;
    await settle();
    expect([rig.line.active, rig.line.queued]).toEqual([4, 2]);
    rig.line.limit = 2;
    rig.line.release(rig.held[0] as Permit);
    rig.line.release(rig.held[1] as Permit);
    await settle();
    expect([rig.line.active, rig.line.queued]).toEqual([2, 2]);
    rig.line.release(rig.held[2] as Permit);
    await settle();
    expect([rig.line.active, rig.line.queued]).toEqual([2, 1]);
  });

  it('leaves no timer and no listener behind, whoever leaves, is refused or goes', async () => {
    const anyStep = fc.oneof(
      fc.record({
        do: fc.constant('apply' as const),
        flow: fc.constantFrom('a', 'b', 'c'),
        rank: fc.integer({ min: -1, max: 1 }),
        inMs: fc.option(fc.nat(3_000), { nil: Number.POSITIVE_INFINITY }),
      }),
      fc.record({ do: fc.constant('release' as const), at: fc.nat(20) }),
      fc.record({ do: fc.constant('leave' as const), at: fc.nat(20) }),
      fc.record({ do: fc.constant('limit' as const), to: fc.integer({ min: 1, max: 6 }) }),
      fc.record({ do: fc.constant('pass' as const), ms: fc.nat(700) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 60 }), async (steps) => {
        const rig = rigOf(3, { maxQueue: 5 });
        const { line, clock, held, waiting } = rig;
        for (const step of steps) {
          if (step.do === 'apply') apply(rig, step.flow, step.rank, clock.now() + step.inMs);
          else if (step.do === 'release' && held.length > 0)
            line.release(held.splice(step.at % held.length, 1)[0] as Permit);
          else if (step.do === 'leave' && waiting.length > 0)
            waiting[step.at % waiting.length]?.cancel('client-aborted');
          else if (step.do === 'limit') line.limit = step.to;
          else if (step.do === 'pass') await clock.advance(step.ms);
          await settle();
          expect(line.active).toBe(held.length);
          expect(line.queued).toBe(waiting.length);
          expect(line.queued).toBeLessThanOrEqual(5);
          // Nobody waits while there is room.
          if (line.queued > 0) expect(line.active).toBeGreaterThanOrEqual(line.limit);
          expect(clock.pendingTimers).toBe(line.queued);
        }
        await clock.advance(1_000);
        expect([line.queued, clock.pendingTimers]).toEqual([0, 0]);
      }),
      { numRuns: 150 },
    );
  });

  it('bounds what it keeps by queue and permits, however many flows there are', async () => {
    const rig = rigOf(2, { maxQueue: 100 });
    for (let i = 0; i < 5_000; i++) apply(rig, `flow-${i}`);
    await settle();
    expect([rig.line.active, rig.line.queued, rig.line.refused]).toEqual([2, 100, 4_898]);
  });
});
