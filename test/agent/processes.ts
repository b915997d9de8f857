/** Whether processes of a test are still there. */
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

/** A zombie is none any more: whoever inherits it may be slow to collect it. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    return false;
  }
}

/** Resolves when the process is gone. @throws Error after 5 s */
export async function untilGone(pid: number): Promise<void> {
  for (let tries = 0; tries < 250; tries++) {
    if (!isAlive(pid)) return;
    await setTimeout(20);
  }
  throw new Error(`process ${pid} is still there`);
}
