import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Ejection, longestEjectionMs } from '../../src/algorithms/ejection.ts';
import type { EjectionOptions } from '../../src/algorithms/ejection.ts';

const OPTIONS: EjectionOptions = {
  stepMs: 10_000,
  maxMs: 60_000,
  probes: 1,
  probeTimeoutMs: 5_000,
  forgetMs: 100_000,
};

const ejection = (options: Partial<EjectionOptions> = {}): Ejection =>
  new Ejection({ ...OPTIONS, ...options });

/** One that is out since 0, whose time is over. */
function due(options: Partial<EjectionOptions> = {}): Ejection {
  const one = ejection(options);
  one.eject(0, 0);
  return one;
}

const DUE_AT = 10_000;

describe('Ejection', () => {
  it('lasts longer each time in a row, up to the longest', () => {
    const one = ejection();
    const lasted: number[] = [];
    for (let now = 0; lasted.length < 8; now += one.remainingMs(now)) {
      one.eject(now, 0);
      lasted.push(one.remainingMs(now));
    }
    expect(lasted).toEqual([1, 2, 3, 4, 5, 6, 6, 6].map((n) => n * 10_000));
  });

  it('is spread by up to a tenth', () => {
    const one = ejection();
    one.eject(0, 0.999);
    expect(one.remainingMs(0)).toBeCloseTo(10_999, -1);
    expect(longestEjectionMs(60_000)).toBe(66_000);
  });

  it('an older end that is later stays', () => {
    const one = ejection();
    one.restore({ out: true, count: 1, until: 50_000, backAt: 0 });
    one.eject(0, 0);
    expect(one.remainingMs(0)).toBe(50_000);
  });

  it('is forgotten one by one while all goes well', () => {
    const one = ejection();
    for (let n = 0; n < 3; n++) one.eject(0, 0);
    one.return(1_000);
    expect([1_000, 100_999, 101_000, 201_000, 999_000].map((now) => one.count(now))).toEqual([3, 3, 2, 1, 0]);
    one.eject(201_000, 0);
    expect(one.count(201_000)).toBe(2);
  });

  it('gives one call at a time when the time is over, and first such as may be made again', () => {
    const one = due();
    expect(one.calls(DUE_AT - 1)).toBe('none');
    expect(one.calls(DUE_AT)).toBe('repeatable');
    expect(one.begin(DUE_AT).probe).toBe(true);
    expect(one.calls(DUE_AT)).toBe('none');
    expect(one.begin(DUE_AT).probe).toBe(false);
  });

  it('takes any call once it has waited for as long as it was out at first', () => {
    const one = due();
    expect(one.calls(DUE_AT + 9_999)).toBe('repeatable');
    expect(one.calls(DUE_AT + 10_000)).toBe('any');
  });

  it('returns after so many successes', () => {
    const one = due({ probes: 2 });
    expect(one.settle(one.begin(DUE_AT), 'success', DUE_AT)).toBe('none');
    expect(one.settle(one.begin(DUE_AT), 'success', DUE_AT)).toBe('returns');
  });

  it('is to be ejected again when its probe fails', () => {
    const one = due();
    expect(one.settle(one.begin(DUE_AT), 'failure', DUE_AT)).toBe('again');
  });

  it('neither a late failure nor a late success of a call from before has a say', () => {
    const one = ejection();
    const calls = [one.begin(0), one.begin(0)] as const;
    one.eject(0, 0);
    expect(one.settle(calls[0], 'failure', 1)).toBe('none');
    expect(one.settle(calls[1], 'success', DUE_AT)).toBe('none');
    expect(one.out).toBe(true);
    expect(one.remainingMs(1)).toBe(9_999);
  });

  it('nor one of a call that came while it was out, as in a panic', () => {
    const one = ejection();
    one.eject(0, 0);
    const call = one.begin(1);
    expect(one.settle(call, 'success', DUE_AT)).toBe('none');
  });

  it('a probe that was given up says nothing, and the next waits as long again', () => {
    const one = due();
    expect(one.settle(one.begin(DUE_AT), 'nothing', DUE_AT + 1_000)).toBe('none');
    expect(one.remainingMs(DUE_AT + 1_000)).toBe(10_000);
  });

  it('a probe without a response frees its place, and counts still when it ends', () => {
    const one = due();
    const silent = one.begin(DUE_AT);
    expect(one.calls(DUE_AT + 4_999)).toBe('none');
    expect(one.calls(DUE_AT + 5_000)).not.toBe('none');
    expect(one.settle(silent, 'failure', DUE_AT + 60_000)).toBe('again');
  });

  it('a probe that has been receiving for long counts as a success', () => {
    const one = due();
    const stream = one.begin(DUE_AT);
    stream.promising = true;
    expect(one.isDrawnOutWell(DUE_AT + 4_999)).toBe(false);
    expect(one.isDrawnOutWell(DUE_AT + 5_000)).toBe(true);
    expect(one.settleDrawnOut(DUE_AT + 5_000)).toBe('returns');
    expect(one.settle(stream, 'failure', DUE_AT + 6_000)).toBe('none');
  });

  it('answers that prove nothing do not keep it out for ever', () => {
    const one = due();
    expect(one.settle(one.begin(DUE_AT), 'answered', DUE_AT)).toBe('none');
    expect(one.settle(one.begin(DUE_AT), 'answered', DUE_AT + 4_999)).toBe('none');
    expect(one.settle(one.begin(DUE_AT + 4_999), 'answered', DUE_AT + 5_000)).toBe('returns');
  });

  it('its end only ever moves later while it is out, whatever ends when', () => {
    const step = fc.record({
      ms: fc.integer({ min: 0, max: 20_000 }),
      what: fc.constantFrom('begin', 'eject', 'success', 'failure', 'answered', 'nothing'),
      which: fc.nat(9),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const one = ejection({ probes: 2 });
        const visits = [one.begin(0)];
        let now = 0;
        for (const { ms, what, which } of steps) {
          now += ms;
          const [before, wasOut] = [one.memory.until, one.out];
          if (what === 'begin') visits.push(one.begin(now));
          else if (what === 'eject') one.eject(now, 0.5);
          else {
            const visit = visits[which % visits.length];
            const follows = visit && one.settle(visit, what, now);
            if (follows === 'again') one.eject(now, 0.5);
            if (follows === 'returns') {
              expect(now).toBeGreaterThanOrEqual(before);
              one.return(now);
            }
          }
          if (wasOut && one.out) expect(one.memory.until).toBeGreaterThanOrEqual(before);
          if (one.out) expect(one.remainingMs(now)).toBeLessThanOrEqual(longestEjectionMs(60_000));
        }
      }),
    );
  });
});
