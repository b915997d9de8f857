/** A running proxy, as the load sees it. */
import type { Garage, Proxy } from '../lab/proxy.ts';
import type { Target } from '../load/jobs.ts';

export function targetOf({ port, pids }: Proxy, { pinning }: Garage): Target {
  return pinning ? { port, pids, core: pinning.proxyCore } : { port, pids };
}
