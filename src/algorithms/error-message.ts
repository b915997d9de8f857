/** Finds what an error body says to people, in the places where providers put it. */
import { textAt } from './json-pointer.ts';

const PLACES = [
  '/error/message',
  '/response/error/message',
  '/message',
  '/error',
  '/detail',
  '/0/error/message',
];

/** Providers have been seen to put whole prompts there. Who passes it on hides secrets in it first, and then shortens it. */
const MAX_LENGTH = 16_384;

export function messageIn(json: unknown): string | undefined {
  for (const place of PLACES) {
    const text = textAt(json, place);
    if (text !== undefined && text !== '') return text.slice(0, MAX_LENGTH);
  }
  return undefined;
}
