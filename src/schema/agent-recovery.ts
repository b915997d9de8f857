/** The `agent.recovery` list: what is done about an agent whose checks keep failing. */
import { z } from 'zod';
import { count, headerName, headerValue, positiveCount, positiveDuration, secret } from './scalars.ts';

const webhookSchema = z
  .strictObject({
    url: secret(z.url({ protocol: /^https?$/, error: 'expected an http or https URL' })).describe(
      'Where to POST what happened, as JSON. Never printed: such addresses often hold a token.',
    ),
    headers: z
      .record(headerName, secret(headerValue))
      .default({})
      .describe('Fields to send. Their values are never printed.'),
    timeout: positiveDuration.prefault('5s').describe('Longest wait for an answer.'),
    retries: count.max(10).default(2).describe('Further tries when it does not answer, or with 429 or 5xx.'),
  })
  .describe('Tell somebody.');

const backoffSchema = z
  .strictObject({
    initial: positiveDuration
      .prefault('10s')
      .describe('Wait after the first run; twice as long after each further one, up to a tenth longer.'),
    max: positiveDuration
      .prefault('5m')
      .describe('Longest wait. An agent that is well for as long begins with `initial` again.'),
  })
  .refine(({ initial, max }) => initial <= max, {
    error: 'expected a wait that is not above max',
    path: ['initial'],
  })
  .prefault({})
  .describe('How soon the same action may run again.');

export const recoveryStepSchema = z
  .strictObject({
    after: positiveCount.max(10_000).default(3).describe('Failed checks since the agent was last well.'),
    webhook: webhookSchema.optional(),
    command: z.string().min(1).optional().describe('Run the command of this name in `agent.commands`.'),
    timeout: positiveDuration
      .prefault('30s')
      .describe('Time for the command; then it is killed with all that it started.'),
    exit: z
      .number()
      .int()
      .min(1)
      .max(255)
      .optional()
      .describe('Drain, then end the sidecar with this exit code: the orchestrator starts both anew.'),
    backoff: backoffSchema,
    maxPerHour: positiveCount.max(1_000).default(6).describe('Runs within any hour.'),
  })
  .refine(
    ({ webhook, command, exit }) => [webhook, command, exit].filter((one) => one !== undefined).length === 1,
    { error: 'expected exactly one of webhook, command and exit' },
  );

export type RecoveryStep = z.output<typeof recoveryStepSchema>;
export type WebhookOptions = z.output<typeof webhookSchema>;
