/** Records which callbacks undici makes for a request, and how it ended. */
import type { Socket } from 'node:net';
import { Pool, type Dispatcher } from 'undici';
import { onTestFinished } from 'vitest';

export type Call = 'start' | 'sent' | 'first-byte' | `head ${number}` | 'data' | 'end' | 'upgrade' | 'error';

export interface Trace {
  /** Callbacks in order, repeats of `data` left out. */
  readonly calls: readonly Call[];
  readonly error: (Error & { readonly code?: string; readonly socket?: object }) | undefined;
  readonly body: string;
}

export type Options = Partial<Dispatcher.DispatchOptions>;

export class Recorder {
  readonly calls: Call[] = [];
  readonly finished = Promise.withResolvers<Trace>();
  controller: Dispatcher.DispatchController | undefined;
  #body = '';

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    this.calls.push('start');
  }
  onRequestSent(): void {
    this.calls.push('sent');
  }
  onResponseStarted(): void {
    this.calls.push('first-byte');
  }
  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.calls.push(`head ${status}`);
  }
  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#body += chunk.toString();
    if (this.calls.at(-1) !== 'data') this.calls.push('data');
  }
  onResponseEnd(): void {
    this.#finish('end');
  }
  onRequestUpgrade(_controller: unknown, _status: number, _headers: unknown, socket: Socket): void {
    socket.destroy();
    this.#finish('upgrade');
  }
  onResponseError(_controller: unknown, error: Error): void {
    this.#finish('error', error);
  }

  #finish(call: Call, error?: Error): void {
    this.calls.push(call);
    this.finished.resolve({ calls: this.calls, error, body: this.#body });
  }
}

/** A pool of one connection without timeouts, destroyed when the test ends. */
export function poolFor(origin: string, options: Pool.Options = {}): Pool {
  const pool = new Pool(origin, { connections: 1, headersTimeout: 0, bodyTimeout: 0, ...options });
  onTestFinished(() => pool.destroy());
  return pool;
}

/** Dispatches and returns at once. */
export function start(dispatcher: Dispatcher, options: Options = {}): Recorder {
  const recorder = new Recorder();
  dispatcher.dispatch({ path: '/', method: 'GET', ...options }, recorder);
  return recorder;
}

/** Dispatches and waits for the end. */
export function dispatch(dispatcher: Dispatcher, options?: Options): Promise<Trace> {
  return start(dispatcher, options).finished.promise;
}

/** Callbacks of a request that was sent; of one whose answer began; of one whose body broke off. */
export const sent: readonly Call[] = ['start', 'sent'];
export const answered: readonly Call[] = [...sent, 'first-byte'];
export const cutBody: readonly Call[] = [...answered, 'head 200', 'data'];
