import { expect, it } from 'vitest';
import type { StreamReader } from '../../src/core/dialect.ts';
import { streamRun } from './watch-rig.ts';

it('a reader that throws costs the client nothing but what it would have learnt', () => {
  const reader: StreamReader = {
    hasTerminator: false,
    error: undefined,
    read: () => {
      throw new Error('what was that?');
    },
  };
  const run = streamRun({ reader });
  run.watch.chunk(Buffer.from('data: {"a":1}\n\n'));
  expect(run.facts.malformed).toBe(1);
});
