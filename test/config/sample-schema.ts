/** A small schema with everything the configuration's machinery has to cope with, and a short way to load text. */
import { z } from 'zod';
import { loadConfig } from '../../src/config/load.ts';
import type { ConfigCheck, ConfigInput, LoadedConfig, LoadResult } from '../../src/config/load.ts';
import { formatProblems } from '../../src/config/problem.ts';
import type { Problem } from '../../src/config/problem.ts';
import {
  count,
  duration,
  headerName,
  headerValue,
  positiveDuration,
  ratio,
  secret,
  size,
} from '../../src/schema/scalars.ts';

const retry = z.strictObject({
  maxRetries: count.prefault(2).describe('Attempts after the first.'),
  backoff: z
    .strictObject({ initial: duration.prefault('250ms'), max: duration.prefault('8s') })
    .refine((one) => one.initial <= one.max, { path: ['initial'], error: 'expected at most max' })
    .prefault({}),
  budget: z.strictObject({ ratio: ratio.prefault(0.2) }).optional(),
  retryOn: z.array(z.number().int()).optional(),
  jitter: z.enum(['full', 'none']).prefault('full'),
});

const rung = z.union([
  z.strictObject({ upstream: z.string() }),
  z.strictObject({ cache: z.literal('stale') }),
  z.strictObject({
    static: z.strictObject({ status: z.number().int().min(200).max(599), body: z.string() }),
  }),
]);

const upstream = z.strictObject({
  route: z.string().regex(/^\//, { error: 'expected a path that starts with "/"' }),
  dialect: z.enum(['generic', 'openai', 'anthropic']).prefault('generic'),
  endpoints: z
    .array(z.strictObject({ name: z.string().optional(), url: z.url(), weight: count.optional() }))
    .min(1),
  credentials: z
    .strictObject({ header: headerName.prefault('authorization'), value: secret(headerValue) })
    .optional(),
  headers: z.record(headerName, headerValue).optional(),
  anything: z.unknown().optional(),
  policies: z
    .strictObject({
      retry: z.union([z.literal(false), retry]).prefault({}),
      deadline: z.union([z.literal(false), z.strictObject({ after: positiveDuration })]).optional(),
      fallback: z.array(rung).optional(),
    })
    .prefault({}),
});

export const sampleSchema = z.strictObject({
  server: z
    .strictObject({
      listen: z.string().prefault('127.0.0.1:8080'),
      verbose: z.boolean().optional(),
      maxBody: size.prefault('10MiB'),
    })
    .prefault({}),
  store: z
    .discriminatedUnion('type', [
      z.strictObject({ type: z.literal('memory') }),
      z.strictObject({ type: z.literal('redis'), url: secret(z.string()) }),
    ])
    .optional(),
  upstreams: z
    .record(z.string().regex(/^[a-z][\w.-]*$/, { error: 'expected a lower-case name' }), upstream)
    .prefault({}),
});

export type Sample = z.output<typeof sampleSchema>;

export interface Given extends Partial<Omit<ConfigInput, 'texts'>> {
  readonly check?: ConfigCheck<Sample>;
}

/** Loads texts named `a.yaml`, `b.yaml`, … in this order. */
export function load(texts: string | readonly string[], given: Given = {}): LoadResult<Sample> {
  const named = [texts].flat().map((text, index) => ({ name: `${'abcdef'[index]}.yaml`, text }));
  const { check, ...input } = given;
  return loadConfig(sampleSchema, { files: [], env: {}, sets: [], ...input, texts: named }, check);
}

export function loaded(texts: string | readonly string[], given: Given = {}): LoadedConfig<Sample> {
  const result = load(texts, given);
  if (!result.ok) throw new Error(formatProblems(result.problems, 'text'));
  return result.loaded;
}

export function problems(texts: string | readonly string[], given: Given = {}): readonly Problem[] {
  const result = load(texts, given);
  if (result.ok) throw new Error('expected problems, got a configuration');
  return result.problems;
}

/** `file:line:column: path: message`, one a problem. */
export const heads = (texts: string | readonly string[], given: Given = {}): readonly string[] =>
  problems(texts, given).map((problem) => formatProblems([problem], 'text').split('\n')[0] ?? '');

/** A valid upstream named `openai` with more lines inside; `{}` where only its existence counts. */
export const openai = (...lines: readonly string[]): string =>
  [
    'upstreams:',
    '  openai:',
    '    route: /openai',
    '    endpoints: [{ url: "https://api.example" }]',
    ...lines,
    '',
  ].join('\n');
