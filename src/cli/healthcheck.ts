/**
 * `outrigger healthcheck`: asks the running sidecar whether it is well, for containers and scripts. It must be quick,
 * for it runs every few seconds, and must not fail because of a configuration that the sidecar itself has refused.
 */
import { request } from 'node:http';
import type { ConfigInput } from '../config/load.ts';
import { UsageError } from './command.ts';
import type { Command, Io } from './command.ts';
import { CONFIG_OPTIONS, configInput } from './config-input.ts';
import { httpUrl, parseAddress } from './urls.ts';
import type { Address } from './urls.ts';

const TIMEOUT_MS = 2_000;

export const healthcheck: Command = {
  name: 'healthcheck',
  summary: 'Ask the running sidecar whether it is alive.',
  details: `Asks /health of the configured admin address, within ${TIMEOUT_MS / 1_000} s. Exit code 1 unless the answer is 2xx.`,
  options: {
    ...CONFIG_OPTIONS,
    ready: { type: 'boolean', help: 'Ask /ready: also no while starting, draining or without listeners.' },
    url: {
      type: 'string',
      placeholder: 'URL',
      help: 'Ask this instead, such as http://127.0.0.1:9090/ready.',
    },
  },
  run: async (args, io) => {
    const asked = args.text('url');
    const path = args.flag('ready') ? '/ready' : '/health';
    const url = asked === undefined ? await configuredUrl(configInput(args, io.env), path) : parseUrl(asked);
    return check(url, io);
  },
};

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:')
    throw new UsageError(
      `--url: expected a URL such as http://127.0.0.1:9090/health, got ${JSON.stringify(text)}`,
    );
  return url;
}

async function configuredUrl(input: ConfigInput, path: string): Promise<URL> {
  const address = addressFromEnvironment(input) ?? (await import('./admin-address.ts')).adminAddress(input);
  if (address.port === 0)
    throw new UsageError('server.admin has port 0, so the port in use is unknown here; use --url');
  return new URL(`${httpUrl(address)}${path}`);
}

/** The environment wins over files, so where it names the address, as in the container image, no file need be read. */
function addressFromEnvironment({ env, sets }: ConfigInput): Address | undefined {
  const value = env['OUTRIGGER__SERVER__ADMIN'] ?? '';
  return sets.length === 0 && /^[^\s/]+:\d{1,5}$/.test(value) ? parseAddress(value) : undefined;
}

async function check(url: URL, io: Io): Promise<number> {
  try {
    const status = await statusOf(url);
    const well = status >= 200 && status < 300;
    if (well) io.out(`ok: ${url.href} answered ${status}\n`);
    else io.err(`not well: ${url.href} answered ${status}\n`);
    return well ? 0 : 1;
  } catch (error) {
    io.err(`not well: ${url.href}: ${(error as Error).message}\n`);
    return 1;
  }
}

function statusOf(url: URL): Promise<number> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const asking = request(url, { agent: false, signal }, (response) => {
      resolve(response.statusCode ?? 0);
      response.destroy();
    });
    asking.on('error', (error) => {
      reject(signal.aborted ? new Error(`no answer within ${TIMEOUT_MS / 1_000} s`) : error);
    });
    asking.end();
  });
}
