/** A real Redis server of a test's own, without persistence. It never outlives the test process. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Conditions } from './conditions.ts';
import { tlsFile } from './tls/identities.ts';
import type { ServerIdentity } from './tls/identities.ts';
import { freePort } from './free-port.ts';

/** Where there is none, tests that need one are skipped, but never where nobody reads what they print. */
export const hasRedis = spawnSync('redis-server', ['--version']).error === undefined;
if (!hasRedis && process.env['CI'] !== undefined) throw new Error('redis-server is not installed');
if (!hasRedis) console.warn('SKIPPED: redis-server is not installed, so nothing that is shared is tested');

/**
 * @param options as in redis.conf, such as `['--requirepass', 'x']`
 * @param tls who it shows itself as; it then demands a client certificate. Default: no TLS, in which alone `cli` works.
 */
export async function startRedis(
  options: readonly string[] = [],
  tls?: ServerIdentity,
): Promise<RedisServer> {
  // The port may be taken in the moment between; then there is another one.
  for (let tries = 1; ; tries++) {
    const server = new RedisServer(await freePort(), options, tls);
    try {
      await server.start();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      if (tries === 5) throw error;
    }
  }
}

export class RedisServer {
  readonly port: number;
  readonly #options: readonly string[];
  readonly #tls: ServerIdentity | undefined;
  readonly #folder = mkdtempSync(join(tmpdir(), 'outrigger-redis-'));
  readonly #killAtExit = (): void => void this.#child?.kill('SIGKILL');
  #child: ChildProcess | undefined;

  constructor(port: number, options: readonly string[], tls: ServerIdentity | undefined) {
    this.port = port;
    this.#options = options;
    this.#tls = tls;
    process.on('exit', this.#killAtExit);
  }

  get url(): string {
    return `${this.#tls === undefined ? 'redis' : 'rediss'}://127.0.0.1:${this.port}`;
  }

  get socketPath(): string {
    return join(this.#folder, 'socket');
  }

  /** Starts it, on the same port as before, with nothing in it. Resolves when it accepts connections. */
  async start(): Promise<void> {
    const basics = [...this.#listenOptions(), '--bind', '127.0.0.1', '--unixsocket', this.socketPath];
    const memoryOnly = ['--save', '', '--appendonly', 'no', '--dir', this.#folder];
    const child = spawn('redis-server', [...basics, ...memoryOnly, ...this.#options], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    const conditions = new Conditions();
    let output = '';
    child.once('error', (error) => conditions.close(error.message));
    child.once('exit', () => conditions.close(`redis-server exited: ${output}`));
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      conditions.changed();
    });
    child.stderr.resume();
    await conditions.untilTrue(
      () => output.includes('Ready to accept connections'),
      () => `redis-server: ${output}`,
    );
  }

  #listenOptions(): string[] {
    if (this.#tls === undefined) return ['--port', `${this.port}`];
    return [
      ...['--port', '0', '--tls-port', `${this.port}`],
      ...[
        '--tls-cert-file',
        tlsFile(`${this.#tls}.cert.pem`),
        '--tls-key-file',
        tlsFile(`${this.#tls}.key.pem`),
      ],
      ...['--tls-ca-cert-file', tlsFile('ca.cert.pem')],
    ];
  }

  /** Ends it at once, as a crash would. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  /** It stays connected and says no more. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  /** What redis-cli prints. */
  async cli(...args: readonly string[]): Promise<string> {
    const child = spawn('redis-cli', ['-p', `${this.port}`, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    await new Promise((resolve, reject) => {
      child.once('close', resolve);
      child.once('error', reject);
    });
    return text.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#killAtExit);
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
