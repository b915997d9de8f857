/** HTTP statuses as people write them; `algorithms/status-ranges.ts` reads them. */
import { z } from 'zod';

export const statusRange = z
  .union([
    z.number().int().min(100).max(599),
    z.string().regex(/^([1-5]xx|[1-5]\d\d|[1-5]\d\d-[1-5]\d\d)$/, {
      error: 'expected a status such as 503, "5xx" or "500-504"',
    }),
  ])
  .meta({ id: 'StatusRange', description: 'A status (503), a class ("5xx") or a range ("500-504").' });

export type StatusRange = z.output<typeof statusRange>;
