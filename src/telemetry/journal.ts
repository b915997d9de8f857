/** The last events, for operators: state changes and troubles, not traffic. */
import type { Clock } from '../core/clock.ts';
import type { Bus } from './bus.ts';

export interface JournalEntry {
  /** Counts from 1; gaps say that older entries were dropped. */
  readonly id: number;
  readonly time: string;
  readonly event: string;
  readonly upstream?: string;
  readonly detail: Readonly<Record<string, string | number | boolean>>;
}

export class Journal {
  readonly #clock: Clock;
  /** Entries kept. */
  limit = 1_000;
  readonly #entries: JournalEntry[] = [];
  #lastId = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  listen(bus: Bus): void {
    bus.on('breaker-changed', ({ upstream, from, to }) =>
      this.#add('breaker-changed', upstream, { from, to }),
    );
    bus.on('attempt-timed-out', ({ upstream, attempt, reason }) =>
      this.#add('attempt-timed-out', upstream, {
        endpoint: attempt.endpoint.name,
        reason,
        requestId: attempt.exchange.id,
      }),
    );
    bus.on('deadline-exceeded', ({ upstream, exchange }) =>
      this.#add('deadline-exceeded', upstream, { requestId: exchange.id }),
    );
    bus.on('stream-resumed', ({ attempt, upstream, result, tries }) =>
      this.#add('stream-resumed', upstream, { result, tries, requestId: attempt.exchange.id }),
    );
    bus.on('fallback-taken', ({ upstream, exchange, step, trigger, answered }) =>
      this.#add('fallback-taken', upstream, { step, trigger, answered, requestId: exchange.id }),
    );
    bus.on('pacing-began', ({ upstream, obstacle }) =>
      this.#add('pacing-began', upstream, obstacle === undefined ? {} : { obstacle }),
    );
    bus.on('attempt-ended', ({ upstream, attempt }) => {
      const kind = attempt.verdict?.class;
      if (kind === 'quota' || kind === 'auth') {
        this.#add('credential-refused', upstream, {
          class: kind,
          status: attempt.status ?? 0,
          endpoint: attempt.endpoint.name,
          ...(attempt.credential !== undefined && { credential: attempt.credential }),
        });
      }
    });
    this.#listenToCredentials(bus);
    bus.on('config-applied', ({ generation, hash, cause }) =>
      this.#add('config-applied', undefined, { generation, hash, cause }),
    );
    bus.on('config-rejected', ({ problems, cause }) =>
      this.#add('config-rejected', undefined, { problems: problems.length, cause }),
    );
    bus.on('internal-error', ({ where, error }) =>
      this.#add('internal-error', undefined, { where, message: error.message }),
    );
    bus.on('restart-needed', ({ setting }) => this.#add('restart-needed', undefined, { setting }));
    bus.on('drain-started', ({ active }) => this.#add('drain-started', undefined, { active }));
  }

  #listenToCredentials(bus: Bus): void {
    bus.on('credential-cooling', ({ upstream, credential, forMs }) =>
      this.#add('credential-cooling', upstream, { credential, forMs: Math.round(forMs) }),
    );
    bus.on('credential-out', ({ upstream, credential, cause, forMs }) =>
      this.#add('credential-out', upstream, {
        credential,
        cause,
        // Without it: until somebody does something.
        ...(Number.isFinite(forMs) && { forMs: Math.round(forMs) }),
      }),
    );
    bus.on('credential-back', ({ upstream, credential, after }) =>
      this.#add('credential-back', upstream, { credential, after }),
    );
  }

  /** Oldest first. @param after only entries with a greater id */
  entries(after = 0): readonly JournalEntry[] {
    return this.#entries.filter(({ id }) => id > after);
  }

  #add(event: string, upstream: string | undefined, detail: JournalEntry['detail']): void {
    const time = this.#clock.wallTime().toISOString();
    this.#entries.push({
      id: ++this.#lastId,
      time,
      event,
      ...(upstream !== undefined && { upstream }),
      detail,
    });
    if (this.#entries.length > this.limit) this.#entries.splice(0, this.#entries.length - this.limit);
  }
}
