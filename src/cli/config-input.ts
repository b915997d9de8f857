/** Which configuration a command is about: its flags, else the environment, else the one that comes with the package. */
import { delimiter, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ConfigInput } from '../config/load.ts';
import type { Arguments } from './arguments.ts';
import { UsageError } from './command.ts';
import type { Option } from './command.ts';

export const CONFIG_OPTIONS = {
  config: {
    type: 'string',
    short: 'c',
    multiple: true,
    placeholder: 'FILE',
    help: 'A layer of the configuration; repeatable. Default: OUTRIGGER_CONFIG, then the packaged file.',
  },
  set: {
    type: 'string',
    multiple: true,
    placeholder: 'PATH=VALUE',
    help: 'A value over all files; repeatable. Example: server.listen=127.0.0.1:8081',
  },
} as const satisfies Record<string, Option>;

/** Several files are separated as in PATH: `:`, on Windows `;`. */
const FILES_VARIABLE = 'OUTRIGGER_CONFIG';

/** @throws UsageError for an empty file name */
export function configInput(args: Arguments, env: ConfigInput['env']): ConfigInput {
  const files = args.list('config') ?? fromEnvironment(env[FILES_VARIABLE]) ?? [packagedConfig()];
  if (files.includes('')) throw new UsageError('--config: expected the name of a file, got nothing');
  return { files, env, sets: args.list('set') ?? [] };
}

function fromEnvironment(value: string | undefined): readonly string[] | undefined {
  const files = (value ?? '').split(delimiter).filter((file) => file !== '');
  return files.length > 0 ? files : undefined;
}

/** Beside `src/` and `dist/` alike; told from the working directory where that is shorter. */
function packagedConfig(): string {
  const path = fileURLToPath(new URL('../../config/outrigger.yaml', import.meta.url));
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
}
