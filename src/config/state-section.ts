/** Where state lives that outlasts a request, a process or a machine. */
import { z } from 'zod';
import { folderPath, positiveDuration } from '../schema/scalars.ts';

export const stateSchema = z
  .strictObject({
    dir: folderPath
      .optional()
      .describe('Directory for the snapshot that outlives a restart; it is made where there is none.'),
    interval: positiveDuration
      .prefault('5s')
      .describe('How often the snapshot is written while something changes.'),
    maxAge: positiveDuration.prefault('1h').describe('An older snapshot is not restored.'),
  })
  .describe('What outlasts a request, a process or a machine.');

export type StateConfig = z.output<typeof stateSchema>;
