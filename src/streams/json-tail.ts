/**
 * Finds members of a JSON object by its last bytes alone: providers write what an answer cost at its end, and answers of
 * many megabytes are not kept for that.
 */
import { Buffer } from 'node:buffer';

/** More than this is never looked at. */
const TAIL_BYTES = 16 * 1024;

/** The members that say what an answer cost and who gave it, as the providers call them. */
const MEMBERS = ['usage', 'usageMetadata', 'model', 'modelVersion'] as const;

/** Keeps the last bytes of what passes. No byte is copied; at most one chunk more than the tail is held. */
export class JsonTail {
  #chunks: Uint8Array[] = [];
  #bytes = 0;

  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    for (;;) {
      const first = this.#chunks[0];
      if (!first || this.#bytes - first.length < TAIL_BYTES) return;
      this.#bytes -= first.length;
      this.#chunks.shift();
    }
  }

  /** @returns members of the outermost object that stand whole in the tail; undefined when there is none */
  members(): Record<string, unknown> | undefined {
    const text = Buffer.concat(this.#chunks).subarray(-TAIL_BYTES).toString('utf8').trimEnd();
    const found: Record<string, unknown> = {};
    for (const name of MEMBERS) {
      const value = outermostMember(text, name);
      if (value !== undefined) found[name] = value;
    }
    return Object.keys(found).length > 0 ? found : undefined;
  }
}

/** Occurrences of a name that are looked at; inner objects may have members of the same name. */
const MAX_LOOKS = 8;

/** Inside a string every quote has a backslash before it, so a name between bare quotes is a name. */
function outermostMember(text: string, name: string): unknown {
  const quoted = `"${name}"`;
  let at = text.lastIndexOf(quoted);
  for (let looks = 0; at >= 0 && looks < MAX_LOOKS; looks++) {
    const colon = /^\s*:\s*/.exec(text.slice(at + quoted.length, at + quoted.length + 64));
    const start = at + quoted.length + (colon?.[0].length ?? 0);
    const end = colon ? valueEnd(text, start) : undefined;
    if (end !== undefined && closesOutermost(text, end)) return parse(text.slice(start, end));
    at = at === 0 ? -1 : text.lastIndexOf(quoted, at - 1);
  }
  return undefined;
}

/** Where the object or string that begins at `start` ends; undefined for anything else, or when it does not end. */
function valueEnd(text: string, start: number): number | undefined {
  if (text[start] === '"') return stringEnd(text, start);
  if (text[start] !== '{') return undefined;
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const char = text[at];
    if (char === '"') at = (stringEnd(text, at) ?? text.length) - 1;
    else if (char === '{' || char === '[') depth += 1;
    else if ((char === '}' || char === ']') && --depth === 0) return at + 1;
  }
  return undefined;
}

function stringEnd(text: string, start: number): number | undefined {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') return at + 1;
  }
  return undefined;
}

/** What follows belongs to the object around, and that object is the outermost: the last brace closes it. */
function closesOutermost(text: string, from: number): boolean {
  let depth = 1;
  for (let at = from; at < text.length; at++) {
    const char = text[at];
    if (char === '"') at = (stringEnd(text, at) ?? text.length) - 1;
    else if (char === '{' || char === '[') depth += 1;
    else if ((char === '}' || char === ']') && --depth === 0) return at === text.length - 1;
  }
  return false;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
