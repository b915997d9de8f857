/** Addresses of keys that a layer of the configuration lives in: `etcd://host:2379/key`, `consul+https://host/key?dc=x`. */

export interface KeyAddress {
  readonly kind: 'etcd' | 'consul';
  /** Origins: one of Consul, or the members of an etcd cluster. */
  readonly servers: readonly string[];
  readonly key: string;
  /** Consul's `dc`, `ns` and `partition`. */
  readonly params: Readonly<Record<string, string>>;
}

const USUAL_PORT = { etcd: 2379, consul: 8500 } as const;

const CONSUL_PARAMS = ['dc', 'ns', 'partition'];

const ADDRESS =
  /^(?<kind>etcd|consul)(?:\+(?<scheme>https?))?:\/\/(?<hosts>[^/?#]*)\/(?<key>[^?#]*)(?:\?(?<query>[^#]*))?$/;

export const isKeyAddress = (text: string): boolean => /^(etcd|consul)(\+[a-z]*)?:\/\//.test(text);

/** @returns what is wrong with it, without what could be a password */
export function parseKeyAddress(text: string): KeyAddress | string {
  const { kind, scheme = 'http', hosts = '', key = '', query = '' } = ADDRESS.exec(text)?.groups ?? {};
  if (kind !== 'etcd' && kind !== 'consul')
    return 'expected the address of a key, such as "etcd://127.0.0.1:2379/outrigger/config"';
  if (hosts.includes('@')) return 'expected an address without user and password: the environment has them';
  const servers = hosts.split(',').map((host) => originOf(scheme, host, USUAL_PORT[kind]));
  const good = servers.filter((server) => server !== undefined);
  if (good.length < servers.length) return 'expected host:port behind "://"';
  if (kind === 'consul' && good.length > 1) return 'expected one host: Consul’s agents find each other';
  const name = decoded(key);
  if (name === undefined || name === '') return 'expected the name of a key behind the host';
  const params = Object.fromEntries(new URLSearchParams(query));
  if (Object.keys(params).some((param) => kind === 'etcd' || !CONSUL_PARAMS.includes(param)))
    return kind === 'etcd' ? 'expected no "?" in it' : 'expected only dc, ns and partition behind "?"';
  return { kind, servers: good, key: name, params };
}

function originOf(scheme: string, host: string, port: number): string | undefined {
  const text = `${scheme}://${host}`;
  if (host === '' || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  // What is the scheme's own port is not told apart from none, so the text is asked.
  return /:\d+$/.test(host) ? `${scheme}://${host}` : `${scheme}://${url.hostname}:${port}`;
}

function decoded(key: string): string | undefined {
  try {
    return decodeURIComponent(key);
  } catch {
    return undefined;
  }
}
