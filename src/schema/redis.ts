/** What an operator says of the Redis server that sidecars share. */
import { z } from 'zod';
import { positiveDuration, secret } from './scalars.ts';
import { tlsTowards } from './tls.ts';

/** Where a Redis server is. */
export type RedisAddress =
  | { readonly kind: 'network'; readonly host: string; readonly port: number; readonly secure: boolean }
  | { readonly kind: 'socket'; readonly path: string };

export interface RedisLocation {
  readonly address: RedisAddress;
  /** Number of the database. */
  readonly database: number;
}

const USUAL_PORT = 6379;

/** What a URL says; undefined where it is none of a Redis server. */
export function locationOf(text: string): RedisLocation | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || url.hash !== '') return undefined;
  if (url.protocol === 'unix:') return socketOf(url);
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:') return undefined;
  const database = /^\/?(\d{0,5})$/.exec(url.pathname);
  if (!database || url.hostname === '' || url.search !== '') return undefined;
  return {
    address: {
      kind: 'network',
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      port: url.port === '' ? USUAL_PORT : Number(url.port),
      secure: url.protocol === 'rediss:',
    },
    database: Number(database[1]),
  };
}

function socketOf(url: URL): RedisLocation | undefined {
  const database = /^(?:\?db=(\d{1,5}))?$/.exec(url.search);
  if (!database || url.host !== '' || url.pathname.length < 2) return undefined;
  try {
    const path = decodeURIComponent(url.pathname);
    return { address: { kind: 'socket', path }, database: Number(database[1] ?? 0) };
  } catch {
    return undefined;
  }
}

export const redisUrl = z
  .string()
  .refine((text) => !/^[a-z]+:\/\/[^/]*@/i.test(text), {
    error: 'expected a URL without user and password; use username and password',
    abort: true,
  })
  .refine((text) => locationOf(text) !== undefined, {
    error:
      'expected the URL of a Redis server such as "redis://127.0.0.1:6379", "rediss://cache.example.com:6380/1" or "unix:///run/redis.sock"',
  })
  .meta({ id: 'RedisUrl', description: 'redis://host:port/database, rediss:// for TLS, unix:///path.' });

export const redisSchema = z
  .strictObject({
    url: redisUrl.describe('Address of the server; its path is the number of the database.'),
    prefix: z
      .string()
      .regex(/^[\x21-\x7a]{1,100}$/, { error: 'expected a prefix of letters, digits and signs, no spaces' })
      .default('outrigger:')
      .describe('What every key begins with. Sidecars with the same prefix share.'),
    timeout: positiveDuration
      .prefault('50ms')
      .describe('Longest wait for an answer. After it the sidecar decides by itself.'),
    connectTimeout: positiveDuration
      .prefault('1s')
      .describe('Longest wait for a connection, TLS and authentication included.'),
    username: z.string().min(1).optional().describe('User of the ACL. Default: the default user.'),
    password: secret(z.string().min(1)).optional().describe('Password. Never printed.'),
    tls: tlsTowards('Redis').prefault({}),
  })
  .refine(({ username, password }) => username === undefined || password !== undefined, {
    error: 'expected a password beside username',
  })
  .refine(
    ({ url, tls }) => url.startsWith('rediss:') || Object.values(tls).every((one) => one === undefined),
    { error: 'expected a URL with rediss:// beside tls', path: ['url'] },
  );

export type RedisOptions = z.output<typeof redisSchema>;
