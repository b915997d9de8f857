/** What is wrong with a configuration, ready to show: positioned, redacted, in three formats. */

export interface Problem {
  readonly severity: 'error' | 'warning';
  /** The file as it was named; `env NAME` or `--set path` for a value from there. */
  readonly file: string;
  /** From 1; 0 where there is no file. */
  readonly line: number;
  /** From 1, in Unicode characters; 0 where there is no file. */
  readonly column: number;
  /** `upstreams.openai.policies.retry.maxRetries`; empty for the whole file. */
  readonly path: string;
  readonly message: string;
  readonly expected?: string;
  readonly got?: string;
  /** The line, secrets hidden, long ones cut. */
  readonly sourceLine?: string;
  /** Where in `sourceLine` the problem is, in UTF-16 units from 0. */
  readonly caret?: number;
}

export type ProblemFormat = 'text' | 'json' | 'github';

/** One string for the terminal, for a program (a JSON array) or for GitHub's annotations. No trailing line break. */
export function formatProblems(problems: readonly Problem[], format: ProblemFormat): string {
  switch (format) {
    case 'text':
      return problems.map(asText).join('\n\n');
    case 'json':
      return JSON.stringify(problems.map(asJson), null, 2);
    case 'github':
      return problems.map(asAnnotation).join('\n');
  }
}

function asText(problem: Problem): string {
  const position = problem.line > 0 ? `:${problem.line}:${problem.column}` : '';
  const warning = problem.severity === 'warning' ? ' warning:' : '';
  const path = problem.path === '' ? '' : ` ${problem.path}:`;
  const head = `${problem.file}${position}:${warning}${path} ${problem.message}`;
  return problem.sourceLine === undefined ? head : `${head}\n${excerpt(problem, problem.sourceLine)}`;
}

function excerpt({ line, caret = 0 }: Problem, sourceLine: string): string {
  const gutter = `${line} | `;
  return `  ${gutter}${sourceLine}\n  ${' '.repeat(gutter.length - 2)}| ${blankLike(sourceLine.slice(0, caret))}^`;
}

/** As wide as the text on a terminal: tabs stay tabs, wide characters take two columns, combining ones none. */
function blankLike(text: string): string {
  let blank = '';
  for (const character of text) {
    if (character === '\t') blank += '\t';
    else if (!COMBINING.test(character)) blank += WIDE.test(character) ? '  ' : ' ';
  }
  return blank;
}

const COMBINING = /[\p{M}\u200b-\u200d\ufe0f]/u;
const WIDE =
  /[\p{Emoji_Presentation}\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\u3000-\u303f\uff01-\uff60]/u;

function asJson({ severity, file, line, column, path, message, expected, got }: Problem): object {
  return { severity, file, line, column, path, message, ...(expected && { expected }), ...(got && { got }) };
}

/** @see GitHub, "Workflow commands for GitHub Actions": data and properties are percent-escaped */
function asAnnotation(problem: Problem): string {
  const at =
    problem.line > 0
      ? `file=${escapeProperty(problem.file)},line=${problem.line},col=${problem.column}`
      : `title=${escapeProperty(problem.file)}`;
  const message = problem.path === '' ? problem.message : `${problem.path}: ${problem.message}`;
  return `::${problem.severity} ${at}::${escapeData(message)}`;
}

const escapeData = (text: string): string =>
  text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');

const escapeProperty = (text: string): string =>
  escapeData(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
