/** What an operator can say about an A2A agent, and no protocol can. */
import { z } from 'zod';

export const a2aOptionsSchema = z
  .strictObject({
    idempotentMessages: z
      .boolean()
      .default(false)
      .describe(
        'The agent knows a message again by its `messageId`: your word that sending one twice does no harm.',
      ),
    rewriteCard: z
      .boolean()
      .default(false)
      .describe(
        'Replace the address of the endpoints in agent cards by the one the client used here. Signed cards are left as they are.',
      ),
  })
  .describe('For `dialect: a2a`.');

export type A2aOptions = z.output<typeof a2aOptionsSchema>;
