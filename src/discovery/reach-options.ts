/** How the addresses that are found are reached: options that several kinds of discovery have. */
import { z } from 'zod';

export const scheme = z.enum(['http', 'https']).default('http').describe('Scheme of the endpoints.');

export const port = z.number().int().min(1).max(65_535);

export const basePath = z
  .string()
  .regex(/^(\/[^?#\s]*)?$/, { error: 'expected a path such as "/v1"' })
  .default('')
  .describe('Put before every path.');

export const hostName = z
  .string()
  .regex(/^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?$/, { error: 'expected a host name' })
  .optional();
