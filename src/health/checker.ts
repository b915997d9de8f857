/**
 * Looks after the endpoints of one upstream by asking them: new ones at once, all of them again and again, those that are
 * gone no more. It lives through reloads; what it found stays where the calls find it, with the endpoints.
 */
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Endpoint } from '../core/endpoint.ts';
import type { Emit } from '../core/events.ts';
import type { Random } from '../core/random.ts';
import { EndpointCheck } from './endpoint-check.ts';
import type { CheckOptions, Checked } from './endpoint-check.ts';
import type { Probe } from './probes/probe.ts';

export interface CheckerOptions extends CheckOptions {
  /** Checks at a time; others wait for their turn. */
  readonly concurrency: number;
}

/** Where probes come from. */
export interface Probes {
  probeFor(endpoint: Endpoint): Probe;
  /** Breaks off what is under way. */
  dispose(): void;
}

export interface CheckerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
  readonly upstream: string;
  readonly probes: Probes;
}

/** How soon a changed list is noticed: lists are asked, they do not call. */
const FOLLOW_EVERY_MS = 1_000;

type List = () => readonly Checked[];

export class HealthChecker {
  readonly #options: CheckerOptions;
  readonly #deps: CheckerDeps;
  readonly #checks = new Map<string, EndpointCheck>();
  /** Checks that are due, first come first served. */
  readonly #line = new Set<EndpointCheck>();
  #underWay = 0;
  #list: List | undefined;
  #followed: readonly Checked[] | undefined;
  #timer: TimerHandle | undefined;

  constructor(options: CheckerOptions, deps: CheckerDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Begins, or goes on where it stood, with what is on the list from now on. */
  start(list: List): void {
    this.#list = list;
    this.#followed = undefined;
    this.#follow();
    for (const check of this.#checks.values()) check.resume();
  }

  /** Begins no further check until it is started again. */
  stop(): void {
    this.#list = undefined;
    this.#line.clear();
    for (const check of this.#checks.values()) check.pause();
    if (this.#timer !== undefined) this.#deps.clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  /** Ends all checks, also those under way. */
  dispose(): void {
    this.stop();
    for (const check of this.#checks.values()) check.dispose();
    this.#checks.clear();
    this.#deps.probes.dispose();
  }

  #follow(): void {
    const listed = this.#list?.();
    if (listed === undefined) return;
    this.#timer = this.#deps.clock.setBackgroundTimer(FOLLOW_EVERY_MS, () => this.#follow());
    // The same list is the same object.
    if (listed === this.#followed) return;
    this.#followed = listed;
    const gone = new Map(this.#checks);
    for (const one of listed) {
      const { name, host } = one.endpoint;
      const check = this.#checks.get(name);
      // One that went and came back between two looks is another; one that is called something else is asked anew.
      if (check?.member === one.member && check.host === host) gone.delete(name);
    }
    for (const [name, check] of gone) this.#forget(name, check);
    for (const one of listed) if (!this.#checks.has(one.endpoint.name)) this.#begin(one);
  }

  #begin(one: Checked): void {
    const { clock, random, emit, upstream, probes } = this.#deps;
    const check = new EndpointCheck(one, this.#options, {
      ...{ clock, random, emit, upstream },
      probe: probes.probeFor(one.endpoint),
      onDue: (due) => {
        this.#line.add(due);
        this.#advance();
      },
    });
    this.#checks.set(one.endpoint.name, check);
    check.resume();
  }

  #forget(name: string, check: EndpointCheck): void {
    check.dispose();
    this.#line.delete(check);
    this.#checks.delete(name);
  }

  #advance(): void {
    for (const check of this.#line) {
      if (this.#underWay >= this.#options.concurrency) return;
      this.#line.delete(check);
      this.#underWay += 1;
      void check.look().then(() => {
        this.#underWay -= 1;
        this.#advance();
      });
    }
  }
}
