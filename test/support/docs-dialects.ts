/** Tables of errors as the pages of the dialects show them. */
import type { ErrorRule } from '../../src/core/dialect.ts';

const code = (text: string): string => `\`${text}\``;

const listed = (conditions: Readonly<Record<string, string>> | undefined): string[] =>
  Object.entries(conditions ?? {}).map(([place, pattern]) =>
    pattern === '' ? code(place) : `${code(place)}: ${code(pattern)}`,
  );

/** @returns the cells for status, headers, body and class; a row may have more to say after these */
export function cellsOfRule({ status, headers, without, body, as }: ErrorRule): string[] {
  const absent = (without ?? []).map((name) => `no ${code(name)}`);
  const cells = [(status ?? []).map(String), [...listed(headers), ...absent], listed(body), [code(as)]];
  return cells.map((cell) => cell.join(', '));
}
