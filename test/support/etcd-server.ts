/** A real etcd of a test's own, with its data in a directory that goes with it. It never outlives the test process. */
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
export const hasEtcd = spawnSync('etcd', ['--version']).error === undefined;
if (!hasEtcd && process.env['CI'] !== undefined) throw new Error('etcd is not installed');
if (!hasEtcd) console.warn('SKIPPED: etcd is not installed, so nothing that lives in etcd is tested');

export interface EtcdServerOptions {
  /** More of etcd's flags, such as `--auth-token-ttl=1`. */
  readonly flags?: readonly string[];
  /** Who it shows itself as. Default: no TLS. */
  readonly tls?: ServerIdentity;
}

export async function startEtcd(options: EtcdServerOptions = {}): Promise<EtcdServer> {
  // A port may be taken in the moment between; then there is another one.
  for (let tries = 1; ; tries++) {
    const server = new EtcdServer(await freePort(), await freePort(), options);
    try {
      await server.start();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      if (tries === 5) throw error;
    }
  }
}

export class EtcdServer {
  readonly port: number;
  readonly #peerPort: number;
  readonly #options: EtcdServerOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), 'outrigger-etcd-'));
  readonly #killAtExit = (): void => void this.#child?.kill('SIGKILL');
  #child: ChildProcess | undefined;

  constructor(port: number, peerPort: number, options: EtcdServerOptions) {
    this.port = port;
    this.#peerPort = peerPort;
    this.#options = options;
    process.on('exit', this.#killAtExit);
  }

  get url(): string {
    return `${this.#options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${this.port}`;
  }

  /** Starts it, on the same port and with the same data as before. Resolves when it serves clients. */
  async start(): Promise<void> {
    const child = spawn('etcd', this.#flags(), { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    const conditions = new Conditions();
    let output = '';
    child.once('error', (error) => conditions.close(error.message));
    child.once('exit', () => conditions.close(`etcd exited: ${output}`));
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        // What it says once it serves is not looked at.
        if (output.length < 100_000) output += text;
        conditions.changed();
      });
    await conditions.untilTrue(
      () => /serving .*client requests|serving client traffic/.test(output),
      () => `etcd: ${output}`,
      { timeoutMs: 20_000 },
    );
  }

  #flags(): string[] {
    const { tls, flags = [] } = this.#options;
    const peer = `http://127.0.0.1:${this.#peerPort}`;
    return [
      ...[
        '--name',
        'one',
        '--data-dir',
        join(this.#folder, 'data'),
        '--logger',
        'zap',
        '--log-outputs',
        'stderr',
      ],
      ...['--listen-client-urls', this.url, '--advertise-client-urls', this.url],
      ...[
        '--listen-peer-urls',
        peer,
        '--initial-advertise-peer-urls',
        peer,
        '--initial-cluster',
        `one=${peer}`,
      ],
      // Nobody's data depend on it, and the disk is shared.
      ...['--heartbeat-interval', '50', '--election-timeout', '250'],
      ...(tls === undefined
        ? []
        : ['--cert-file', tlsFile(`${tls}.cert.pem`), '--key-file', tlsFile(`${tls}.key.pem`)]),
      ...flags,
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

  /** Ends it and forgets everything that was in it: the next start is another cluster. */
  async wipe(): Promise<void> {
    await this.kill();
    rmSync(join(this.#folder, 'data'), { recursive: true, force: true });
  }

  /** It stays connected and says no more. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  async put(key: string, value: string): Promise<void> {
    await this.ctl('put', key, '--', value);
  }

  async delete(key: string): Promise<void> {
    await this.ctl('del', key);
  }

  /** Forgets all revisions but the newest. */
  async compact(): Promise<void> {
    const status = JSON.parse(await this.ctl('endpoint', 'status', '-w', 'json')) as [
      { Status: { header: { revision: number } } },
    ];
    await this.ctl('compact', String(status[0].Status.header.revision));
  }

  /** What etcdctl prints. */
  async ctl(...args: readonly string[]): Promise<string> {
    const trust = this.#options.tls === undefined ? [] : ['--cacert', tlsFile('ca.cert.pem')];
    const child = spawn('etcdctl', ['--endpoints', this.url, ...trust, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ETCDCTL_API: '3' },
    });
    let text = '';
    let complaint = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (complaint += chunk));
    const code = await new Promise((resolve, reject) => {
      child.once('close', resolve);
      child.once('error', reject);
    });
    if (code !== 0) throw new Error(`etcdctl ${args.join(' ')}: ${complaint}`);
    return text.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#killAtExit);
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
