/** What the kernel knows of a process: CPU time of all its threads, memory, children. Linux only. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** Fields of /proc/<pid>/stat counted after the closing bracket of the name, which may itself hold spaces. */
const PPID = 1;
const UTIME = 11;
const STIME = 12;
/** Of a `cpuN` line in /proc/stat: user, nice, system, irq, softirq, steal. Idle and iowait are left out. */
const BUSY_COLUMNS = [1, 2, 3, 6, 7, 8];

const ticksPerSecond = readTicksPerSecond();

function readTicksPerSecond(): number {
  try {
    return Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));
  } catch {
    return 100;
  }
}

function statFields(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** User plus system time of all threads, dead ones too, summed over `pids`, in seconds; granularity 10 ms. */
export function cpuSeconds(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const fields = statFields(pid);
    ticks += Number(fields[UTIME]) + Number(fields[STIME]);
  }
  return ticks / ticksPerSecond;
}

/** Seconds that core `core` spent on anything since boot, time stolen by the hypervisor included. */
function coreBusySeconds(core: number): number {
  const line = readFileSync('/proc/stat', 'utf8')
    .split('\n')
    .find((candidate) => candidate.startsWith(`cpu${core} `));
  const columns = (line ?? '').split(' ');
  return BUSY_COLUMNS.reduce((sum, column) => sum + Number(columns[column] ?? 0), 0) / ticksPerSecond;
}

/** The process itself and everything it started, direct or not. */
export function processTree(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      parents.set(Number(name), Number(statFields(Number(name))[PPID]));
    } catch {
      // Ended while we looked.
    }
  }
  const tree = [root];
  for (const pid of tree) for (const [child, parent] of parents) if (parent === pid) tree.push(child);
  return tree;
}

function statusKb(pid: number, field: 'VmHWM' | 'VmRSS'): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? 0);
}

/** Highest resident size since start or since `resetPeak`, summed over `pids`, in KiB. */
export function peakRssKb(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + statusKb(pid, 'VmHWM'), 0);
}

/** Resident size now, summed over `pids`, in KiB. */
export function rssKb(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + statusKb(pid, 'VmRSS'), 0);
}

/**
 * Anonymous memory in KiB: what the processes allocated, without the pages of the program file, which come and go with
 * others that run the same program. The resident size where the kernel does not tell.
 */
export function footprintKb(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    try {
      const match = /^Anonymous:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
      return sum + Number(match?.[1] ?? statusKb(pid, 'VmRSS'));
    } catch {
      return sum + statusKb(pid, 'VmRSS');
    }
  }, 0);
}

/** Makes the peak start again from the present size. Where that is not allowed the peak stays that of the process. */
export function resetPeak(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      writeFileSync(`/proc/${pid}/clear_refs`, '5');
    } catch {
      // Kernels without CONFIG_PROC_PAGE_MONITOR.
    }
  }
}

export interface MeterReading {
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
  /** Cores' worth of work by others on the proxy's core, 0–1; undefined without pinning. */
  readonly foreignShare?: number;
}

/** Starts to measure; call the result to stop. `core` is the one the proxy is pinned to. */
export function startMeter(pids: readonly number[], core: number | undefined): () => MeterReading {
  const startedAt = performance.now();
  const cpuBefore = cpuSeconds(pids);
  const busyBefore = core === undefined ? 0 : coreBusySeconds(core);
  return () => {
    const own = cpuSeconds(pids) - cpuBefore;
    const wallSeconds = (performance.now() - startedAt) / 1_000;
    if (core === undefined) return { cpuSeconds: own, wallSeconds };
    const foreignShare = Math.max(0, (coreBusySeconds(core) - busyBefore - own) / wallSeconds);
    return { cpuSeconds: own, wallSeconds, foreignShare };
  };
}
