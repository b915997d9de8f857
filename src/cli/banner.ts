/** What a person reads after the start: where the sidecar is, and what to set so that an agent goes through it. */
import type { Config, UpstreamConfig } from '../config/schema.ts';
import { VERSION } from '../version.ts';
import { httpUrl } from './urls.ts';
import type { Address } from './urls.ts';

/** What is needed of a running sidecar. */
export interface Running {
  readonly supervisor: { readonly config: Config };
  readonly dataPlane: { address(upstream?: string): Address | undefined };
  readonly admin: { address(): Address | undefined };
}

/** Providers whose official SDKs read their base URL from the environment. */
interface Provider {
  readonly name: string;
  readonly host: string;
  readonly variable: string;
  /** What the SDK expects its base URL to hold of the path. */
  readonly basePath: string;
}

const PROVIDERS: readonly Provider[] = [
  { name: 'openai', host: 'api.openai.com', variable: 'OPENAI_BASE_URL', basePath: '/v1' },
  { name: 'anthropic', host: 'api.anthropic.com', variable: 'ANTHROPIC_BASE_URL', basePath: '' },
  {
    name: 'gemini',
    host: 'generativelanguage.googleapis.com',
    variable: 'GOOGLE_GEMINI_BASE_URL',
    basePath: '',
  },
];

export function banner(running: Running): string {
  const { config } = running.supervisor;
  const scheme = config.server.tls ? 'https' : 'http';
  const shared = urlOf(running.dataPlane.address(), scheme);
  const entries = Object.entries(config.upstreams).map(([name, upstream]): [string, string] => [
    name,
    setting(name, upstream, baseUrl(upstream, shared, urlOf(running.dataPlane.address(name), scheme))),
  ]);
  const width = Math.max(0, ...entries.map(([name]) => name.length));
  const lines = entries.map(([name, text]) => `    ${name.padEnd(width)}  ${text}\n`).join('');
  const upstreams =
    entries.length > 0 ? `  point your agent here\n${lines}` : '  no upstreams are configured\n';
  return `outrigger ${VERSION}
  data plane   ${shared}
  admin plane  ${urlOf(running.admin.address(), 'http')}  (/ready, /metrics, /admin/upstreams)
${upstreams}`;
}

const urlOf = (address: Address | undefined, scheme: 'http' | 'https'): string =>
  address ? httpUrl(address, scheme) : '(not listening)';

function baseUrl({ route }: UpstreamConfig, shared: string, own: string): string {
  if (route === undefined) return own;
  return route === '/' ? shared : shared + route;
}

/** The line for one upstream: a variable to set where its SDK has one, else the plain URL. */
function setting(name: string, upstream: UpstreamConfig, url: string): string {
  const provider = providerOf(name, upstream);
  return provider ? `${provider.variable}=${url}${missingBasePath(provider, upstream)}` : url;
}

function providerOf(name: string, { route, endpoints }: UpstreamConfig): Provider | undefined {
  const hosts = endpoints.map(({ url }) => new URL(url).hostname);
  return PROVIDERS.find(
    (provider) => provider.name === name || `/${provider.name}` === route || hosts.includes(provider.host),
  );
}

/** An endpoint that already ends in the base path adds it by itself. */
const missingBasePath = ({ basePath }: Provider, { endpoints }: UpstreamConfig): string =>
  endpoints.some(({ url }) => basePath !== '' && new URL(url).pathname.replace(/\/$/, '').endsWith(basePath))
    ? ''
    : basePath;
