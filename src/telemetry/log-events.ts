/** What each event says in the log. Timeouts and openings are warnings; what needs a human is an error. */
import type { Logger } from 'pino';
import type { Attempt, Exchange } from '../core/exchange.ts';
import type { Bus } from './bus.ts';

const about = (exchange: Exchange) => ({ requestId: exchange.id, traceId: exchange.traceId });

const aboutAttempt = (attempt: Attempt, upstream: string) => ({
  ...about(attempt.exchange),
  upstream,
  endpoint: attempt.endpoint.name,
  attempt: attempt.number,
});

const rounded = (ms: number): number => Math.round(ms * 10) / 10;

export function describeEvents(bus: Bus, log: Logger): void {
  exchanges(bus, log);
  states(bus, log);
  configuration(bus, log);
}

function exchanges(bus: Bus, log: Logger): void {
  bus.on('attempt-timed-out', ({ attempt, upstream, reason, afterMs }) =>
    log.warn({ ...aboutAttempt(attempt, upstream), reason, afterMs: rounded(afterMs) }, 'attempt timed out'),
  );
  bus.on('deadline-exceeded', ({ exchange, upstream, afterMs }) =>
    log.warn(
      { ...about(exchange), upstream, reason: 'deadline_exceeded', afterMs: rounded(afterMs) },
      'deadline exceeded',
    ),
  );
  bus.on('attempt-ended', ({ attempt, upstream }) => {
    const kind = attempt.verdict?.class;
    if (kind === 'quota' || kind === 'auth') {
      log.error(
        { ...aboutAttempt(attempt, upstream), status: attempt.status, class: kind },
        'credential needs attention',
      );
    }
  });
  bus.on('retry-scheduled', ({ exchange, upstream, cause, delayMs }) =>
    log.debug(
      { ...about(exchange), upstream, attempt: exchange.attempts.length, cause, backoffMs: rounded(delayMs) },
      'retry',
    ),
  );
  bus.on('retry-refused', ({ exchange, upstream, why }) =>
    log.debug({ ...about(exchange), upstream, why }, 'no retry'),
  );
  bus.on('request-refused', ({ reason, detail, method, requestId }) =>
    log.warn({ requestId, method, reason, detail }, 'request refused'),
  );
  bus.on('stream-resumed', ({ attempt, upstream, tries }) =>
    log.info({ ...aboutAttempt(attempt, upstream), tries }, 'stream resumed'),
  );
  bus.on('stream-lost', ({ attempt, upstream }) => log.warn(aboutAttempt(attempt, upstream), 'stream lost'));
  bus.on('answer-kept', ({ exchange, upstream, why }) =>
    log.warn({ ...about(exchange), upstream, why }, 'answer not rewritten'),
  );
  bus.on('fallback-taken', ({ exchange, upstream, step, trigger, answered }) =>
    log.info({ ...about(exchange), upstream, step, trigger, answered }, 'fallback'),
  );
}

function states(bus: Bus, log: Logger): void {
  bus.on('breaker-changed', ({ upstream, from, to, openForMs }) => {
    const level = to === 'open' || to === 'isolated' ? 'warn' : 'info';
    log[level](
      { upstream, from, to, ...(openForMs > 0 && { openForMs: rounded(openForMs) }) },
      'circuit breaker',
    );
  });
  bus.on('internal-error', ({ where, error }) => log.error({ where, err: error }, 'internal error'));
  bus.on('restart-needed', ({ setting }) => log.warn({ setting }, 'takes effect at the next start'));
  bus.on('drain-started', ({ active, timeoutMs }) => log.info({ active, timeoutMs }, 'draining'));
  bus.on('drain-ended', ({ brokenOff }) => log.info({ brokenOff }, 'drained'));
}

function configuration(bus: Bus, log: Logger): void {
  bus.on('config-applied', ({ generation, hash, upstreams, cause }) =>
    log.info({ generation, hash, upstreams, cause }, 'configuration applied'),
  );
  bus.on('config-rejected', ({ problems, cause }) =>
    log.error(
      {
        cause,
        problems: problems.map(
          ({ file, line, column, path, message }) => `${file}:${line}:${column}: ${path}: ${message}`,
        ),
      },
      'configuration rejected; the one in force serves on',
    ),
  );
}
