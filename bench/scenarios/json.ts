/** Small requests: what a proxy costs per call. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasTool } from '../lab/machine.ts';
import { freePort, untilOk } from '../lab/probe.ts';
import type { Proxy } from '../lab/proxy.ts';
import { hasEnded, start, stop } from '../lab/processes.ts';
import { peakRssKb } from '../lab/proc.ts';
import { JSON_BYTES, jsonOf } from '../load/content.ts';
import type { JobResult, JsonJob } from '../load/jobs.ts';
import { runWrk } from '../load/wrk.ts';
import { nginxConfig } from '../peers/nginx.ts';
import { pricedNames } from '../peers/priced.ts';
import { targetOf } from './target.ts';
import { peakColumn, type Bench, type Sample, type Scenario, type Stage } from './scenario.ts';

const CONNECTIONS = 64;

interface Upstream {
  readonly port: number;
  close(): Promise<void>;
}

/** nginx answering from memory where it is installed, because it leaves the load's core the most air. */
async function startUpstream({ garage, load }: Bench): Promise<Upstream> {
  if (!hasTool('nginx')) return { port: load.upstreamPort, close: () => Promise.resolve() };
  const directory = garage.newDirectory('upstream');
  const port = await freePort();
  const file = join(directory, 'nginx.conf');
  const server = `  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { return 200 '${jsonOf(JSON_BYTES)}'; }
  }`;
  writeFileSync(file, nginxConfig(directory, server));
  const child = start(
    'nginx',
    ['-p', directory, '-e', 'stderr', '-c', file],
    ['ignore', 'ignore', 'inherit'],
  );
  const up = await untilOk(port, '/json', { timeoutMs: 5_000, givenUp: () => hasEnded(child) });
  if (!up) throw new Error('the nginx upstream did not start');
  return { port, close: () => stop(child) };
}

function figuresOf({ figures, failures, foreignShare }: JobResult, peakKb: number): Sample {
  const { requests = 0, cpuSeconds = 0, wallSeconds = 0, p50Ms = 0, p99Ms = 0 } = figures;
  return {
    figures: {
      cpuUs: (cpuSeconds * 1e6) / requests,
      perSecond: requests / wallSeconds,
      p50Ms,
      p99Ms,
      busy: (cpuSeconds / wallSeconds) * 100,
      peakMb: peakKb / 1_024,
    },
    failures,
    ...(foreignShare === undefined ? {} : { foreignShare }),
  };
}

const describe = (): string =>
  `${CONNECTIONS} keep-alive connections, as fast as they go; load: ${hasTool('wrk') ? 'wrk -t1' : 'built-in'}, ` +
  `upstream: ${hasTool('nginx') ? 'nginx from memory' : 'built-in'}`;

const figures: Pick<Scenario, 'primary' | 'together' | 'columns'> = {
  primary: 'cpuUs',
  together: true,
  columns: [
    { key: 'cpuUs', title: 'CPU µs/request', digits: 1 },
    { key: 'perSecond', title: 'requests/s', digits: 0 },
    { key: 'p50Ms', title: 'p50 ms', digits: 2 },
    { key: 'p99Ms', title: 'p99 ms', digits: 2 },
    { key: 'busy', title: 'busy %', digits: 0 },
    peakColumn,
  ],
};

export const jsonScenario: Scenario = {
  name: 'json',
  title: 'Small JSON: 1 KB POST, 1 KB answer',
  describe,
  ...figures,
  open: (bench) => openWith(bench, false),
};

export const priceScenario: Scenario = {
  name: 'price',
  title: 'Small JSON, no two requests alike: the price of each further policy',
  describe,
  peers: ['outrigger', ...pricedNames],
  ...figures,
  open: (bench) => openWith(bench, true),
};

async function openWith(bench: Bench, unique: boolean): Promise<Stage> {
  const { garage, load, options } = bench;
  const upstream = await startUpstream(bench);
  const run = (proxy: Proxy, durationMs: number): Promise<JobResult> => {
    const job: JsonJob = { kind: 'json', connections: CONNECTIONS, durationMs, unique };
    const target = targetOf(proxy, garage);
    return hasTool('wrk') ? runWrk(job, target) : load.run(target, job);
  };
  return {
    upstreamPort: upstream.port,
    warm: async (proxy, durationMs) => void (await run(proxy, durationMs)),
    sample: async (proxy) => figuresOf(await run(proxy, options.pace.measureMs), peakRssKb(proxy.pids)),
    close: () => upstream.close(),
  };
}
