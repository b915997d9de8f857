import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ScalingAdvisor } from '../../src/algorithms/scaling-advice.ts';
import type { ScalingRules } from '../../src/algorithms/scaling-advice.ts';
import type { ScalingAdvice } from '../../src/core/scaling.ts';

const SECOND = 1_000;
const MINUTE = 60_000;

const RULES: ScalingRules = {
  out: 100,
  in: 10,
  target: 55,
  windowMs: 10 * SECOND,
  outAfterMs: 30 * SECOND,
  inAfterMs: 5 * MINUTE,
  cooldownMs: 3 * MINUTE,
  min: 1,
  max: 50,
};

interface Told {
  readonly at: number;
  readonly advice: ScalingAdvice;
}

/** A service whose demand is a function of time, looked at every second. */
class Service {
  readonly advisor: ScalingAdvisor;
  readonly told: Told[] = [];
  now = 0;
  instances: number;
  serving: number | undefined;

  constructor(instances: number, rules: Partial<ScalingRules> = {}) {
    this.instances = instances;
    this.advisor = new ScalingAdvisor({ ...RULES, ...rules });
  }

  play(ms: number, demandAt: (now: number) => number, then: () => void = () => undefined): this {
    for (const endsAt = this.now + ms; this.now < endsAt; this.now += SECOND) {
      const { instances, serving = instances } = this;
      this.advisor.observe({ demand: demandAt(this.now), instances, serving }, this.now);
      const { advice } = this.advisor;
      if (advice !== (this.told.at(-1)?.advice ?? 'hold')) this.told.push({ at: this.now, advice });
      then();
    }
    return this;
  }

  get advice(): ScalingAdvice {
    return this.advisor.advice;
  }
}

describe('advice', () => {
  it('is to go out once there has been too much for long enough, and to how many', () => {
    const service = new Service(2).play(29 * SECOND, () => 330);
    expect(service.advice).toBe('hold');
    service.play(3 * SECOND, () => 330);
    expect([service.advice, service.advisor.desired]).toEqual(['out', 6]);
    expect(service.advisor.perInstance).toBe(165);
  });

  it('is to go in once there has been too little for much longer', () => {
    const service = new Service(5).play(5 * MINUTE - SECOND, () => 20);
    expect(service.advice).toBe('hold');
    service.play(3 * SECOND, () => 20);
    expect([service.advice, service.advisor.desired]).toEqual(['in', 1]);
  });

  it('is to hold at the thresholds themselves, and wants as many as there are', () => {
    for (const demand of [20, 200]) {
      const service = new Service(2).play(20 * MINUTE, () => demand);
      expect([service.advice, service.advisor.desired]).toEqual(['hold', 2]);
    }
  });

  it('does not mind a peak', () => {
    const service = new Service(2).play(MINUTE, () => 100);
    service.play(20 * SECOND, () => 800).play(10 * MINUTE, () => 100);
    expect(service.told).toEqual([]);
  });

  it('stands until things are as they are meant to be, not just until they are bearable', () => {
    const service = new Service(2).play(MINUTE, () => 250);
    service.play(MINUTE, () => 190);
    expect(service.advice).toBe('out');
    service.play(MINUTE, () => 100);
    expect(service.advice).toBe('hold');
  });

  it('to go in is taken back at once when there is more to do', () => {
    const service = new Service(5).play(6 * MINUTE, () => 20);
    expect(service.advice).toBe('in');
    service.play(12 * SECOND, () => 80);
    expect(service.advice).toBe('hold');
  });

  it('is not given for a while after the number of instances changed', () => {
    const service = new Service(2).play(MINUTE, () => 300);
    service.instances = 3;
    service.play(3 * MINUTE, () => 600);
    expect(service.advice).toBe('hold');
    service.play(SECOND, () => 600);
    expect([service.advice, service.advisor.desired]).toEqual(['out', 11]);
  });

  it('keeps to the bounds', () => {
    const full = new Service(50).play(MINUTE, () => 50_000);
    expect([full.advice, full.advisor.desired]).toEqual(['hold', 50]);
    const near = new Service(49).play(MINUTE, () => 50_000);
    expect([near.advice, near.advisor.desired]).toEqual(['out', 50]);
    const few = new Service(2, { min: 2 }).play(10 * MINUTE, () => 0);
    expect(few.advice).toBe('hold');
  });

  it('is to come back within the bounds, whatever there is to do', () => {
    const none = new Service(0).play(MINUTE, () => 0);
    expect([none.advice, none.advisor.desired]).toEqual(['out', 1]);
    const many = new Service(60).play(10 * MINUTE, () => 3_300);
    expect([many.advice, many.advisor.desired]).toEqual(['in', 50]);
  });

  it('is never to go in while an instance is missing: little comes through in an outage', () => {
    const service = new Service(4);
    service.serving = 3;
    service.play(20 * MINUTE, () => 0);
    service.serving = 0;
    service.play(20 * MINUTE, () => 0);
    expect(service.told).toEqual([]);
    service.serving = 4;
    service.play(6 * MINUTE, () => 0);
    expect(service.advice).toBe('in');
  });

  it('counts what there is to do by those that serve', () => {
    const service = new Service(4);
    service.serving = 1;
    service.play(MINUTE, () => 220);
    expect([service.advice, service.advisor.desired]).toEqual(['out', 5]);
  });

  it('wants nothing of a service that has no instances and may have none', () => {
    const service = new Service(0, { min: 0 }).play(MINUTE, () => 0);
    expect([service.advice, service.advisor.perInstance]).toEqual(['hold', 0]);
    service.play(MINUTE, () => 3);
    expect([service.advice, service.advisor.desired]).toEqual(['out', 1]);
  });
});

const rules = fc
  .record({
    in: fc.double({ min: 0, max: 50, noNaN: true }),
    band: fc.double({ min: 0.1, max: 100, noNaN: true }),
    aim: fc.double({ min: 0.05, max: 0.95, noNaN: true }),
    windowMs: fc.integer({ min: 5_000, max: 60_000 }),
    outAfterMs: fc.nat(60_000),
    inAfterMs: fc.nat(180_000),
    cooldownMs: fc.nat(180_000),
  })
  .map(({ band, aim, ...rest }): ScalingRules => {
    const out = rest.in + band;
    return { ...rest, out, target: rest.in + aim * band, min: 1, max: 100 };
  });

describe('with an autoscaler that does as it is told', () => {
  it('comes to rest under constant demand, in one direction, and stays there', () => {
    fc.assert(
      fc.property(rules, fc.nat(5_000), fc.integer({ min: 1, max: 40 }), (all, demand, first) => {
        const service = new Service(first, all);
        const numbers: number[] = [first];
        service.play(
          40 * MINUTE,
          () => demand,
          () => {
            service.instances = service.advisor.desired;
            if (service.instances !== numbers.at(-1)) numbers.push(service.instances);
          },
        );
        const sorted = [...numbers].sort((a, b) => (first <= service.instances ? a - b : b - a));
        expect(numbers).toEqual(sorted);
        expect(service.advice).toBe('hold');
        const settled = service.instances;
        service.play(20 * MINUTE, () => demand);
        expect([service.advice, service.instances]).toEqual(['hold', settled]);
      }),
      { numRuns: 60 },
    );
  });

  it('never turns about sooner than its holds and its pause allow, whatever the demand does', () => {
    const demands = fc.array(fc.nat(5_000), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(rules, demands, (all, steps) => {
        const service = new Service(3, all);
        let [direction, turnedAt] = ['hold', Number.NEGATIVE_INFINITY];
        service.play(
          30 * MINUTE,
          (now) => steps[Math.floor(now / 17_000) % steps.length] ?? 0,
          () => {
            const { advice } = service;
            if (advice !== 'hold' && advice !== direction) {
              if (direction !== 'hold') {
                const wait = advice === 'out' ? all.outAfterMs : all.inAfterMs;
                expect(service.now - turnedAt).toBeGreaterThanOrEqual(Math.max(wait, all.cooldownMs));
              }
              direction = advice;
            }
            if (service.advisor.desired !== service.instances) turnedAt = service.now;
            service.instances = service.advisor.desired;
          },
        );
      }),
      { numRuns: 60 },
    );
  });

  it('says nothing while what there is to do stays within the band, however it dances', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 40, max: 400 }), { minLength: 1 }), (steps) => {
        const service = new Service(4).play(30 * MINUTE, (now) => steps[(now / SECOND) % steps.length] ?? 40);
        expect(service.told).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });
});
