/** Which endpoints may answer a call, by what the call asks for and what is known of them. */
import { z } from 'zod';

const name = z.string().min(1).max(256);
const names = z.union([name, z.array(name).min(1).max(100)]);

const source = z
  .string()
  .regex(/^(header:[!#$%&'*+.^_`|~0-9A-Za-z-]+|path:[0-9]{1,2}|tool|model|method|needs|agent)$/, {
    error:
      'expected header:<name>, path:<number of the segment, from 0>, tool, model, method, needs or agent',
  });

const patterns = (text: string) =>
  names.optional().describe(`${text} One or several; \`*\` stands for any characters.`);

const when = z
  .strictObject({
    path: patterns('The path, without the route’s prefix and without the query.'),
    method: patterns('What is called, as the dialect names it, such as `tools/call`.'),
    tool: patterns('The tool that is called.'),
    model: patterns('The model that is asked for.'),
  })
  .refine((one) => Object.values(one).some((value) => value !== undefined), {
    error: 'expected at least one of path, method, tool and model',
  })
  .describe('Which calls the rule is for: all that is given must fit. Default: all.');

const rule = z
  .strictObject({
    metadata: z
      .string()
      .min(1)
      .max(100)
      .default('capabilities')
      .describe('Key of the endpoints’ metadata in which each of the values must stand.'),
    from: source
      .optional()
      .describe(
        'Where the call says what it needs: `header:<name>`, values parted by commas; `path:<segment>`; `tool`, `model` and `method` as the dialect reads them; `needs`, what it needs of a model beyond text; `agent`.',
      ),
    value: names.optional().describe('What every such call needs.'),
    when: when.optional(),
  })
  .refine(({ from, value }) => (from === undefined) !== (value === undefined), {
    error: 'expected either from or value',
  });

export const subsetSchema = z
  .strictObject({
    rules: z
      .array(rule)
      .min(1)
      .max(100)
      .describe('What calls need. All rules that fit a call count; a call that none fits may go anywhere.'),
    otherwise: z
      .enum(['refuse', 'any'])
      .default('refuse')
      .describe(
        'Where nobody has it. `refuse`: 503. `any`: anybody, also while those who have it are not well.',
      ),
  })
  .describe('Calls go only to endpoints whose metadata have what the call needs.');

export type SubsetOptions = z.output<typeof subsetSchema>;
export type SubsetRule = SubsetOptions['rules'][number];
