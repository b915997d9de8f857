/** What an operator can say about an MCP server, and no protocol can. */
import { z } from 'zod';

const toolPattern = z
  .string()
  .min(1)
  .max(256)
  .meta({ description: 'The name of a tool, in which `*` stands for any characters.' });

export const mcpOptionsSchema = z
  .strictObject({
    idempotentTools: z
      .array(toolPattern)
      .default([])
      .describe(
        'Tools that may be called twice for one call, such as `search*`: your word that it does no harm.',
      ),
    trustAnnotations: z
      .boolean()
      .default(false)
      .describe(
        'Believe the server where it marks a tool with `readOnlyHint` or `idempotentHint`. Only for servers that you trust.',
      ),
    rewriteMetadata: z
      .boolean()
      .default(false)
      .describe(
        'Replace the address of the endpoints by the one the client used here, in `resource_metadata` of 401 answers and in `resource` of the document that it leads to. The server must accept tokens for that address.',
      ),
  })
  .describe('For `dialect: mcp`.');

export type McpOptions = z.output<typeof mcpOptionsSchema>;
