/** Which configuration a command is about: its flags, else the environment, else the one that comes with the package. */
import { delimiter, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ConfigInput } from '../config/load.ts';
import { isKeyAddress, parseKeyAddress } from '../keys/key-address.ts';
import type { Arguments } from './arguments.ts';
import { UsageError } from './command.ts';
import type { Option } from './command.ts';

export const CONFIG_OPTIONS = {
  config: {
    type: 'string',
    short: 'c',
    multiple: true,
    placeholder: 'FILE',
    help: 'A layer: a file, or etcd://host/key, consul://host/key; repeatable. Default: OUTRIGGER_CONFIG.',
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

/** @throws UsageError for an empty file name, and for the address of a key that is none */
export function configInput(args: Arguments, env: ConfigInput['env']): ConfigInput {
  const files = args.list('config') ?? fromEnvironment(env[FILES_VARIABLE]) ?? [packagedConfig()];
  if (files.includes('')) throw new UsageError('--config: expected the name of a file, got nothing');
  for (const file of files.filter(isKeyAddress)) {
    const address = parseKeyAddress(file);
    // What was written may hold a password, so it is not repeated.
    if (typeof address === 'string') throw new UsageError(`--config: ${address}`);
  }
  return { files, env, sets: args.list('set') ?? [] };
}

function fromEnvironment(value: string | undefined): readonly string[] | undefined {
  const files = layersIn(value ?? '', delimiter).filter((file) => file !== '');
  return files.length > 0 ? files : undefined;
}

/** The address of a key has colons of its own as far as its path; in the key itself they are written `%3A`. */
export function layersIn(value: string, separator: string): string[] {
  if (separator !== ':') return value.split(separator);
  return value.match(/(?:etcd|consul)(?:\+[a-z]*)?:\/\/[^/]*\/?[^:]*|[^:]+/g) ?? [];
}

/** Beside `src/` and `dist/` alike; told from the working directory where that is shorter. */
function packagedConfig(): string {
  const path = fileURLToPath(new URL('../../config/outrigger.yaml', import.meta.url));
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
}
