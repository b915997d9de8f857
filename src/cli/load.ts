/** Loads a configuration for a command that only looks at it. */
import { checkConfig } from '../config/checks.ts';
import { loadConfig } from '../config/load.ts';
import type { ConfigInput, LoadedConfig } from '../config/load.ts';
import { formatProblems } from '../config/problem.ts';
import { configSchema } from '../config/schema.ts';
import type { Config } from '../config/schema.ts';
import type { Io } from './command.ts';
import { withKeys } from './fetch-keys.ts';

/** @returns undefined when it is invalid; then every problem has been printed */
export async function loadOrReport(input: ConfigInput, io: Io): Promise<LoadedConfig<Config> | undefined> {
  const result = loadConfig(configSchema, await withKeys(input), checkConfig);
  const problems = result.ok ? result.loaded.warnings : result.problems;
  if (problems.length > 0) io.err(`${formatProblems(problems, 'text')}\n`);
  return result.ok ? result.loaded : undefined;
}
