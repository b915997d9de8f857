import { expect, test } from 'vitest';
import { startChild } from './child-process.ts';

const script = (code: string): string[] => ['--input-type=module', '-e', code];

test('waits for a line of a child, signals it and sees how it ends', async () => {
  const code = `process.on('SIGTERM', () => { console.error('bye'); process.exit(3); });
    console.log('noise'); console.log('listening on ' + process.env.PORT_NAME); setInterval(() => {}, 1000);`;
  await using child = await startChild(script(code), { env: { PORT_NAME: 'p42' } });
  const [, port] = await child.waitForLine(/^listening on (\w+)$/);
  expect(port).toBe('p42');
  child.signal('SIGTERM');
  expect(await child.waitForExit()).toEqual({ code: 3, signal: null });
  expect([child.stdout, child.stderr]).toEqual(['noise\nlistening on p42\n', 'bye\n']);
});

test('a child that exits without the line fails the wait at once, with its output', async () => {
  await using child = await startChild(script('console.log("oops"); process.exit(7)'));
  await expect(child.waitForLine(/ready/)).rejects.toThrow(
    /exited without a line like .*exit 7; stdout "oops\\n"/,
  );
});

test('disposing a child kills it', async () => {
  const child = await startChild(script('setInterval(() => {}, 1000)'));
  await child[Symbol.asyncDispose]();
  expect(child.exit).toEqual({ code: null, signal: 'SIGKILL' });
  expect(() => process.kill(child.pid, 0)).toThrow('ESRCH');
});
