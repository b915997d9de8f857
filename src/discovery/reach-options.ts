/** How the addresses that are found are reached: options that several kinds of discovery have. */
import { z } from 'zod';

export const scheme = z.enum(['http', 'https']).default('http').describe('Scheme of the endpoints.');

export const port = z.number().int().min(1).max(65_535);

export const basePath = z
  .string()
  .regex(/^(\/[^?#\s]*)?$/, { error: 'expected a path such as "/v1"' })
  .default('')
  .describe('Put before every path.');
