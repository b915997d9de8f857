/** Which machine this is, which helpers it has, and how the cores are shared out. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';

/** Cores as the kernel numbers them. Undefined means: nobody is pinned. */
export interface Pinning {
  readonly proxyCore: number;
  readonly loadCores: readonly number[];
}

export interface MachineFacts {
  readonly date: string;
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly loadAverage: number;
  readonly pinning: string;
  readonly tools: Readonly<Record<string, string>>;
}

/** @throws Error where the kernel does not offer what the figures are read from */
export function requireLinux(): void {
  if (process.platform !== 'linux')
    throw new Error('the bench reads CPU time and memory from /proc: Linux only');
}

export function hasTool(name: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${name}`], { stdio: 'ignore' }).status === 0;
}

/**
 * Gives the last core this process may use to the proxy and the others to the load, and moves this process (and so all
 * that it starts) to the load's cores.
 */
export function pinMachine(wanted: boolean): Pinning | undefined {
  const cores = allowedCores();
  const proxyCore = cores.at(-1);
  if (!wanted || cores.length < 2 || proxyCore === undefined || !hasTool('taskset')) return undefined;
  const loadCores = cores.slice(0, -1);
  execFileSync('taskset', ['-cp', '-a', loadCores.join(','), String(process.pid)], { stdio: 'ignore' });
  return { proxyCore, loadCores };
}

/** Parses the kernel's list syntax: `0-2,7` is 0, 1, 2 and 7. */
function allowedCores(): number[] {
  const list = /^Cpus_allowed_list:\s+(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, offset) => first + offset);
  });
}

export function machineFacts(pinning: Pinning | undefined): MachineFacts {
  return {
    date: new Date().toISOString(),
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    loadAverage: loadavg()[0] ?? 0,
    pinning: describePinning(pinning),
    tools: { wrk: version('wrk', '-v'), nginx: version('nginx', '-v'), haproxy: version('haproxy', '-v') },
  };
}

function describePinning(pinning: Pinning | undefined): string {
  if (!pinning) return 'none (everything shares all cores)';
  return `proxy on core ${pinning.proxyCore}, load and upstream on ${pinning.loadCores.join(', ')}`;
}

function version(tool: string, flag: string): string {
  const { stdout, stderr, error } = spawnSync(tool, [flag], { encoding: 'utf8' });
  if (error) return 'not installed';
  return /\d+\.\d+(\.\d+)?/.exec(stdout + stderr)?.[0] ?? 'installed';
}
