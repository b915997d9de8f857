/** What an operation answers, before any fault is applied to it and before it is written. */
import type { z } from 'zod';
import { invalidField } from './errors.ts';
import type { ApiError } from './errors.ts';

export type Reply =
  | { readonly kind: 'json'; readonly body: object }
  | { readonly kind: 'events'; readonly script: EventScript }
  | { readonly kind: 'refusal'; readonly error: ApiError };

/** A stream of events, made frame by frame so that a long answer takes no memory before its time. */
export interface EventScript {
  /** The frames before the first token, ready to be written. */
  readonly opening: string;
  readonly tokens: readonly string[];
  /** The frame of one token. */
  delta(token: string, index: number): string;
  /** The frames after the last token, the protocol's terminator included. */
  readonly closing: string;
}

/** What an operation knows besides the request's body. */
export interface ReplyContext {
  /** Unique part of the ids in this answer. */
  readonly id: string;
  /** Seconds since 1970. */
  readonly createdAt: number;
  /** Tokens of an answer that the request does not limit; at least 1. */
  readonly tokens: number;
}

/** One operation of the API: a pure function of body and context. */
export type Operation = (body: unknown, context: ReplyContext) => Reply;

/** One event: `data` as one line of JSON, named where the protocol names its events. */
export function frame(data: object, event?: string): string {
  return `${event === undefined ? '' : `event: ${event}\n`}data: ${JSON.stringify(data)}\n\n`;
}

/** An operation whose body must match `schema`; the first mismatch becomes a 400 that names the field. */
export function operation<S extends z.ZodType>(
  schema: S,
  answer: (request: z.output<S>, context: ReplyContext) => Reply,
): Operation {
  return (body, context) => {
    const parsed = schema.safeParse(body);
    if (parsed.success) return answer(parsed.data, context);
    const issue = parsed.error.issues[0];
    return { kind: 'refusal', error: invalidField(issue?.path.join('.') ?? '', issue?.message ?? 'invalid') };
  };
}
