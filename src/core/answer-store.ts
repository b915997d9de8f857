/** Answers that are kept for others who ask the same, wherever: in this process, or in a place that several sidecars share. */
import type { StoredAnswer } from './stored-answer.ts';

/** What an answer is an answer to, in digests. */
export interface AnswerKey {
  /** What is asked for: all answers to it become void together. */
  readonly group: string;
  /** Who asks, and how. */
  readonly variant: string;
}

export interface CachedAnswer {
  readonly kind: 'answer';
  readonly answer: StoredAnswer;
  /** Path that was asked for, without its query, for operators who let go of all below a path. */
  readonly path: string;
  /** Age of the answer when it was stored, in milliseconds. */
  readonly ageMs: number;
  /** Age up to which it is fresh, in milliseconds. */
  readonly freshForMs: number;
}

/** Answers differ by these fields of the request: each has a variant of its own. */
export interface VaryingAnswers {
  readonly kind: 'varying';
  /** In lower case. */
  readonly names: readonly string[];
  readonly path: string;
}

export type Shelved = CachedAnswer | VaryingAnswers;

/** What was found, and how long ago it was put there. */
export interface Found<T extends Shelved = Shelved> {
  readonly shelved: T;
  /** Milliseconds, at least 0. */
  readonly heldForMs: number;
}

export interface ShelfBounds {
  /** Bytes that all answers may take together; 0 keeps nothing. For shelves in this process only. */
  readonly maxBytes: number;
  /** Bytes that one may take; larger ones are not kept. */
  readonly maxEntryBytes: number;
}

/** Which answers are let go. */
export interface PurgeFilter {
  /** Those to what has this digest, see `AnswerKey`. Default: all. */
  readonly group?: string;
  /** Those to paths that begin so. Default: all. */
  readonly pathPrefix?: string;
}

/**
 * The answers of one policy. Never throws or rejects: what cannot be reached, read or kept is as if it were not there.
 * What is no promise is known at once.
 */
export interface AnswerShelf {
  get(key: AnswerKey): Found | undefined | Promise<Found | undefined>;
  /** @param keepForMs time after which nobody will want it any more; above 0, never prolonged by reading */
  put(key: AnswerKey, shelved: Shelved, keepForMs: number): void;
  /** Lets go of all variants. */
  drop(group: string): void;
  /** @returns how many answers it let go of; undefined where that could not be done */
  purge(filter: PurgeFilter): Promise<number | undefined>;
  /** What is kept in this process; undefined where it is kept elsewhere. */
  readonly held: { readonly entries: number; readonly bytes: number } | undefined;
  /** Takes over other bounds; what does not fit them any more is let go, oldest use first. */
  resize(bounds: ShelfBounds): void;
}

export interface AnswerStore {
  /** @param space names whose answers these are; in a shared place, the same name leads to the same answers */
  open(space: string, bounds: ShelfBounds): AnswerShelf;
}

/** Bytes that keeping something costs beside its text and body, about. */
const OVERHEAD_BYTES = 256;
const CHUNK_OVERHEAD_BYTES = 64;

/** Bytes that are counted for it. */
export function sizeOf(shelved: Shelved): number {
  const text = shelved.kind === 'answer' ? shelved.answer.head.headers : shelved.names;
  const fixed = OVERHEAD_BYTES + shelved.path.length + sum(text);
  if (shelved.kind === 'varying') return fixed;
  const { chunks, trailers } = shelved.answer;
  return fixed + sum(trailers) + sum(chunks) + chunks.length * CHUNK_OVERHEAD_BYTES;
}

const sum = (parts: readonly { readonly length: number }[]): number =>
  parts.reduce((total, { length }) => total + length, 0);
