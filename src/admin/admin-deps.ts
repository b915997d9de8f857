/** What the admin plane asks of the rest of the process. */
import type { LoadedConfig } from '../config/load.ts';
import type { RegistryView } from '../core/registry.ts';
import type { Config } from '../config/schema.ts';
import type { AgentSnapshot } from '../core/agent.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { ReloadResult, Supervisor } from '../runtime/supervisor.ts';
import type { Journal } from '../telemetry/journal.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { AdminProblem } from './problems.ts';

export interface ProcessStatus {
  /** The process has been told to stop. */
  readonly draining: boolean;
  /** Exchanges under way. */
  readonly active: number;
  /** Upgraded connections that are open. */
  readonly tunnels: number;
}

export interface AdminDeps {
  readonly supervisor: Supervisor;
  readonly metrics: Metrics;
  readonly journal: Journal;
  readonly status: () => ProcessStatus;
  /** Undefined where there is no agent to look after. */
  readonly agent: () => AgentSnapshot | undefined;
  /** The embedded registry; undefined where there is none. */
  readonly registry: () => RegistryView | undefined;
  /** Reads the configuration again and puts it in force if it is good. */
  readonly reload: (cause: string) => Promise<ReloadResult>;
}

/** One generation and what it was made from. */
export interface InForce {
  readonly runtime: Runtime;
  readonly loaded: LoadedConfig<Config>;
}

/** The configuration in force; undefined before the first one is. Listeners are up whenever there is one. */
export function configInForce(supervisor: Supervisor): InForce | undefined {
  try {
    return { runtime: supervisor.runtime, loaded: supervisor.loaded };
  } catch {
    return undefined;
  }
}

/** @throws AdminProblem 503 before the first configuration is in force */
export function requireConfig(supervisor: Supervisor): InForce {
  const inForce = configInForce(supervisor);
  if (inForce) return inForce;
  throw new AdminProblem({
    status: 503,
    code: 'no_configuration',
    detail: 'no configuration is in force yet',
  });
}
