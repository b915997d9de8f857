/** What an outcome says about the upstream, and therefore what retries, breakers and ladders may do about it. */

/** What an operator, or a dialect's table of errors, can say of an answer. */
export const ANSWER_CLASSES = [
  /** An answer as wanted. */
  'ok',
  /** Network failures, timeouts and most 5xx: trying again may help. */
  'transient',
  /** Too many requests: trying again later may help; says nothing about health. */
  'throttled',
  /** Refused for load before any work was done: trying again later may help. */
  'overloaded',
  /** The request is at fault: trying again cannot help. */
  'permanent',
  /** Credit or quota is used up: needs a human or another credential. */
  'quota',
  /** The credential is not accepted: needs a human or another credential. */
  'auth',
  /** The conversation is longer than the model takes: only a model with a larger window can help. */
  'context_length',
  /** The provider will not answer this for what it says. */
  'content_filter',
] as const;

export const VERDICT_CLASSES = [
  ...ANSWER_CLASSES,
  /** The client left, or another answer was chosen. */
  'abandoned',
  /** Refused by the sidecar itself. */
  'refused',
] as const;

export type VerdictClass = (typeof VERDICT_CLASSES)[number];

export interface Verdict {
  readonly class: VerdictClass;
  /** What it means for the health of the upstream. Neutral counts for nothing. */
  readonly result: 'success' | 'failure' | 'neutral';
  /** Milliseconds that the upstream asked us to wait before another try. */
  readonly retryAfterMs?: number;
}

const RESULT_OF_CLASS: Readonly<Record<VerdictClass, Verdict['result']>> = {
  ok: 'success',
  transient: 'failure',
  overloaded: 'failure',
  throttled: 'neutral',
  permanent: 'neutral',
  quota: 'neutral',
  auth: 'neutral',
  context_length: 'neutral',
  content_filter: 'neutral',
  abandoned: 'neutral',
  refused: 'neutral',
};

const PLAIN = Object.fromEntries(
  VERDICT_CLASSES.map((name) => [name, { class: name, result: RESULT_OF_CLASS[name] }]),
) as Readonly<Record<VerdictClass, Verdict>>;

/** The verdict of a class; the result follows from it. Shared objects: plain verdicts cost no allocation. */
export function verdictOf(name: VerdictClass, retryAfterMs?: number): Verdict {
  const plain = PLAIN[name];
  return retryAfterMs === undefined ? plain : { ...plain, retryAfterMs };
}
