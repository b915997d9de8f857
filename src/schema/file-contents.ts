/** A file that a configuration names: read while the configuration is, so that it is checked, hashed and watched with it. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { readBytes } from './read-file.ts';

/** Larger files are refused. */
const MAX_BYTES = 10 * 1024 * 1024;

/** What was in a file when the configuration was read. As JSON, its path and digest; never its content. */
export class FileContents {
  readonly path: string;
  /** SHA-256 in hex digits: other contents make another configuration. */
  readonly sha256: string;
  readonly #bytes: Buffer;

  constructor(path: string, bytes: Buffer) {
    this.path = path;
    this.#bytes = bytes;
    this.sha256 = createHash('sha256').update(bytes).digest('hex');
  }

  get bytes(): Buffer {
    return this.#bytes;
  }
}

/** The path of a regular file of at most 10 MiB; relative ones start where the naming file is. Its contents inside. */
export const fileContents = z
  .codec(z.string().min(1), z.instanceof(FileContents), {
    decode: (path, context) => {
      const file = readBytes(path, { maxBytes: MAX_BYTES, regularOnly: true });
      if (file.ok) return new FileContents(path, file.bytes);
      const message = `expected a file that can be read (${file.reason})`;
      context.issues.push({ code: 'custom', input: path, message });
      return z.NEVER;
    },
    encode: ({ path }) => path,
  })
  .meta({
    id: 'FilePath',
    description: 'Path of a file; a relative one starts where the naming file is.',
    path: 'file',
  });
