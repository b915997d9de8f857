/** From the `agent.register` section to the registrar of its kind, with connections of its own. */
import type { AgentIdentity } from '../core/agent.ts';
import type { Clock } from '../core/clock.ts';
import type { InstanceRegistrar } from '../core/registry.ts';
import { clientOf } from '../discovery/client-of.ts';
import { ConsulClient } from '../discovery/consul-client.ts';
import { EtcdClient } from '../discovery/etcd-client.ts';
import { RegistryClient } from '../registry/client.ts';
import { DEFAULT_TTL_MS } from '../schema/agent-register.ts';
import type {
  AgentRegisterOptions,
  ConsulTarget,
  EtcdTarget,
  RegistryTarget,
} from '../schema/agent-register.ts';
import type { TlsTowards } from '../schema/tls.ts';
import type { HttpClient } from '../transport/http-client.ts';
import type { Registrar } from './registrar.ts';
import { ConsulRegistrar } from './registrars/consul.ts';
import { EtcdRegistrar } from './registrars/etcd.ts';
import { RegistryRegistrar } from './registrars/registry.ts';

export interface RegistrarDeps {
  readonly clock: Clock;
  /** The registry of this sidecar. */
  readonly registry: InstanceRegistrar;
}

/** What every kind needs. */
interface Common {
  readonly agent: AgentIdentity;
  /** Undefined: what the registry gives. */
  readonly ttlMs: number | undefined;
  readonly timeoutMs: number;
  readonly client: (tls: TlsTowards) => HttpClient;
}

/** Contacts nobody. */
export function makeRegistrar(
  options: AgentRegisterOptions,
  agent: AgentIdentity,
  { clock, registry: own }: RegistrarDeps,
): Registrar {
  const { registry, consul, etcd, ttl: ttlMs, timeout: timeoutMs } = options;
  const client = (tls: TlsTowards): HttpClient => clientOf(clock, tls);
  const common: Common = { agent, ttlMs, timeoutMs, client };
  if (registry) return registryRegistrar(registry, common);
  if (consul) return consulRegistrar(consul, common);
  if (etcd) return etcdRegistrar(etcd, common);
  return new RegistryRegistrar({ name: 'embedded registry', registry: own, agent, ttlMs });
}

/** URLs are written with or without a slash at the end. */
const base = (url: string): string => url.replace(/\/+$/, '');

function registryRegistrar(target: RegistryTarget, { agent, ttlMs, timeoutMs, client }: Common): Registrar {
  const http = client(target.tls);
  const url = base(target.url);
  return new RegistryRegistrar({
    ...{ agent, ttlMs, name: `registry ${url}` },
    registry: new RegistryClient({ url, token: target.token, timeoutMs }, http),
    dispose: () => http.dispose(),
  });
}

function consulRegistrar(
  target: ConsulTarget,
  { agent, ttlMs = DEFAULT_TTL_MS, timeoutMs, client }: Common,
): Registrar {
  const http = client(target.tls);
  const url = base(target.url);
  return new ConsulRegistrar({
    ...{ agent, ttlMs, url, namespace: target.namespace, partition: target.partition },
    client: new ConsulClient({ url, token: target.token, timeoutMs }, http),
    deregisterAfterMs: target.deregisterAfter,
    dispose: () => http.dispose(),
  });
}

function etcdRegistrar(
  target: EtcdTarget,
  { agent, ttlMs = DEFAULT_TTL_MS, timeoutMs, client }: Common,
): Registrar {
  const http = client(target.tls);
  const { user, password, prefix } = target;
  const urls = target.urls.map(base);
  return new EtcdRegistrar({
    ...{ agent, ttlMs, urls, prefix },
    client: new EtcdClient({ endpoints: urls, user, password, timeoutMs }, http),
    dispose: () => http.dispose(),
  });
}
