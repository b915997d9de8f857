import { ConsecutiveBreaker } from 'cockatiel';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Circuit } from '../../src/algorithms/circuit.ts';
import type { CircuitOptions, Permit, Refusal } from '../../src/algorithms/circuit.ts';
import { openTimes } from '../../src/algorithms/open-times.ts';

const OPEN_MS = 100;
const MAX_OPEN_MS = 300;
const PROBE_MS = 50;

function rig(options: Partial<CircuitOptions> = {}) {
  const time = { now: 0 };
  const changes: string[] = [];
  const rules = [new ConsecutiveBreaker(3)];
  const all: CircuitOptions = {
    rules,
    openFor: openTimes({ stepMs: OPEN_MS, maxMs: MAX_OPEN_MS }, { next: () => 0 }),
    probes: 1,
    probeTimeoutMs: PROBE_MS,
    isDegraded: () => false,
    now: () => time.now,
    onChange: (from, to) => changes.push(`${from} -> ${to}`),
    ...options,
  };
  return { time, changes, circuit: new Circuit(all), options: all };
}

const isPermit = (admitted: Permit | Refusal): admitted is Permit => 'settled' in admitted;

function permitOf(circuit: Circuit): Permit {
  const admitted = circuit.admit();
  if (!isPermit(admitted)) throw new Error('refused');
  return admitted;
}

function trip(circuit: Circuit): void {
  for (let i = 0; i < 3; i++) circuit.settle(permitOf(circuit), 'failure', false);
}

type Op =
  | { readonly kind: 'admit' }
  | { readonly kind: 'settle'; readonly which: number; readonly result: 'success' | 'failure' | 'neutral' }
  | { readonly kind: 'head'; readonly which: number }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'override'; readonly to: 'auto' | 'open' | 'closed' };

const anyOp: fc.Arbitrary<Op> = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Op>({ kind: 'admit' }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      which: fc.nat(20),
      result: fc.constantFrom('success' as const, 'failure' as const, 'neutral' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('head' as const), which: fc.nat(20) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(150) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('override' as const),
      to: fc.constantFrom('auto' as const, 'open' as const, 'closed' as const),
    }),
  },
);

describe('Circuit', () => {
  it('holds its promises whatever happens in whatever order', () => {
    fc.assert(
      fc.property(fc.array(anyOp, { maxLength: 120 }), fc.integer({ min: 1, max: 4 }), (ops, probes) => {
        const { circuit, time, changes } = rig({ probes });
        const permits: Permit[] = [];
        let openedAt = 0;
        for (const op of ops) {
          const before = circuit.state;
          if (op.kind === 'wait') time.now += op.ms;
          else if (op.kind === 'override') circuit.setOverride(op.to);
          else if (op.kind === 'head') {
            const permit = permits[op.which % (permits.length || 1)];
            if (permit) permit.promising = true;
          } else if (op.kind === 'settle') {
            const permit = permits[op.which % (permits.length || 1)];
            if (permit) circuit.settle(permit, op.result, false);
          } else {
            const admitted = circuit.admit();
            if (isPermit(admitted)) permits.push(admitted);
            else expect(admitted.retryAfterMs).toBeGreaterThan(0);
            if (isPermit(admitted) && circuit.override === 'auto') {
              expect(circuit.state).not.toBe('open');
              if (before === 'open') expect(time.now - openedAt).toBeGreaterThanOrEqual(OPEN_MS);
            }
            if (circuit.override === 'open') expect(isPermit(admitted)).toBe(false);
            if (circuit.override === 'closed') expect(isPermit(admitted)).toBe(true);
          }
          if (before !== 'open' && circuit.state === 'open') openedAt = time.now;
          const out = permits.filter(
            (one) => one.probe && !one.settled && one.epoch === permits.at(-1)?.epoch,
          );
          if (circuit.state === 'half-open') expect(out.length).toBeLessThanOrEqual(probes);
          expect(circuit.openForMs).toBeLessThanOrEqual(MAX_OPEN_MS);
        }
        // Every change starts where the one before ended, and ends where the circuit is.
        let last = 'closed';
        for (const change of changes) {
          const [from, to] = change.split(' -> ');
          expect(from).toBe(last);
          expect(to).not.toBe(from);
          last = to ?? '';
        }
        expect(circuit.state).toBe(last);
        // However it got there, it finds its way back by itself.
        circuit.setOverride('auto');
        for (let i = 0; i < 20 && circuit.state !== 'closed'; i++) {
          time.now += MAX_OPEN_MS + PROBE_MS;
          const admitted = circuit.admit();
          if (isPermit(admitted)) circuit.settle(admitted, 'success', false);
        }
        expect(circuit.state).toBe('closed');
      }),
      { numRuns: 300 },
    );
  });

  it('takes a permit back once only', () => {
    const { circuit } = rig();
    const permit = permitOf(circuit);
    for (let i = 0; i < 10; i++) circuit.settle(permit, 'failure', false);
    expect(circuit.state).toBe('closed');
  });

  it('refuses to the very millisecond, and lets a probe go at the next', () => {
    const { circuit, time } = rig();
    trip(circuit);
    time.now = OPEN_MS - 1;
    expect(circuit.admit()).toEqual({ retryAfterMs: 1 });
    expect(circuit.openForMs).toBe(1);
    time.now = OPEN_MS;
    expect(permitOf(circuit).probe).toBe(true);
  });

  it('never shortens an opening by a later failure of an earlier call', () => {
    const { circuit, time } = rig();
    const late = permitOf(circuit);
    trip(circuit);
    time.now = 90;
    circuit.settle(late, 'failure', false);
    expect(circuit.openForMs).toBe(10);
    expect(circuit.openings).toBe(1);
  });

  it('moves between closed and degraded without losing calls under way', () => {
    const watched = { degraded: true };
    const { circuit, changes } = rig({ isDegraded: () => watched.degraded });
    const permit = permitOf(circuit);
    circuit.settle(permitOf(circuit), 'success', false);
    expect(circuit.state).toBe('degraded');
    circuit.settle(permit, 'failure', false);
    circuit.settle(permitOf(circuit), 'failure', false);
    watched.degraded = false;
    circuit.settle(permitOf(circuit), 'neutral', false);
    expect(circuit.state).toBe('closed');
    circuit.settle(permitOf(circuit), 'failure', false);
    expect(changes).toEqual(['closed -> degraded', 'degraded -> closed', 'closed -> open']);
  });

  it('takes a slow success of a probe for a failure, and a slow call without a result for none', () => {
    const { circuit, time } = rig();
    trip(circuit);
    time.now = OPEN_MS;
    circuit.settle(permitOf(circuit), 'neutral', true);
    expect(circuit.state).toBe('half-open');
    circuit.settle(permitOf(circuit), 'success', true);
    expect(circuit.state).toBe('open');
  });

  it('gives up all probes that are too old at once', () => {
    const { circuit, time } = rig({ probes: 2 });
    trip(circuit);
    time.now = OPEN_MS;
    const [first, second] = [permitOf(circuit), permitOf(circuit)];
    first.promising = true;
    second.promising = true;
    time.now += PROBE_MS;
    expect(permitOf(circuit).probe).toBe(false);
    expect(circuit.state).toBe('closed');
  });

  describe('half-open, when answers prove nothing', () => {
    /** A trial that brought a head, such as 404, from which nothing follows. */
    const shrug = (circuit: Circuit): void => {
      const probe = permitOf(circuit);
      expect(probe.probe).toBe(true);
      probe.answered = true;
      circuit.settle(probe, 'neutral', false);
    };

    it('closes after the time for a probe: somebody answers, and nothing fails', () => {
      const { circuit, time, changes } = rig();
      trip(circuit);
      time.now = OPEN_MS;
      shrug(circuit);
      time.now += PROBE_MS - 1;
      shrug(circuit);
      expect(circuit.state).toBe('half-open');
      time.now += 1;
      expect(permitOf(circuit).probe).toBe(false);
      expect(changes).toEqual(['closed -> open', 'open -> half-open', 'half-open -> closed']);
    });

    it('goes on probing for as long as nobody answers at all', () => {
      const { circuit, time } = rig();
      trip(circuit);
      time.now = OPEN_MS;
      for (let i = 0; i < 10; i++) {
        const probe = permitOf(circuit);
        expect(probe.probe).toBe(true);
        circuit.settle(probe, 'neutral', false);
        time.now += PROBE_MS;
      }
      expect(circuit.state).toBe('half-open');
    });

    it('counts each round by itself: neither time nor answers of the one before shorten the next', () => {
      const { circuit, time } = rig();
      trip(circuit);
      time.now = OPEN_MS;
      shrug(circuit);
      circuit.settle(permitOf(circuit), 'failure', false);
      time.now += 2 * OPEN_MS;
      const silent = permitOf(circuit);
      circuit.settle(silent, 'neutral', false);
      time.now += PROBE_MS;
      shrug(circuit);
      expect(circuit.state).toBe('half-open');
      expect(permitOf(circuit).probe).toBe(false);
    });
  });

  it('is not degraded any more once the signs have aged out, although no call has said so', () => {
    const watched = { degraded: true };
    const { circuit, changes } = rig({ isDegraded: () => watched.degraded });
    circuit.settle(permitOf(circuit), 'success', false);
    expect(circuit.state).toBe('degraded');
    watched.degraded = false;
    expect(circuit.state).toBe('closed');
    circuit.settle(permitOf(circuit), 'success', false);
    expect(changes).toEqual(['closed -> degraded', 'degraded -> closed']);
  });

  it('keeps its state when it is reconfigured, and uses the new numbers from then on', () => {
    const { circuit, time, options } = rig();
    trip(circuit);
    circuit.reconfigure({
      ...options,
      openFor: openTimes({ stepMs: 7, maxMs: 100 }, { next: () => 0 }),
    });
    expect(circuit.openForMs).toBe(OPEN_MS);
    time.now = OPEN_MS;
    circuit.settle(permitOf(circuit), 'failure', false);
    expect(circuit.openForMs).toBe(14);
  });
});
