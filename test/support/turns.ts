/** Lets whole turns of the event loop pass: I/O that is ready gets done, and closed handles go. No time is waited for. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}
