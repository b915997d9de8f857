/** The life of a running sidecar as signals and mishaps see it: drain, stop, reload, or go on. */

import { systemClock } from '../core/clock.ts';

/** What is needed of a running sidecar. */
export interface Stoppable {
  readonly log: {
    readonly logger: Record<'info' | 'error' | 'fatal', (about: object, message: string) => void>;
    close(): void;
  };
  stop(): Promise<unknown>;
  /** Resolves with an exit code when something inside wants the process to end with it. */
  readonly exitAsked?: Promise<number>;
  reload(cause: string): Promise<{ readonly applied: boolean; readonly changed: boolean }>;
}

type Env = Readonly<Record<string, string | undefined>>;

const SIGNAL_NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const;

const SHELL_WATCH_MS = 500;

type StopSignal = keyof typeof SIGNAL_NUMBERS;

/** Never returns to a process that could linger: it ends the process once the sidecar has stopped. */
export function runUntilStopped(sidecar: Stoppable, env: Env = {}): Promise<never> {
  return new Promise(() => {
    const lifecycle = new Lifecycle(sidecar);
    lifecycle.listen();
    if (env['npm_lifecycle_event'] !== undefined) lifecycle.watchShell(process.ppid);
  });
}

class Lifecycle {
  readonly #sidecar: Stoppable;
  #stopping = false;
  #exitCode = 0;

  constructor(sidecar: Stoppable) {
    this.#sidecar = sidecar;
  }

  listen(): void {
    for (const signal of Object.keys(SIGNAL_NUMBERS) as StopSignal[])
      process.on(signal, () => this.#onStopSignal(signal));
    process.on('SIGHUP', () => this.#onHangup());
    process.on('unhandledRejection', (reason) => {
      this.#sidecar.log.logger.error({ err: asError(reason) }, 'unhandled rejection; going on');
    });
    process.on('uncaughtException', (error) => this.#onUncaught(error));
    void this.#sidecar.exitAsked?.then((code) => this.#onExitAsked(code));
  }

  /** Under `npm start`, a signal that is meant for us ends npm's shell and stops there; what is left has nobody to stop it. */
  watchShell(shell: number): void {
    systemClock.setBackgroundTimer(SHELL_WATCH_MS, () => {
      if (process.ppid === shell) this.watchShell(shell);
      else if (!this.#stopping) this.#onStopSignal('SIGTERM');
    });
  }

  #onStopSignal(signal: StopSignal): void {
    if (this.#stopping) {
      this.#sidecar.log.logger.error({ signal }, 'second signal: stopping at once');
      this.#end(128 + SIGNAL_NUMBERS[signal]);
    }
    this.#sidecar.log.logger.info({ signal }, 'stopping');
    this.#stop();
  }

  /** The stop that was asked for first decides the exit code. */
  #onExitAsked(code: number): void {
    if (this.#stopping) return;
    this.#sidecar.log.logger.error({ code }, 'recovery: stopping');
    this.#exitCode = code;
    this.#stop();
  }

  #onHangup(): void {
    if (!this.#stopping) void this.#reload();
  }

  /** A change and a refusal tell of themselves. */
  async #reload(): Promise<void> {
    const { applied, changed } = await this.#sidecar.reload('SIGHUP');
    if (applied && !changed) this.#sidecar.log.logger.info({ cause: 'SIGHUP' }, 'configuration unchanged');
  }

  /** The state of the process is unknown from here on: what is in flight may finish, nothing new comes in. */
  #onUncaught(error: Error): void {
    this.#sidecar.log.logger.fatal({ err: asError(error) }, 'uncaught exception; stopping');
    this.#exitCode = 1;
    if (!this.#stopping) this.#stop();
  }

  #stop(): void {
    this.#stopping = true;
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
