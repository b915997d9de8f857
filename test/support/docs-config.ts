/** Configurations as the docs show them: whole, as a fragment with its place, or wrong on purpose. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dump, load } from 'js-yaml';
import { checkConfig } from '../../src/config/checks.ts';
import { loadConfig } from '../../src/config/load.ts';
import { formatProblems } from '../../src/config/problem.ts';
import { configSchema } from '../../src/config/schema.ts';

/** Keys at the top of YAML that belongs to other programs. */
const FOREIGN_KEYS = ['services', 'apiVersion', 'scrape_configs', 'global', 'groups', 'jobs'];

export function isForeign(text: string): boolean {
  const value = load(text);
  if (Array.isArray(value)) return true;
  return typeof value === 'object' && value !== null && FOREIGN_KEYS.some((key) => key in value);
}

/**
 * What is wrong with a configuration, as the command line says it; empty when it is good. Every variable that it names
 * is set, and every file that it refers to exists.
 */
export function problemsOf(name: string, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'outrigger-docs-'));
  try {
    const file = join(folder, 'secret');
    writeFileSync(file, 'a-secret\n');
    const variables = [...text.matchAll(/\$\{([A-Z][A-Z0-9_]*)(?=[}:])/g)].map((match) => match[1]!);
    const env = Object.fromEntries(variables.map((one) => [one, 'example-value']));
    const readable = text.replace(/\$\{file:(?:[^{}]|\$\{[^}]*\})*\}/g, `\${file:${file}}`);
    const input = { files: [], env, sets: [], texts: [{ name, text: readable }] };
    const result = loadConfig(configSchema, input, checkConfig);
    return result.ok ? '' : formatProblems(result.problems, 'text');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Puts a fragment at `path` (`upstreams.x.policies`) of a configuration that is complete but for it. */
export function completed(path: string, fragment: string): string {
  const keys = path.split('.');
  const upstream = keys[0] === 'upstreams' ? (keys[1] ?? 'example') : 'example';
  const config: Record<string, unknown> = {
    upstreams: { [upstream]: { route: '/example', endpoints: [{ url: 'http://127.0.0.1:9000' }] } },
  };
  const above = keys.slice(0, -1).reduce((at, key) => (at[key] ??= {}) as Record<string, unknown>, config);
  const last = keys.at(-1)!;
  const [before, value] = [above[last], load(fragment)];
  above[last] = isMap(before) && isMap(value) ? { ...before, ...value } : value;
  return dump(config);
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
