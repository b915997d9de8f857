/** What work costs this process, so that a test of its growth says the same on a busy machine. */

/** Milliseconds of CPU that `work` takes. */
export function cpuMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}
