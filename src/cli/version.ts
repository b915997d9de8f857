/** `outrigger version` */
import { VERSION } from '../version.ts';
import type { Command } from './command.ts';

export const version: Command = {
  name: 'version',
  summary: 'Print the version.',
  run: async (_args, io) => {
    io.out(`outrigger ${VERSION} (node ${process.versions.node})\n`);
    return 0;
  },
};
