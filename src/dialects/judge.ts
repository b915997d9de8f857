/** Judges answers by a dialect's table of errors, and by their status where the table says nothing. */
import { ruleFinder } from '../algorithms/error-rules.ts';
import type { Dialect, ErrorRule } from '../core/dialect.ts';
import type { ResponseHead } from '../core/outcome.ts';
import { verdictOf } from '../core/verdict.ts';
import type { Verdict, VerdictClass } from '../core/verdict.ts';
import { retryAfterMs } from './retry-after.ts';

const CLASS_OF_STATUS: ReadonlyMap<number, VerdictClass> = new Map([
  [401, 'auth'],
  [402, 'quota'],
  [403, 'auth'],
  [407, 'auth'],
  [408, 'transient'],
  [425, 'transient'],
  [429, 'throttled'],
  [501, 'permanent'],
  [505, 'permanent'],
  [511, 'auth'],
  [529, 'overloaded'],
]);

function classOf(status: number, delayMs: number | undefined): VerdictClass {
  const known = CLASS_OF_STATUS.get(status);
  if (known) return known;
  // An upstream that names a time to come back refused before it began (RFC 9110 §15.6.4).
  if (status === 503 && delayMs !== undefined) return 'overloaded';
  if (status >= 500) return 'transient';
  return status >= 400 ? 'permanent' : 'ok';
}

export interface ErrorKnowledge {
  readonly errors: readonly ErrorRule[];
  /** The status that an error body names for itself, 400 to 599; undefined when it names none. */
  readonly statusOf?: (json: unknown) => number | undefined;
  /** How long an error body asks to wait, in milliseconds. */
  readonly delayOf?: (json: unknown) => number | undefined;
}

export function judgeBy({ errors, statusOf, delayOf }: ErrorKnowledge): Dialect['classify'] {
  const find = ruleFinder(errors);
  return (head: ResponseHead, wallTime: () => Date, json?: unknown): Verdict => {
    if (head.status < 400 && json === undefined) return verdictOf('ok');
    const status = head.status >= 400 ? head.status : statusOf?.(json);
    const delayMs = retryAfterMs(head.headers, wallTime) ?? delayOf?.(json);
    const rule = find({ status, headers: head.headers, json });
    const verdict = verdictOf(
      rule?.as ?? (status === undefined ? 'transient' : classOf(status, delayMs)),
      delayMs,
    );
    // A 4xx blames the client, such as one that sent too slowly (408): worth another try, no sign of ill health.
    return status !== undefined && status < 500 ? { ...verdict, result: 'neutral' } : verdict;
  };
}
