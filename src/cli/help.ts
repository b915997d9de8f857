/** What `--help` prints, from what the commands declare. */
import type { Command, Option } from './command.ts';

export const HELP_OPTION: Option = { type: 'boolean', short: 'h', help: 'Show this help.' };

export function overallHelp(commands: readonly Command[]): string {
  const list = columns(commands.map((command) => [synopsis(command), command.summary]));
  return `Outrigger: an HTTP sidecar that keeps AI agents alive.

Usage: outrigger <command> [options]

Commands:
${list}

Options:
  -h, --help     Help; also for each command: outrigger <command> --help
      --version  The version.

Exit codes: 0 done, 1 failed or invalid, 2 wrong usage.
`;
}

export function commandHelp(command: Command): string {
  const options = Object.entries({ ...command.options, help: HELP_OPTION }).map(
    ([name, option]): [string, string] => [optionUsage(name, option), option.help],
  );
  const details = command.details === undefined ? '' : `\n${command.details}\n`;
  return `${command.summary}\n\nUsage: outrigger ${synopsis(command)} [options]\n${details}\nOptions:\n${columns(options)}\n`;
}

export const synopsis = ({ name, operands = [] }: Command): string =>
  [name, ...operands.map((operand) => `<${operand}>`)].join(' ');

function optionUsage(name: string, { short, placeholder }: Option): string {
  const letter = short === undefined ? '    ' : `-${short}, `;
  return `${letter}--${name}${placeholder === undefined ? '' : ` ${placeholder}`}`;
}

/** Two columns, the first as wide as its widest cell. */
function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}
