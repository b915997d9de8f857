/** Bounded reading of configuration files and of the files that they name. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/** Default bound for one file: 1 MiB. */
export const MAX_FILE_BYTES = 1_048_576;

export type FileText =
  { readonly ok: true; readonly text: string } | { readonly ok: false; readonly reason: string };

export type FileBytes =
  { readonly ok: true; readonly bytes: Buffer } | { readonly ok: false; readonly reason: string };

export interface ReadOptions {
  /** Larger files are refused. Default 1 MiB. */
  readonly maxBytes?: number;
  /** Refuse pipes and devices, which could block or never end. */
  readonly regularOnly?: boolean;
}

/** Reads UTF-8 text. Never throws: the reason is for people and holds no content. */
export function readText(path: string, options: ReadOptions = {}): FileText {
  const file = readBytes(path, options);
  if (!file.ok) return file;
  try {
    return {
      ok: true,
      text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(file.bytes),
    };
  } catch (error) {
    return { ok: false, reason: reasonOf(error) };
  }
}

/** Reads a file as it is. Never throws: the reason is for people and holds no content. */
export function readBytes(
  path: string,
  { maxBytes = MAX_FILE_BYTES, regularOnly = false }: ReadOptions = {},
): FileBytes {
  let file: number | undefined;
  try {
    // Without O_NONBLOCK opening a pipe that nobody writes to would never return.
    file = openSync(path, constants.O_RDONLY | (regularOnly ? constants.O_NONBLOCK : 0));
    const stat = fstatSync(file);
    if (stat.isDirectory()) return { ok: false, reason: 'it is a directory' };
    if (regularOnly && !stat.isFile()) return { ok: false, reason: 'it is no regular file' };
    const bytes = readBounded(file, maxBytes);
    return bytes ? { ok: true, bytes } : { ok: false, reason: `it is larger than ${maxBytes} bytes` };
  } catch (error) {
    return { ok: false, reason: reasonOf(error) };
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** The size is counted while reading: a file may grow, and a pipe has none. */
function readBounded(file: number, maxBytes: number): Buffer | undefined {
  const chunks: Buffer[] = [];
  let total = 0;
  for (;;) {
    const chunk = Buffer.allocUnsafe(65_536);
    const read = readSync(file, chunk, 0, chunk.length, null);
    if (read === 0) return Buffer.concat(chunks);
    total += read;
    if (total > maxBytes) return undefined;
    chunks.push(chunk.subarray(0, read));
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'permission is denied',
  EPERM: 'permission is denied',
  ERR_ENCODING_INVALID_ENCODED_DATA: 'it is not UTF-8 text',
};

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  return REASONS[code] ?? `it cannot be read (${code})`;
}
