/** A checker on a fake clock, with probes whose ends the test decides, and members as an upstream has them. */
import type { Endpoint } from '../../src/core/endpoint.ts';
import type { EventMap, EventName } from '../../src/core/events.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { Random } from '../../src/core/random.ts';
import { endpointsOf } from '../../src/endpoints/endpoint.ts';
import { Member } from '../../src/endpoints/member.ts';
import { HealthChecker } from '../../src/health/checker.ts';
import type { CheckerOptions } from '../../src/health/checker.ts';
import type { ProbeResult } from '../../src/health/probes/probe.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';

export const OPTIONS: CheckerOptions = {
  intervalMs: 10_000,
  fastIntervalMs: 1_000,
  timeoutMs: 5_000,
  jitter: 0,
  rise: 2,
  fall: 3,
  startGraceMs: 30_000,
  concurrency: 10,
};

export type Answer = 'ok' | 'degraded' | 'failed' | 'hang';

interface Running {
  readonly endpoint: string;
  readonly signal: AbortSignal;
  end(answer: Exclude<Answer, 'hang'>): void;
}

const resultOf = (answer: Answer): ProbeResult => ({
  ok: answer !== 'failed',
  degraded: answer === 'degraded',
  detail: `it was ${answer}`,
  durationMs: 0,
});

/** @param random 0.5 where the test does not care: pauses are in the middle of their range */
export function checkerRig(options: Partial<CheckerOptions> = {}, random: Random = { next: () => 0.5 }) {
  const clock = new FakeClock();
  const events: { name: EventName; event: unknown }[] = [];
  const answers = new Map<string, Answer>();
  const running = new Set<Running>();
  const looks: { endpoint: string; at: number }[] = [];
  const members = new Map<string, Member>();
  const lists: { now: readonly { endpoint: Endpoint; member: Member }[] } = { now: [] };
  let disposed = false;

  const probeFor =
    ({ name }: Endpoint) =>
    (signal: AbortSignal): Promise<ProbeResult> => {
      looks.push({ endpoint: name, at: clock.now() });
      const answer = answers.get(name) ?? 'ok';
      if (answer !== 'hang') return Promise.resolve(resultOf(answer));
      return new Promise((resolve) => {
        const one: Running = {
          endpoint: name,
          signal,
          end: (late) => {
            running.delete(one);
            resolve(resultOf(late));
          },
        };
        running.add(one);
        signal.addEventListener('abort', () => one.end('failed'));
      });
    };

  const checker = new HealthChecker(
    { ...OPTIONS, ...options },
    {
      clock,
      random,
      upstream: 'main',
      emit: (name, event) => events.push({ name, event }),
      probes: { probeFor, dispose: () => (disposed = true) },
    },
  );

  const memberOf = (name: string): Member => {
    const known = members.get(name);
    if (known) return known;
    const member = new Member(name, {
      now: () => clock.now(),
      onChange: () => undefined,
      health: 'starting',
    });
    members.set(name, member);
    return member;
  };
  const list = (...names: readonly string[]): void => {
    lists.now = endpointsOf(names.map((name) => ({ url: `http://${name}` }))).map((endpoint) => ({
      endpoint,
      member: memberOf(endpoint.name),
    }));
  };

  return {
    ...{ clock, checker, looks, running, members, lists, list, memberOf },
    start: async (...names: readonly string[]) => {
      list(...names);
      checker.start(() => lists.now);
      await settle();
    },
    restart: () => checker.start(() => lists.now),
    answer: (name: string, answer: Answer) => answers.set(`http://${name}`, answer),
    member: (name: string) => memberOf(`http://${name}`),
    looksAt: (name: string) =>
      looks.filter((one) => one.endpoint === `http://${name}`).map(({ at }) => at - 1_000),
    eventsNamed: <N extends EventName>(name: N): EventMap[N][] =>
      events.filter((one) => one.name === name).map(({ event }) => event as EventMap[N]),
    isDisposed: () => disposed,
  };
}

export const chance = (seed: number): Random => seededRandom(seed);
