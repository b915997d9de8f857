/** The `agent.check` section: how the sidecar looks after its agent. */
import { z } from 'zod';
import { duration, headerName, headerValue, positiveCount, positiveDuration, secret } from './scalars.ts';
import { statusRange } from './status.ts';

/** A program and its arguments; no shell reads them. */
export const commandLine = z
  .array(z.string().refine((word) => !word.includes('\0'), { error: 'expected no null characters' }))
  .min(1)
  .refine(([program]) => program !== '', { error: 'expected a program' })
  .meta({
    id: 'CommandLine',
    description:
      'A program and its arguments as a list, such as ["systemctl", "restart", "agent"]. No shell.',
  });

const port = z.number().int().min(1).max(65_535);

const httpCheckSchema = z
  .strictObject({
    path: z
      .string()
      .regex(/^\/[^\s#]*$/, { error: 'expected a path that starts with "/"' })
      .default('/health')
      .describe('What is asked for, query included.'),
    port: port.optional().describe('Another port than that of `local`.'),
    method: z.enum(['GET', 'HEAD']).default('GET').describe('How it is asked for.'),
    headers: z
      .record(headerName, secret(headerValue))
      .default({})
      .describe('Fields to send. Their values are never printed.'),
    status: z.array(statusRange).min(1).default(['2xx']).describe('Statuses of an agent that is well.'),
    degradedStatus: z
      .array(statusRange)
      .default([])
      .describe('Statuses of an agent that is not quite well: it is asked when nobody better is there.'),
  })
  .describe('Ask the agent over HTTP.');

const tcpCheckSchema = z
  .strictObject({ port: port.optional().describe('Another port than that of `local`.') })
  .describe('Look whether the agent accepts connections.');

const execCheckSchema = z
  .strictObject({
    command: commandLine.describe('Exit code 0: well, 1: degraded, any other: failed.'),
  })
  .describe('Run a program that looks.');

export const agentCheckSchema = z
  .strictObject({
    http: httpCheckSchema.optional(),
    tcp: tcpCheckSchema.optional(),
    exec: execCheckSchema.optional(),
    interval: positiveDuration
      .prefault('3s')
      .describe('From one check to the next, up to a tenth shorter. Checks never overlap.'),
    timeout: positiveDuration
      .prefault('5s')
      .describe('A check that takes longer has failed; a program is killed with all that it started.'),
    rise: positiveCount.max(100).default(2).describe('Good checks in a row that bring the agent back.'),
    fall: positiveCount.max(100).default(3).describe('Failed checks in a row that make it down.'),
    startGrace: duration
      .prefault('30s')
      .describe('Time to start: failed checks do not count in it. The first good check ends it.'),
  })
  .refine(({ http, tcp, exec }) => [http, tcp, exec].filter((one) => one !== undefined).length <= 1, {
    error: 'expected one of http, tcp and exec',
  })
  .describe('How the agent is looked after. Default: whether it accepts connections.');

export type AgentCheckOptions = z.output<typeof agentCheckSchema>;
export type CommandLine = z.output<typeof commandLine>;
