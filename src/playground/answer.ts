/**
 * The text that the playground answers. It follows from the prompt alone and ends with a checksum of itself, so that
 * whoever receives it can tell a whole answer from a cut one.
 */
import { crc32 } from 'node:zlib';

const MARKER_LENGTH = ' [whole:00000000]'.length;

/** One word of the prompt is one token; longer words are shortened to this many UTF-16 units. */
const MAX_WORD_LENGTH = 32;

const FILLER = 'and so the answer goes on one word at a time until all of them are here'.split(' ');

export interface Answer {
  /** Joined without separator they are the content; the last one is the marker. Never empty. */
  readonly tokens: readonly string[];
  /** True where the request asked for fewer tokens than the playground would have given. */
  readonly limited: boolean;
}

/**
 * Echoes the prompt in `length` tokens, or in `limit` where that is less.
 * @param prompt any text; only its first words are used
 * @param length tokens of an unlimited answer, marker included; at least 1
 * @param limit the request's own maximum of tokens; at least 1, undefined for none
 */
export function composeAnswer(prompt: string, length: number, limit: number | undefined): Answer {
  const total = Math.min(length, limit ?? length);
  const words = wordsOf(prompt, total);
  const spoken = ['You', 'said:', ...words].slice(0, total - 1);
  while (spoken.length < total - 1)
    spoken.push(FILLER[(spoken.length - words.length - 2) % FILLER.length] ?? '');
  const tokens = spoken.map((word, index) => (index === 0 ? word : ` ${word}`));
  tokens.push(markerOf(tokens.join('')));
  return { tokens, limited: total < length };
}

/** Whether `content` is a complete answer of the playground: its last token is the checksum of all before it. */
export function isWhole(content: string): boolean {
  // A marker without words before it has no leading space: then it is all of the content.
  const start = Math.max(0, content.length - MARKER_LENGTH);
  return content.slice(start) === markerOf(content.slice(0, start));
}

function markerOf(text: string): string {
  const marker = `[whole:${crc32(text).toString(16).padStart(8, '0')}]`;
  return text === '' ? marker : ` ${marker}`;
}

function wordsOf(prompt: string, most: number): string[] {
  // Bounded before splitting: a prompt may have megabytes.
  const words = prompt.slice(0, most * (MAX_WORD_LENGTH + 1)).match(/\S+/g) ?? [];
  return words.slice(0, most).map((word) => word.slice(0, MAX_WORD_LENGTH).toWellFormed());
}
