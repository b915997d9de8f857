/** The section `overrides` of an upstream: other policies for some of its calls. */
import { z } from 'zod';

const pattern = z.string().min(1).max(256);

const patterns = (text: string) =>
  z
    .union([pattern, z.array(pattern).min(1)])
    .optional()
    .describe(`${text} One or several; \`*\` stands for any characters.`);

const match = z
  .strictObject({
    method: patterns('What is called, as the dialect names it: `tools/call`, `chat`, `SendMessage`.'),
    tool: patterns('The tool that is called.'),
    model: patterns('The model that is asked for.'),
  })
  .refine((one) => Object.values(one).some((value) => value !== undefined), {
    error: 'expected at least one of method, tool and model',
  })
  .describe('Which calls: all that is given must fit.');

/** @param policyShape the policies that can differ, each optional */
export function overridesSchema<Shape extends z.ZodRawShape>(policyShape: Shape) {
  const policies = z
    .strictObject(policyShape)
    .describe(
      'What differs from `policies` of the upstream. A policy that is named here has a state of its own; the others are shared.',
    );
  return z
    .record(
      z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/, {
        error: 'expected a name of lower-case letters, digits, "-" and "_"',
      }),
      z.strictObject({ match, policies }),
    )
    .describe('Other policies for some calls, by a name of your own; the first that fits decides.');
}
