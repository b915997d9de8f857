/** The arguments of one command, parsed as it declares them. */
import { parseArgs } from 'node:util';
import { UsageError } from './command.ts';
import type { Command, Option } from './command.ts';

export class Arguments {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #operands: readonly string[];

  /** @throws UsageError for unknown options, missing values, and operands too many or too few */
  static parse(command: Command, args: readonly string[]): Arguments {
    const { operands = [], options = {} } = command;
    const { values, positionals } = parseStrictly(args, options);
    const missing = operands[positionals.length];
    if (missing !== undefined) throw new UsageError(`expected <${missing}>`);
    const surplus = positionals[operands.length];
    if (surplus !== undefined) throw new UsageError(`unexpected argument ${JSON.stringify(surplus)}`);
    return new Arguments(values, positionals);
  }

  private constructor(values: Readonly<Record<string, unknown>>, operands: readonly string[]) {
    this.#values = values;
    this.#operands = operands;
  }

  operand(index: number): string {
    return this.#operands[index] ?? '';
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' ? value : undefined;
  }

  /** All values of an option that may be repeated; undefined when it was not given. */
  list(name: string): readonly string[] | undefined {
    return this.#values[name] as readonly string[] | undefined;
  }

  /** @throws UsageError unless it is one of `choices`; the first is the default */
  choice<T extends string>(name: string, choices: readonly [T, ...T[]]): T {
    const value = this.text(name) ?? choices[0];
    const choice = choices.find((each) => each === value);
    if (choice === undefined)
      throw new UsageError(`--${name}: expected one of ${choices.join(', ')}, got ${JSON.stringify(value)}`);
    return choice;
  }

  /** @throws UsageError unless it is a whole number in the range */
  integer(
    name: string,
    range: { readonly min: number; readonly max: number; readonly default: number },
  ): number {
    const value = this.text(name);
    if (value === undefined) return range.default;
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (!(number >= range.min && number <= range.max))
      throw new UsageError(
        `--${name}: expected a whole number from ${range.min} to ${range.max}, got ${JSON.stringify(value)}`,
      );
    return number;
  }
}

function parseStrictly(
  args: readonly string[],
  options: Readonly<Record<string, Option>>,
): { values: Readonly<Record<string, unknown>>; positionals: readonly string[] } {
  const specs = Object.entries(options).map(([name, { type, short, multiple = false }]) => [
    name,
    { type, multiple, ...(short !== undefined && { short }) },
  ]);
  try {
    return parseArgs({
      args: [...args],
      options: Object.fromEntries(specs) as Record<string, { type: 'string' | 'boolean' }>,
      allowPositionals: true,
    });
  } catch (error) {
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_'))
      throw new UsageError(firstSentence(error.message));
    throw error;
  }
}

/** Node adds a hint about `--` that helps nobody here. */
const firstSentence = (message: string): string => message.split(/\. |\n/)[0]?.replace(/\.$/, '') ?? message;
