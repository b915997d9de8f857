/** The life of a running sidecar as signals and mishaps see it: drain, stop, reload, or go on. */
import { systemClock } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';

/** What is needed of a running sidecar. */
export interface Stoppable {
  readonly log: {
    readonly logger: Record<'info' | 'error' | 'fatal', (about: object, message: string) => void>;
    close(): void;
  };
  stop(): Promise<unknown>;
  reload(cause: string): Promise<unknown>;
}

const SIGNAL_NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const;

type StopSignal = keyof typeof SIGNAL_NUMBERS;

/** Ctrl-C reaches a child of npm twice, from the terminal and from npm: what comes this soon is the same request. */
const ECHO_MS = 200;

/** Never returns to a process that could linger: it ends the process once the sidecar has stopped. */
export function runUntilStopped(sidecar: Stoppable): Promise<never> {
  return new Promise(() => new Lifecycle(sidecar, systemClock).listen());
}

class Lifecycle {
  readonly #sidecar: Stoppable;
  readonly #clock: Clock;
  #stopAskedAt: number | undefined;
  #exitCode = 0;

  constructor(sidecar: Stoppable, clock: Clock) {
    this.#sidecar = sidecar;
    this.#clock = clock;
  }

  listen(): void {
    for (const signal of Object.keys(SIGNAL_NUMBERS) as StopSignal[])
      process.on(signal, () => this.#onStopSignal(signal));
    process.on('SIGHUP', () => this.#onHangup());
    process.on('unhandledRejection', (reason) => {
      this.#sidecar.log.logger.error({ err: asError(reason) }, 'unhandled rejection; going on');
    });
    process.on('uncaughtException', (error) => this.#onUncaught(error));
  }

  #onStopSignal(signal: StopSignal): void {
    const now = this.#clock.now();
    if (this.#stopAskedAt !== undefined) {
      if (now - this.#stopAskedAt < ECHO_MS) return;
      this.#sidecar.log.logger.error({ signal }, 'second signal: stopping at once');
      this.#end(128 + SIGNAL_NUMBERS[signal]);
    }
    this.#stopAskedAt = now;
    this.#sidecar.log.logger.info({ signal }, 'stopping');
    this.#stop();
  }

  #onHangup(): void {
    if (this.#stopAskedAt === undefined) void this.#sidecar.reload('SIGHUP');
  }

  /** The state of the process is unknown from here on: what is in flight may finish, nothing new comes in. */
  #onUncaught(error: Error): void {
    this.#sidecar.log.logger.fatal({ err: asError(error) }, 'uncaught exception; stopping');
    this.#exitCode = 1;
    if (this.#stopAskedAt !== undefined) return;
    this.#stopAskedAt = this.#clock.now();
    this.#stop();
  }

  #stop(): void {
    this.#sidecar.stop().then(
      () => this.#end(this.#exitCode),
      (error: unknown) => {
        this.#sidecar.log.logger.fatal({ err: asError(error) }, 'stopping failed');
        this.#end(1);
      },
    );
  }

  #end(code: number): never {
    this.#sidecar.log.close();
    process.exit(code);
  }
}

const asError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)));
