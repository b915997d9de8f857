/** `outrigger print-config`: what all layers, variables and defaults come to. */
import type { Command } from './command.ts';
import { CONFIG_OPTIONS, configInput } from './config-input.ts';

export const printConfig: Command = {
  name: 'print-config',
  summary: 'Print the effective configuration as YAML, secrets hidden.',
  options: {
    ...CONFIG_OPTIONS,
    origins: { type: 'boolean', help: 'Say behind every value where it came from.' },
  },
  run: async (args, io) => {
    const input = configInput(args, io.env);
    const [{ loadOrReport }, { printConfig: print }, { configSchema }] = await Promise.all([
      import('./load.ts'),
      import('../config/print.ts'),
      import('../config/schema.ts'),
    ]);
    const loaded = await loadOrReport(input, io);
    if (!loaded) return 1;
    io.out(print(configSchema, loaded, { origins: args.flag('origins') }));
    return 0;
  },
};
