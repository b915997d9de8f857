/** Endpoints from a file of their own, which something else writes: a deployment, a script, a side process. */
import { load } from 'js-yaml';
import type { YAMLException } from 'js-yaml';
import { z } from 'zod';
import { watchFiles } from '../files/watch.ts';
import type { FileWatch } from '../files/watch.ts';
import { endpointUrl, foundEndpointSchema } from '../schema/endpoint.ts';
import { readText } from '../schema/read-file.ts';
import { watchedPath } from '../schema/scalars.ts';
import type { DiscoveryDeps, DiscoveryKind, Discoverer } from './kind.ts';

const schema = watchedPath.describe(
  'A file with a list of endpoints, as YAML or JSON: URLs, or maps like those of `endpoints`, with `status` and `instance` where they are known. Read again whenever it changes.',
);

const contents = z.array(z.union([endpointUrl.transform((url) => ({ url })), foundEndpointSchema]));

const MAX_BYTES = 10 * 1024 * 1024;

export const file: DiscoveryKind<typeof schema> = {
  key: 'file',
  schema,
  build: (path, deps) => new FileDiscovery(path, deps),
};

class FileDiscovery implements Discoverer {
  readonly #path: string;
  readonly #deps: DiscoveryDeps;
  #watch: FileWatch | undefined;

  constructor(path: string, deps: DiscoveryDeps) {
    this.#path = path;
    this.#deps = deps;
  }

  start(): void {
    const { clock } = this.#deps;
    // Before the first reading, so that no change falls into a gap.
    this.#watch = watchFiles({ paths: [this.#path], clock, onChange: () => this.#read() });
    this.#read();
  }

  dispose(): void {
    this.#watch?.close();
  }

  #read(): void {
    const { list } = this.#deps;
    const text = readText(this.#path, { maxBytes: MAX_BYTES, regularOnly: true });
    if (!text.ok) return list.failed(`${this.#path}: ${text.reason}`);
    const parsed = parse(text.text);
    if (typeof parsed === 'string') return list.failed(`${this.#path}: ${parsed}`);
    list.replace(parsed);
  }
}

/** @returns what is wrong, where it is */
function parse(text: string): z.output<typeof contents> | string {
  let value: unknown;
  try {
    value = load(text);
  } catch (error) {
    const { reason, mark } = error as YAMLException;
    return `line ${(mark?.line ?? 0) + 1}: ${reason}`;
  }
  // So does a file look that is just being written.
  if (value === undefined || value === null) return 'expected a list of endpoints, got an empty file';
  const list = contents.safeParse(value);
  return list.success ? list.data : problemIn(list.error, value);
}

function problemIn({ issues }: z.ZodError, value: unknown): string {
  const [issue] = issues;
  if (!issue || !Array.isArray(value)) return 'expected a list of endpoints';
  const [index, ...rest] = issue.path;
  const inner =
    issue.code === 'invalid_union' ? issue.errors.flat().find(({ path }) => path.length > 0) : issue;
  const where = [`[${String(index)}]`, ...rest, ...(inner === issue ? [] : (inner?.path ?? []))].map(String);
  return `${where.join('.')}: ${inner?.message ?? 'expected a URL, or a map with a url'}`;
}
