/**
 * The scalars every schema section is built from. YAML carries units (`2s`, `10MiB`); behind the schema there are
 * only numbers, in milliseconds, bytes and ratios.
 */
import { z } from 'zod';

const MS_PER_UNIT = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;
const BYTES_PER_UNIT = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
} as const;

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/;
const SIZE = /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB|KB|MB|GB)$/;

/** Timers are 32-bit in Node: a longer one would fire at once. */
const MAX_DURATION_MS = 2 ** 31 - 1;

const scaled = (text: string, pattern: RegExp, units: Readonly<Record<string, number>>): number => {
  const match = pattern.exec(text);
  return match ? Number(match[1]) * (units[match[2] ?? ''] ?? Number.NaN) : Number.NaN;
};

/** A duration such as `250ms`, `30s`, `1.5m`, `2h`; milliseconds inside. Range 0 to about 24.8 days. */
export const duration = z
  .codec(
    z.string().regex(DURATION, { error: 'expected a duration such as "250ms", "30s" or "5m"' }),
    z.number().min(0).max(MAX_DURATION_MS, { error: 'expected a duration of at most 24 days' }),
    { decode: (text) => scaled(text, DURATION, MS_PER_UNIT), encode: (ms) => `${ms}ms` },
  )
  .meta({
    id: 'Duration',
    description: 'A duration: a number with ms, s, m or h, such as "250ms" or "30s".',
  });

/** A duration above zero, for intervals and windows that cannot be empty. */
export const positiveDuration = z
  .codec(
    z.string().regex(DURATION, { error: 'expected a duration above zero such as "250ms", "30s" or "5m"' }),
    z
      .number()
      .gt(0, { error: 'expected a duration above zero' })
      .max(MAX_DURATION_MS, { error: 'expected a duration of at most 24 days' }),
    { decode: (text) => scaled(text, DURATION, MS_PER_UNIT), encode: (ms) => `${ms}ms` },
  )
  .meta({ id: 'PositiveDuration', description: 'A duration above zero, such as "250ms" or "30s".' });

/** A size such as `512B`, `64KiB`, `10MiB`; bytes inside. */
export const size = z
  .codec(
    z.string().regex(SIZE, { error: 'expected a size such as "512B", "64KiB" or "10MiB"' }),
    z.number().int({ error: 'expected a whole number of bytes' }).min(0),
    { decode: (text) => scaled(text, SIZE, BYTES_PER_UNIT), encode: (bytes) => `${bytes}B` },
  )
  .meta({
    id: 'Size',
    description: 'A size: a number with B, KiB, MiB or GiB (or KB, MB, GB), such as "10MiB".',
  });

/** A share from 0 to 1. */
export const ratio = z.number().min(0).max(1).meta({ id: 'Ratio', description: 'A share between 0 and 1.' });

const PERCENTILE = /^p(\d{1,2}(?:\.\d)?)$/;

/** A percentile such as `p95` or `p99.9`; a share between 0.5 and 1 inside. */
export const percentile = z
  .codec(
    z.string().regex(PERCENTILE, { error: 'expected a percentile such as "p95" or "p99.9"' }),
    z.number().min(0.5, { error: 'expected a percentile from "p50" to "p99.9"' }).lt(1),
    {
      decode: (text) => Number(PERCENTILE.exec(text)?.[1]) / 100,
      encode: (share) => `p${Number((share * 100).toFixed(1))}`,
    },
  )
  .meta({ id: 'Percentile', description: 'A percentile from "p50" to "p99.9".' });

/** A count of at least 0. */
export const count = z.number().int().min(0);

/** A count of at least 1. */
export const positiveCount = z.number().int().min(1);

/** `host:port` to listen on. Port 0 asks the system for a free one. */
export const listenAddress = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.*-]+):\d{1,5}$/, {
    error: 'expected host:port, such as "127.0.0.1:8080" or "[::1]:8080"',
  })
  .refine((text) => Number(text.slice(text.lastIndexOf(':') + 1)) <= 65_535, {
    error: 'expected a port up to 65535',
  })
  .meta({ id: 'ListenAddress', description: 'host:port to listen on, such as "127.0.0.1:8080".' });

/** A header name: an RFC 9110 token. Lower case inside. */
export const headerName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, { error: 'expected a header name' })
  .meta({ id: 'HeaderName', description: 'A header name.' });

/** A header value: no control characters, so that it cannot smuggle a second line. */
export const headerValue = z
  .string()
  .regex(/^[\t\x20-\x7e\x80-\xff]*$/, {
    error: 'expected a header value without line breaks or control characters',
  })
  .meta({ id: 'HeaderValue', description: 'A header value.' });

/** The path of a directory, which need not exist; a relative one starts where the naming file is. */
export const folderPath = z.string().min(1).meta({
  id: 'FolderPath',
  description: 'Path of a directory; a relative one starts where the naming file is.',
  path: 'folder',
});

/** The path of a file that is read while the sidecar runs, and need not exist before. */
export const watchedPath = z.string().min(1).meta({
  id: 'WatchedPath',
  description: 'Path of a file; a relative one starts where the naming file is.',
  path: 'folder',
});

/** Marks a schema whose value must never be printed. */
export const secret = <S extends z.ZodType>(schema: S): S => {
  // The copy is not the shared definition any more, so it must not claim its id.
  const { id: _id, ...meta } = schema.meta() ?? {};
  return schema.meta({ ...meta, secret: true });
};
