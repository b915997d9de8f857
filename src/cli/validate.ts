/**
 * `outrigger validate`: reads, checks and compiles a configuration as a start would, files it refers to included, but
 * opens no port and contacts nobody, but for the keys that its layers live in.
 */
import type { ConfigInput } from '../config/load.ts';
import type { Problem, ProblemFormat } from '../config/problem.ts';
import type { Command, Io } from './command.ts';
import { CONFIG_OPTIONS, configInput } from './config-input.ts';
import { withKeys } from './fetch-keys.ts';

const FORMATS = ['text', 'json', 'github'] as const satisfies readonly [ProblemFormat, ...ProblemFormat[]];

export const validate: Command = {
  name: 'validate',
  summary: 'Check a configuration and print every problem at once.',
  details:
    'Problems go to standard output as file:line:column: path: what is wrong. Exit code 1 if there is any error.',
  options: {
    ...CONFIG_OPTIONS,
    format: {
      type: 'string',
      placeholder: 'FORMAT',
      help: 'text (default), json (an array, empty when all is well) or github (annotations).',
    },
  },
  run: async (args, io) => {
    const format = args.choice('format', FORMATS);
    const input = await withKeys(configInput(args, io.env));
    const result = await compile(input);
    await report(result, { format, input }, io);
    return result.summary === undefined ? 1 : 0;
  },
};

interface Result {
  readonly problems: readonly Problem[];
  /** Undefined when it is invalid. */
  readonly summary: string | undefined;
}

async function compile(input: ConfigInput): Promise<Result> {
  const [{ Supervisor }, { ConnectionWatch }, { systemClock }, { systemRandom }] = await Promise.all([
    import('../runtime/supervisor.ts'),
    import('../transport/connection-watch.ts'),
    import('../core/clock.ts'),
    import('../core/random.ts'),
  ]);
  const watch = new ConnectionWatch();
  const supervisor = new Supervisor(input, {
    clock: systemClock,
    random: systemRandom,
    emit: () => undefined,
    watch,
    offline: true,
  });
  const { applied, problems } = await supervisor.reload('validate');
  await supervisor.dispose();
  watch.dispose();
  if (!applied) return { problems, summary: undefined };
  const { config, hash, warnings } = supervisor.loaded;
  const upstreams = Object.keys(config.upstreams).length;
  return { problems: warnings, summary: `valid (${upstreams} upstreams, hash ${hash})` };
}

async function report(
  { problems, summary }: Result,
  { format, input }: { readonly format: ProblemFormat; readonly input: ConfigInput },
  io: Io,
): Promise<void> {
  const { formatProblems } = await import('../config/problem.ts');
  if (problems.length > 0 || format === 'json') io.out(`${formatProblems(problems, format)}\n`);
  if (format !== 'text') return;
  if (summary !== undefined) io.out(`${input.files.join(' + ')}: ${summary}\n`);
  else io.err(`${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}\n`);
}
