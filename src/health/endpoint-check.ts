/** The checks of one endpoint: when the next one is, what was found, and what is thought of the endpoint by now. */
import { HealthJudge } from '../algorithms/health-judge.ts';
import type { CheckResult, HealthRules } from '../algorithms/health-judge.ts';
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { CheckReport, Endpoint, Health } from '../core/endpoint.ts';
import type { Emit } from '../core/events.ts';
import type { Random } from '../core/random.ts';
import { runProbe } from './probes/probe.ts';
import type { Probe, ProbeResult } from './probes/probe.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** A check ended. */
    'health-checked': {
      readonly upstream: string;
      readonly endpoint: string;
      readonly result: CheckResult;
      readonly durationMs: number;
      readonly detail: string;
    };
    /** A check failed, and the one before did not. */
    'health-check-failed': { readonly upstream: string; readonly endpoint: string; readonly detail: string };
    /** What active checks think of an endpoint is another now; the detail is that of the check that decided. */
    'health-changed': {
      readonly upstream: string;
      readonly endpoint: string;
      readonly from: Health;
      readonly to: Health;
      readonly detail: string;
    };
  }
}

export interface CheckOptions extends HealthRules {
  /** Pause between two checks, before jitter. */
  readonly intervalMs: number;
  /** The same while the next check may change what is thought; where it is above `intervalMs`, that counts. */
  readonly fastIntervalMs: number;
  readonly timeoutMs: number;
  /** Share of a pause by which it is longer or shorter at most, 0–1. */
  readonly jitter: number;
  /** How long failures of an endpoint that has just come do not count. */
  readonly startGraceMs: number;
}

/** What becomes of the endpoint; lives longer than its checks. */
export interface CheckedMember {
  readonly health: Health;
  /** Calls that were begun. */
  readonly total: number;
  check: CheckReport | undefined;
  /** Told of every change, and with every check that succeeds. */
  setHealth(health: Health): void;
}

/** An endpoint that is to be checked. */
export interface Checked {
  readonly endpoint: Endpoint;
  readonly member: CheckedMember;
}

export interface EndpointCheckDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
  readonly upstream: string;
  readonly probe: Probe;
  /** Told when the next check is due; answers by calling {@link EndpointCheck.look}. */
  readonly onDue: (check: EndpointCheck) => void;
}

export class EndpointCheck {
  readonly member: CheckedMember;
  /** The name by which it is asked. */
  readonly host: string;
  readonly #name: string;
  readonly #options: CheckOptions;
  readonly #deps: EndpointCheckDeps;
  readonly #judge: HealthJudge;
  readonly #end = new AbortController();
  #dueAt: number;
  #timer: TimerHandle | undefined;
  #looking = false;
  #running = false;
  /** Endpoints that came together go separate ways after their first checks. */
  #spread = false;

  constructor({ endpoint, member }: Checked, options: CheckOptions, deps: EndpointCheckDeps) {
    this.member = member;
    this.host = endpoint.host;
    this.#name = endpoint.name;
    this.#options = options;
    this.#deps = deps;
    const now = deps.clock.now();
    // One that has served already is trusted until a check says otherwise.
    if (member.health === 'unknown' && member.total === 0) member.setHealth('starting');
    this.#judge = new HealthJudge(options, {
      health: member.health,
      graceEndsAt: now + options.startGraceMs,
    });
    this.#dueAt = now + (this.#judge.inDoubt ? 0 : this.#firstPause());
  }

  /** Goes on where it stood. */
  resume(): void {
    this.#running = true;
    if (!this.#looking) this.#await();
  }

  /** No further check for now; one that is under way ends as it would. */
  pause(): void {
    this.#running = false;
    this.#clearTimer();
  }

  /** No check any more; one that is under way is broken off and says nothing. */
  dispose(): void {
    this.pause();
    this.#end.abort();
  }

  /** Checks once, and waits for the next time. Never rejects. */
  async look(): Promise<void> {
    const { clock, probe } = this.#deps;
    const { signal } = this.#end;
    this.#looking = true;
    const result = await runProbe(probe, { clock, timeoutMs: this.#options.timeoutMs, signal });
    this.#looking = false;
    if (signal.aborted) return;
    this.#found(result);
    this.#dueAt = clock.now() + this.#pause();
    if (this.#running) this.#await();
  }

  #found({ ok, degraded, detail, durationMs }: ProbeResult): void {
    const { clock, emit, upstream } = this.#deps;
    const endpoint = this.#name;
    const result = !ok ? 'failed' : degraded === true ? 'degraded' : 'ok';
    const from = this.#judge.health;
    const to = this.#judge.observe(result, clock.now());
    const { successes, failures } = this.#judge;
    this.member.check = { at: clock.wallMs(), result, detail, durationMs, successes, failures };
    emit('health-checked', { upstream, endpoint, result, durationMs, detail });
    if (failures === 1) emit('health-check-failed', { upstream, endpoint, detail });
    // A success is news to an endpoint that is ejected, however well it was thought to be all the time.
    if (result !== 'failed' || from !== to) this.member.setHealth(to);
    if (from === to) return;
    emit('health-changed', { upstream, endpoint, from, to, detail });
  }

  #await(): void {
    this.#clearTimer();
    const { clock, onDue } = this.#deps;
    const left = this.#dueAt - clock.now();
    if (left <= 0) return onDue(this);
    this.#timer = clock.setBackgroundTimer(left, () => onDue(this));
  }

  #clearTimer(): void {
    if (this.#timer !== undefined) this.#deps.clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  #pause(): number {
    const { intervalMs, fastIntervalMs, jitter } = this.#options;
    if (!this.#judge.inDoubt && !this.#spread) return this.#firstPause();
    const pause = this.#judge.inDoubt ? Math.min(intervalMs, fastIntervalMs) : intervalMs;
    return pause * (1 + jitter * (2 * this.#deps.random.next() - 1));
  }

  /** Any time within the interval. */
  #firstPause(): number {
    this.#spread = true;
    return this.#options.intervalMs * this.#deps.random.next();
  }
}
