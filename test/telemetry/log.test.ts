import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import { Log } from '../../src/telemetry/log.ts';

function fileOfItsOwn(): string {
  const folder = mkdtempSync(join(tmpdir(), 'outrigger-log-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return join(folder, 'log');
}

it('a log that is closed before anything was logged, and before its file is open, ends in silence', async () => {
  const file = fileOfItsOwn();
  const log = new Log(systemClock, file);
  await log.settled();
  log.close();
  await vi.waitFor(() => expect(readFileSync(file, 'utf8')).toBe(''), { timeout: 10_000 });
});

it('a log that is closed at once has what was logged', async () => {
  const file = fileOfItsOwn();
  const log = new Log(systemClock, file);
  log.logger.info('hello');
  await log.settled();
  log.close();
  expect(readFileSync(file, 'utf8')).toContain('"msg":"hello"');
});
