import { expect, test } from 'vitest';
import { LineBuffer } from '../../src/telemetry/line-buffer.ts';

/** Keeps what it is given until it is full, as a descriptor does that nobody reads. */
class Destination {
  readonly written: string[] = [];
  full = false;
  #onDrop: (bytes: Buffer) => void = () => undefined;

  write(bytes: Buffer): boolean {
    if (this.full) this.#onDrop(bytes);
    else this.written.push(bytes.toString());
    return !this.full;
  }

  on(_event: 'drop', listener: (bytes: Buffer) => void): void {
    this.#onDrop = listener;
  }

  take(): string {
    return this.written.splice(0).join('');
  }
}

const buffer = (destination: Destination): LineBuffer => new LineBuffer(destination, () => 1_700_000_000_000);

test('lines are handed on in batches and in order', () => {
  const destination = new Destination();
  const lines = buffer(destination);
  const all: string[] = [];
  for (let number = 0; number < 5_000; number++) {
    all.push(`{"number":${number}}\n`);
    lines.write(all[number] ?? '');
  }
  expect(destination.written.length).toBeGreaterThan(1);
  expect(destination.written.length).toBeLessThan(10);
  lines.flush();
  expect(destination.take()).toBe(all.join(''));
});

test('a line longer than a batch, and one of other letters than English ones, come out as they went in', () => {
  const destination = new Destination();
  const lines = buffer(destination);
  const all = ['short\n', `${'long '.repeat(20_000)}\n`, 'weiß, 語, 🚀\n', 'short\n'];
  for (const line of all) lines.write(line);
  lines.flush();
  expect(destination.take()).toBe(all.join(''));
});

test('what was handed on stays as it was while more is gathered', () => {
  const kept: Buffer[] = [];
  const lines = new LineBuffer({ write: (bytes) => kept.push(bytes) > 0, on: () => undefined }, () => 0);
  const all = Array.from({ length: 100 }, (_, number) => `line ${number}\n`);
  for (const line of all) {
    lines.write(line);
    lines.flush();
  }
  expect(Buffer.concat(kept).toString()).toBe(all.join(''));
});

test('a flush of nothing writes nothing', () => {
  const destination = new Destination();
  buffer(destination).flush();
  expect(destination.written).toEqual([]);
});

test('lost lines are counted once and told as soon as lines are taken again', () => {
  const destination = new Destination();
  const lines = buffer(destination);
  destination.full = true;
  lines.write('a\n');
  lines.write('b\n');
  lines.flush();
  lines.write('c\n');
  lines.flush();
  destination.full = false;
  lines.write('d\n');
  lines.flush();
  const [loss, rest] = destination.take().split('\n');
  expect(JSON.parse(loss ?? '')).toMatchObject({ level: 'warn', lines: 3 });
  expect(rest).toBe('d');
  lines.write('e\n');
  lines.flush();
  expect(destination.take()).toBe('e\n');
});
