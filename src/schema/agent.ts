/** The `agent` section: the agent beside this sidecar, which it checks, registers and helps up. */
import { z } from 'zod';
import type { AgentIdentity } from '../core/agent.ts';
import { agentCheckSchema, commandLine } from './agent-check.ts';
import { recoveryStepSchema } from './agent-recovery.ts';
import { agentRegisterSchema } from './agent-register.ts';
import { endpointSchema, endpointUrl } from './endpoint.ts';
import { duration, secret } from './scalars.ts';

const { weight, priority, zone } = endpointSchema.shape;

const label = z.string().regex(/^[\x20-\x7e]{1,500}$/, { error: 'expected 1 to 500 printable characters' });

export const agentSchema = z
  .strictObject({
    service: z
      .string()
      .regex(/^[a-z][a-z0-9_-]{0,62}$/, {
        error: 'expected a name of lower-case letters, digits, "-" and "_"',
      })
      .describe('Name of the service that the agent is an instance of.'),
    id: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, {
        error: 'expected an id of letters, digits, ".", "_" and "-"',
      })
      .optional()
      .describe('Unique name of this instance. Default: service, host and port of `address`, joined by "-".'),
    address: endpointUrl.describe('Where others reach the agent: scheme, host, port, base path.'),
    local: endpointUrl.optional().describe('Where this sidecar reaches it. Default: `address`.'),
    weight,
    priority,
    zone,
    metadata: z
      .record(z.string().regex(/^[A-Za-z0-9_-]{1,100}$/, { error: 'expected a name' }), label)
      .default({})
      .describe('What else is known of it, such as capabilities.'),
    check: agentCheckSchema.prefault({}),
    register: agentRegisterSchema.optional(),
    drainDelay: duration
      .prefault('2s')
      .describe(
        'From the deregistration to the moment when nothing is accepted any more: others must notice.',
      ),
    recovery: z
      .array(recoveryStepSchema)
      .max(20)
      .prefault([])
      .describe('What is done when checks keep failing, in this order.'),
    commands: z
      .record(
        z.string().regex(/^[a-z][A-Za-z0-9_-]{0,62}$/, { error: 'expected a name such as "restart"' }),
        commandLine,
      )
      .default({})
      .describe('The commands that recovery may run, by name. Nothing else is ever run.'),
    env: z
      .record(
        z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'expected the name of a variable' }),
        secret(z.string()),
      )
      .default({})
      .describe(
        'Environment of the programs. They get nothing of the sidecar’s own but a usual PATH. Never printed.',
      ),
  })
  .describe('The agent beside this sidecar: checked, registered, helped up.');

export type AgentOptions = z.output<typeof agentSchema>;

/** What a registry is told. */
export function identityOf(options: AgentOptions): AgentIdentity {
  const { service, address, weight, priority, zone, metadata } = options;
  return { service, id: options.id ?? idOf(service, address), address, weight, priority, zone, metadata };
}

/** The same after every restart, and another one for every instance: no two share an address. */
function idOf(service: string, address: string): string {
  const { protocol, hostname, port } = new URL(address);
  const usual = protocol === 'https:' ? '443' : '80';
  const host = hostname.replace(/^\[|\]$/g, '').replace(/[^A-Za-z0-9.]/g, '-');
  return `${service}-${host}-${port === '' ? usual : port}`.slice(0, 128);
}

/** Paths of everything in the section that says which programs the sidecar runs, and how: their environment is part of that. */
export function programsIn({ check, recovery, commands, env }: AgentOptions): (string | number)[][] {
  const programs: (string | number)[][] = [
    ...(check.exec ? [['check', 'exec']] : []),
    ...Object.keys(commands).map((name) => ['commands', name]),
    ...recovery.flatMap(({ command }, index) =>
      command === undefined ? [] : [['recovery', index, 'command']],
    ),
  ];
  return programs.length === 0 ? [] : [...programs, ...Object.keys(env).map((name) => ['env', name])];
}
