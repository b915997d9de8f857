import { describe, expect, it } from 'vitest';
import { ScalingWatch, advisorOf, sampleOf } from '../../src/endpoints/scaling-watch.ts';
import type { EndpointSet } from '../../src/endpoints/endpoint-set.ts';
import { scalingSchema } from '../../src/schema/scaling.ts';
import { endpointSetOf, rosterOf } from '../support/endpoint-sets.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { EventLog, respond } from '../support/policy-kit.ts';

const urlOf = (name: string): string => `http://${name}.test`;

function rig(options: object = {}) {
  const clock = new FakeClock();
  const events = new EventLog();
  const roster = rosterOf(clock);
  const endpoints: EndpointSet = endpointSetOf(
    [urlOf('a'), urlOf('b'), { url: urlOf('c'), priority: 1 }, { url: urlOf('d'), weight: 0 }],
    () => Promise.resolve(respond()),
    clock,
    { roster },
  );
  const advisor = advisorOf(scalingSchema.parse(options), { emit: events.emit, upstream: 'main' });
  let waiting = 0;
  const watch = new ScalingWatch({ clock, endpoints, waiting: () => waiting, advisor });
  const load = (name: string, active: number): void => void (roster.member(urlOf(name)).active = active);
  const wait = (count: number): void => void (waiting = count);
  return { clock, events, roster, endpoints, watch, load, wait };
}

describe('what the advice goes by', () => {
  it('counts endpoints that calls are meant for, and the calls of all, and those that wait', () => {
    const { endpoints, roster, load } = rig();
    load('a', 3);
    load('c', 2);
    expect(sampleOf(endpoints.members, 4)).toEqual({ demand: 9, instances: 2, serving: 2 });
    roster.member(urlOf('a')).setEjected(true);
    expect(sampleOf(endpoints.members, 0)).toMatchObject({ instances: 2, serving: 1 });
    roster.member(urlOf('a')).setHealth('starting');
    roster.member(urlOf('a')).setEjected(false);
    expect(sampleOf(endpoints.members, 0)).toMatchObject({ instances: 2, serving: 2 });
    roster.member(urlOf('b')).operate('draining');
    expect(sampleOf(endpoints.members, 0)).toMatchObject({ instances: 1 });
  });

  it('counts those without weight where no other is there', () => {
    const { endpoints, roster } = rig();
    for (const name of 'abc') roster.member(urlOf(name)).operate('disabled');
    expect(sampleOf(endpoints.members, 0)).toEqual({ demand: 0, instances: 1, serving: 1 });
    roster.member(urlOf('d')).operate('disabled');
    expect(sampleOf(endpoints.members, 0)).toEqual({ demand: 0, instances: 0, serving: 0 });
  });
});

describe('ScalingWatch', () => {
  it('tells of a change once, with the figures that it was made from', async () => {
    const { clock, events, watch, load, wait } = rig({ window: '10s' });
    load('a', 180);
    wait(60);
    watch.start();
    await clock.advance(60_000);
    expect(events.of('scaling-advised')).toEqual([
      { upstream: 'main', advice: 'out', from: 'hold', instances: 2, desired: 5, perInstance: 120 },
    ]);
    expect(watch.view).toEqual({
      advice: 'out',
      instances: 2,
      desiredInstances: 5,
      demand: 240,
      demandPerInstance: 120,
    });
    load('a', 40);
    wait(0);
    await clock.advance(20_000);
    expect(events.of('scaling-advised').at(-1)).toMatchObject({ advice: 'hold', from: 'out', desired: 2 });
    watch.stop();
  });

  it('looks no more once it was stopped, also when it was started twice or never', async () => {
    const { clock, watch } = rig();
    watch.stop();
    watch.start();
    watch.start();
    expect(clock.pendingTimers).toBe(1);
    watch.stop();
    watch.stop();
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('the options', () => {
  it.each([
    [{ in: 100 }, 'in'],
    [{ target: 100 }, 'target'],
    [{ target: 5 }, 'target'],
    [{ min: 5, max: 4 }, 'min'],
  ])('%j are refused', (options, at) => {
    const result = scalingSchema.safeParse(options);
    expect(result.error?.issues.map(({ path }) => path.join('.'))).toEqual([at]);
  });

  it('have the figures of the sources as their defaults', () => {
    expect(scalingSchema.parse({})).toMatchObject({ out: 100, in: 10, min: 1 });
  });
});
