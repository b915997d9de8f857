/** What the `agent` section says of itself must fit together: commands that exist, and a registry that is there. */
import type { CheckProblem } from './load.ts';
import type { Config } from './schema.ts';

export function checkAgent(config: Config): CheckProblem[] {
  const { agent } = config;
  return agent ? [...checkRegistry(config), ...checkCommands(agent), ...checkGrace(agent)] : [];
}

type Agent = NonNullable<Config['agent']>;

function checkRegistry({ agent, registry }: Config): CheckProblem[] {
  if (agent?.register?.embedded === undefined || registry) return [];
  const message = 'expected a registry in this sidecar, but the section registry is not set';
  return [{ path: ['agent', 'register', 'embedded'], message }];
}

/** Recovery runs what the list names, and nothing else. */
function checkCommands({ recovery, commands }: Agent): CheckProblem[] {
  const known = Object.keys(commands);
  const problems = recovery.flatMap(({ command }, index) =>
    command === undefined || known.includes(command)
      ? []
      : [
          {
            path: ['agent', 'recovery', index, 'command'],
            message: `expected the name of a command in agent.commands, got ${command}`,
          },
        ],
  );
  const idle = known.filter((name) => !recovery.some(({ command }) => command === name));
  const warnings = idle.map((name) => ({
    path: ['agent', 'commands', name],
    message: 'not in use: no step of agent.recovery names it',
    severity: 'warning' as const,
  }));
  return [...problems, ...warnings];
}

/** An action that comes before the agent is down may disturb one that is about to come back. */
function checkGrace({ recovery, check }: Agent): CheckProblem[] {
  return recovery.flatMap(({ after, webhook }, index) =>
    webhook !== undefined || after >= check.fall
      ? []
      : [
          {
            path: ['agent', 'recovery', index, 'after'],
            message: `runs before the agent is down, which it is after agent.check.fall (${check.fall}) failed checks`,
            severity: 'warning' as const,
          },
        ],
  );
}
