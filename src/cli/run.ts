/** `outrigger run`: the sidecar itself, until a signal ends it. */
import type { Command } from './command.ts';
import { CONFIG_OPTIONS, configInput } from './config-input.ts';

export const run: Command = {
  name: 'run',
  summary: 'Run the sidecar.',
  details: `Logs are JSON lines on standard output. SIGTERM and SIGINT drain and stop, a second one stops at once;
SIGHUP reads the configuration again, as does every change of its files.`,
  options: CONFIG_OPTIONS,
  run: async (args, io) => {
    const input = configInput(args, io.env);
    const [{ Sidecar, StartError }, { banner }, { formatProblems }, { runUntilStopped }] = await Promise.all([
      import('../sidecar.ts'),
      import('./banner.ts'),
      import('../config/problem.ts'),
      import('./lifecycle.ts'),
    ]);
    try {
      const sidecar = await Sidecar.start({ input, watch: true });
      // Before the banner: whoever reads it may send signals.
      const stopped = runUntilStopped(sidecar, io.env);
      const { warnings } = sidecar.supervisor.loaded;
      if (warnings.length > 0) io.err(`${formatProblems(warnings, 'text')}\n`);
      io.err(banner(sidecar));
      return await stopped;
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      io.err(`outrigger: cannot start\n${error.message}\n`);
      return 1;
    }
  },
};
