/** `outrigger demo`: the same calls to the same flaky provider, directly and through the sidecar, side by side. */
import type { Command } from './command.ts';

export const demo: Command = {
  name: 'demo',
  summary: 'Show what the sidecar does for an agent whose provider fails. Needs no network.',
  details: `A small agent built on the official openai SDK calls an embedded provider that fails on purpose, half of
the calls streaming: first directly, then through a sidecar. Both meet the same seeded faults.`,
  options: {
    calls: { type: 'string', placeholder: 'N', help: 'Calls on each side. Default 300.' },
    concurrency: { type: 'string', placeholder: 'N', help: 'Calls at a time. Default 12.' },
    seed: { type: 'string', placeholder: 'N', help: 'Another sequence of faults. Default 1.' },
  },
  run: async (args, io) => {
    const options = {
      calls: args.integer('calls', { min: 1, max: 10_000, default: 300 }),
      concurrency: args.integer('concurrency', { min: 1, max: 200, default: 12 }),
      seed: args.integer('seed', { min: 0, max: 0xffff_ffff, default: 1 }),
    };
    const { compare } = await import('./demo/compare.ts');
    return compare(options, io);
  },
};
