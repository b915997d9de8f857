import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/clock.ts';
import type { EndpointDescription } from '../../src/core/endpoint.ts';
import { seededRandom } from '../../src/core/random.ts';
import { file } from '../../src/discovery/file.ts';
import type { Discoverer } from '../../src/discovery/kind.ts';
import { Conditions } from '../support/conditions.ts';

let folder = '';
let running: Discoverer | undefined;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'outrigger-file-'))));
afterEach(() => {
  running?.dispose();
  rmSync(folder, { recursive: true });
});

/** What the file is taken for, whenever it is. */
function follow(path: string) {
  const heard = new Conditions();
  const said: (readonly EndpointDescription[] | string)[] = [];
  const say = (one: readonly EndpointDescription[] | string): void => {
    said.push(one);
    heard.changed();
  };
  running = file.build(path, {
    clock: systemClock,
    random: seededRandom(1),
    upstream: 'u',
    list: { replace: say, failed: say },
  });
  running.start();
  return {
    said,
    next: (count: number) =>
      heard.untilTrue(
        () => said.length >= count,
        () => `${count} readings`,
      ),
  };
}

const path = (): string => join(folder, 'endpoints.yaml');

describe('a file of endpoints', () => {
  it.each([
    [
      'URLs',
      '- http://a.test\n- http://b.test/base\n',
      [{ url: 'http://a.test' }, { url: 'http://b.test/base' }],
    ],
    ['JSON', '["http://a.test"]', [{ url: 'http://a.test' }]],
    ['an empty list', '[]', []],
    [
      'maps',
      '- { url: "http://a.test", weight: 2, instance: i, status: degraded, metadata: { capabilities: ocr } }',
      [
        {
          url: 'http://a.test',
          weight: 2,
          priority: 0,
          instance: 'i',
          status: 'degraded',
          metadata: { capabilities: 'ocr' },
        },
      ],
    ],
  ])('holds %s', (_, text, expected) => {
    writeFileSync(path(), text);
    expect(follow(path()).said).toEqual([expected]);
  });

  it.each([
    ['', 'expected a list of endpoints, got an empty file'],
    ['url: x', 'expected a list of endpoints'],
    ['- http://a.test\n- [', /^line 2: /],
    ['- 7', /^\[0\]: /],
    ['- http://a.test\n- { url: "http://b.test", weight: -1 }', /^\[1\]\.weight: .*>=0/],
    ['- { url: "http://a.test", wieght: 1 }', /^\[0\].*wieght/],
  ])('that says %j is refused, and the place is told', (text, message) => {
    writeFileSync(path(), text);
    const { said } = follow(path());
    const told = (said[0] as string).replace(`${path()}: `, '');
    if (typeof message === 'string') expect(told).toBe(message);
    else expect(told).toMatch(message);
  });

  it('is read again when it changes, comes, goes or is replaced', async () => {
    const { said, next } = follow(path());
    expect(said[0]).toMatch(/no such file/i);
    writeFileSync(path(), '- http://a.test');
    await next(2);
    writeFileSync(`${path()}.new`, '- http://b.test');
    renameSync(`${path()}.new`, path());
    await next(3);
    rmSync(path());
    await next(4);
    expect(said.slice(1, 3)).toEqual([[{ url: 'http://a.test' }], [{ url: 'http://b.test' }]]);
    expect(said[3]).toMatch(/no such file/i);
  });
});

it('notices a change in a list of several megabytes', async () => {
  const listOf = (count: number): string =>
    JSON.stringify(
      Array.from({ length: count }, (_, i) => ({
        url: `http://h${i}:1`,
        metadata: { about: 'x'.repeat(300) },
      })),
    );
  writeFileSync(path(), listOf(5_000));
  const { said, next } = follow(path());
  await next(1);
  writeFileSync(path(), listOf(5_001));
  await next(2);
  expect(said.map((one) => one.length)).toEqual([5_000, 5_001]);
});
