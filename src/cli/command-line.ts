/** From the words after `outrigger` to an exit code. */
import { didYouMean } from '../config/suggest.ts';
import { Arguments } from './arguments.ts';
import { UsageError } from './command.ts';
import type { Command, Io } from './command.ts';
import { demo } from './demo.ts';
import { explain } from './explain.ts';
import { healthcheck } from './healthcheck.ts';
import { HELP_OPTION, commandHelp, overallHelp } from './help.ts';
import { printConfig } from './print-config.ts';
import { run } from './run.ts';
import { schema } from './schema.ts';
import { validate } from './validate.ts';
import { version } from './version.ts';

/** In the order in which the help lists them. */
const COMMANDS: readonly Command[] = [
  run,
  validate,
  explain,
  printConfig,
  schema,
  healthcheck,
  demo,
  version,
];

const USAGE_EXIT_CODE = 2;

export async function runCommandLine(words: readonly string[], io: Io): Promise<number> {
  const [first, ...rest] = words;
  if (first === '--help' || first === '-h' || (first === 'help' && rest.length === 0)) {
    io.out(overallHelp(COMMANDS));
    return 0;
  }
  if (first === '--version') return runCommand(version, rest, io);
  const asked = first === 'help' ? rest[0] : first;
  const command = COMMANDS.find(({ name }) => name === asked);
  if (command) return runCommand(command, first === 'help' ? ['--help'] : rest, io);
  io.err(asked === undefined ? overallHelp(COMMANDS) : unknownCommand(asked));
  return USAGE_EXIT_CODE;
}

async function runCommand(command: Command, words: readonly string[], io: Io): Promise<number> {
  const withHelp: Command = { ...command, options: { ...command.options, help: HELP_OPTION } };
  try {
    const wantsHelp = words.includes('--help') || words.includes('-h');
    if (wantsHelp) {
      io.out(commandHelp(command));
      return 0;
    }
    return await command.run(Arguments.parse(withHelp, words), io);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    io.err(`outrigger ${command.name}: ${error.message}\nSee outrigger ${command.name} --help\n`);
    return USAGE_EXIT_CODE;
  }
}

function unknownCommand(word: string): string {
  const names = COMMANDS.map(({ name }) => name);
  const problem = word.startsWith('-') ? 'expected a command before the options' : 'unknown command';
  return `outrigger: ${problem}: ${JSON.stringify(word)}${didYouMean(word, names)}\nCommands: ${names.join(', ')}. See outrigger --help\n`;
}
