/** Everything an upstream saw, and the waits on it. */
import { Conditions, type WaitOptions } from '../conditions.ts';
import type { Head } from '../wire/head.ts';
import { RecordedRequest } from './recorded-request.ts';

/** The client left before its request was answered. */
export interface Abort {
  readonly request: RecordedRequest;
  readonly how: 'fin' | 'reset';
  /** `performance.now()` milliseconds. */
  readonly at: number;
}

/** Bytes that are no HTTP request, or an ambiguous one. A proxy must never cause any. */
export interface MalformedRequest {
  readonly connection: number;
  readonly message: string;
  readonly bytes: Buffer;
}

export class Gauge {
  /** All there ever were. */
  opened = 0;
  /** Now. */
  open = 0;
  /** The most at one time. */
  peak = 0;

  increase(): void {
    this.opened += 1;
    this.open += 1;
    this.peak = Math.max(this.peak, this.open);
  }

  decrease(): void {
    this.open -= 1;
  }
}

export class Journal {
  readonly requests: RecordedRequest[] = [];
  readonly aborts: Abort[] = [];
  readonly malformed: MalformedRequest[] = [];
  readonly scriptErrors: unknown[] = [];
  readonly connections = new Gauge();
  readonly exchanges = new Gauge();
  readonly #conditions = new Conditions();

  recordRequest(head: Head, connection: number): RecordedRequest {
    const request = new RecordedRequest(head, this.requests.length + 1, connection);
    this.requests.push(request);
    this.exchanges.increase();
    return request;
  }

  changed(): void {
    this.#conditions.changed();
  }

  /** Fails what still waits. */
  close(): void {
    this.#conditions.close('the upstream was disposed');
  }

  /** Waits until `probe` returns something; it runs again whenever anything happens at the upstream. */
  waitFor<T>(probe: () => T | undefined, wanted: string, options?: WaitOptions): Promise<T> {
    return this.#conditions.until(probe, () => `${wanted}; ${this.describe()}`, options);
  }

  waitUntil(holds: () => boolean, wanted: string, options?: WaitOptions): Promise<void> {
    return this.#conditions.untilTrue(holds, () => `${wanted}; ${this.describe()}`, options);
  }

  describe(): string {
    const seen = this.requests.map((request) => {
      return `${request.method} ${request.target} (body ${request.upload}, ${request.body.length} bytes)`;
    });
    const errors = this.scriptErrors.map((error) => `script error: ${String(error)}`);
    const refused = this.malformed.map((one) => `malformed request: ${one.message}`);
    const { connections, exchanges } = this;
    return [
      `saw ${seen.length === 0 ? 'no request' : seen.join(', ')}`,
      `${connections.open} of ${connections.opened} connections open`,
      `${exchanges.open} being answered`,
      `${this.aborts.length} aborts`,
      ...errors,
      ...refused,
    ].join('; ');
  }
}
