/** How servers that hold the configuration are spoken to. The environment says it, for there is no configuration yet. */
import { readText } from '../schema/read-file.ts';
import { duration } from '../schema/scalars.ts';
import type { TlsOptions } from '../transport/endpoint-transport.ts';

type Env = Readonly<Record<string, string | undefined>>;

export interface KeySettings {
  /** Of etcd. */
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** Of Consul's ACL. */
  readonly token: string | undefined;
  readonly tls: TlsOptions;
  /** How long a start waits for servers that are away, in milliseconds. Default 30 000. */
  readonly waitMs: number;
}

const DEFAULT_WAIT_MS = 30_000;

/** @throws Error that names the variable, without its value */
export function keySettings(env: Env): KeySettings {
  const text = (name: string): string | undefined => {
    const value = env[`OUTRIGGER_CONFIG_${name}`];
    return value === '' ? undefined : value;
  };
  const ca = pemOf('CA_FILE', text('CA_FILE'));
  const cert = pemOf('CERT_FILE', text('CERT_FILE'));
  const key = pemOf('KEY_FILE', text('KEY_FILE'));
  if ((cert === undefined) !== (key === undefined))
    throw new Error('expected OUTRIGGER_CONFIG_CERT_FILE and OUTRIGGER_CONFIG_KEY_FILE together');
  return {
    user: text('USER'),
    password: text('PASSWORD'),
    token: text('TOKEN'),
    waitMs: waitOf(text('WAIT')),
    tls: {
      ...(ca !== undefined && { ca }),
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
    },
  };
}

function pemOf(name: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const file = readText(path, { regularOnly: true });
  if (!file.ok) throw new Error(`OUTRIGGER_CONFIG_${name}: ${file.reason}`);
  return file.text;
}

function waitOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_WAIT_MS;
  const parsed = duration.safeParse(text);
  if (!parsed.success) throw new Error('OUTRIGGER_CONFIG_WAIT: expected a duration such as "30s"');
  return parsed.data;
}
