/** `outrigger schema`: for editors, through the modeline of a configuration file. */
import type { Command } from './command.ts';

export const schema: Command = {
  name: 'schema',
  summary: 'Print the JSON Schema of the configuration, for editors.',
  run: async (_args, io) => {
    const [{ toJsonSchema }, { configSchema }] = await Promise.all([
      import('../config/json-schema.ts'),
      import('../config/schema.ts'),
    ]);
    const exported = toJsonSchema(configSchema, { title: 'Outrigger configuration' });
    io.out(`${JSON.stringify(exported, null, 2)}\n`);
    return 0;
  },
};
