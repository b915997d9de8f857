/** A whole sidecar whose configuration is a real file, and the admin plane's answers over real connections. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Sidecar } from '../../src/sidecar.ts';
import { request } from '../support/raw-client.ts';
import type { RequestInit } from '../support/raw-client.ts';

export interface Answer {
  readonly status: number;
  readonly text: string;
  /** The body as JSON; throws when it is none. */
  readonly json: Record<string, unknown>;
  header(name: string): string | undefined;
}

/** What a test sends; `json` is a body with its content type. */
export interface Question extends RequestInit {
  readonly json?: unknown;
}

export interface AdminFixture extends AsyncDisposable {
  readonly sidecar: Sidecar;
  readonly adminPort: number;
  readonly dataPort: number;
  /** The configuration file. */
  readonly file: string;
  get(path: string, headers?: Record<string, string>): Promise<Answer>;
  post(path: string, question?: Question): Promise<Answer>;
  /** A request to the data plane. */
  call(path: string): Promise<Answer>;
  /** Replaces the configuration file; nothing reads it until a reload. */
  rewrite(yaml: string): Promise<void>;
}

export interface FixtureOptions {
  /** `host:port` of the admin plane. Default `127.0.0.1:0`. */
  readonly admin?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** @param yaml without `server.listen` and `server.admin` */
export async function adminWith(yaml: string, options: FixtureOptions = {}): Promise<AdminFixture> {
  const folder = await mkdtemp(join(tmpdir(), 'outrigger-admin-'));
  const file = join(folder, 'outrigger.yaml');
  await writeFile(file, yaml);
  const sets = ['server.listen=127.0.0.1:0', `server.admin=${options.admin ?? '127.0.0.1:0'}`];
  const sidecar = await Sidecar.start({
    input: { files: [file], env: options.env ?? {}, sets },
    watch: false,
    logTo: '/dev/null',
  });
  const adminPort = sidecar.admin.address()?.port ?? 0;
  const dataPort = sidecar.dataPlane.address()?.port ?? 0;
  return {
    sidecar,
    adminPort,
    dataPort,
    file,
    get: (path, headers) => ask(adminPort, { path, ...(headers && { headers }) }),
    post: (path, question) => ask(adminPort, { method: 'POST', path, ...question }),
    call: (path) => ask(dataPort, { path }),
    rewrite: (text) => writeFile(file, text),
    [Symbol.asyncDispose]: async () => {
      await sidecar.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** One request on a connection of its own; the Host field is that of the address unless told otherwise. */
export async function ask(port: number, { json, ...init }: Question): Promise<Answer> {
  const content = json === undefined ? {} : { 'content-type': 'application/json' };
  const response = await request(port, {
    ...init,
    headers: { host: `127.0.0.1:${port}`, ...content, ...(init.headers as Record<string, string>) },
    ...(json !== undefined && { body: JSON.stringify(json) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    text,
    get json() {
      return JSON.parse(text) as Record<string, unknown>;
    },
    header: (name) => response.header(name),
  };
}

/** One upstream that nobody calls. */
export const IDLE_UPSTREAM = `
upstreams:
  models:
    route: /models
    endpoints: [{ url: http://127.0.0.1:9 }]
`;
