/** Finds the rule that says what an answer means. The same for the tables of the dialects and for what operators add. */
import type { ErrorRule } from '../core/dialect.ts';
import { hasHeader, headerValues } from '../core/header-list.ts';
import type { HeaderList } from '../core/header-list.ts';
import { valuesAt } from './json-pointer.ts';
import { statusMatcher } from './status-ranges.ts';

export interface JudgedAnswer {
  /** Undefined: an error inside an answer, which has no status of its own. */
  readonly status: number | undefined;
  readonly headers: HeaderList;
  /** The body, where it was read and is JSON. */
  readonly json: unknown;
}

/** Codes and sentences are short; a pattern may take long for what is long. */
const MAX_MATCHED = 4_096;

type Test = (answer: JudgedAnswer) => boolean;

function testsOf(rule: ErrorRule): Test[] {
  const tests: Test[] = [];
  if (rule.status) {
    const matches = statusMatcher(rule.status);
    tests.push(({ status }) => (status === undefined ? rule.body !== undefined : matches(status)));
  }
  for (const [name, text] of Object.entries(rule.headers ?? {})) {
    const wanted = new RegExp(text, 'i');
    const lower = name.toLowerCase();
    tests.push(({ headers }) => headerValues(headers, lower).some((value) => wanted.test(value)));
  }
  for (const name of rule.without ?? []) tests.push(({ headers }) => !hasHeader(headers, name.toLowerCase()));
  for (const [pointer, text] of Object.entries(rule.body ?? {})) {
    const wanted = new RegExp(text, 'i');
    tests.push(({ json }) =>
      valuesAt(json, pointer).some(
        (value) => isScalar(value) && wanted.test(String(value).slice(0, MAX_MATCHED)),
      ),
    );
  }
  return tests;
}

const isScalar = (value: unknown): boolean =>
  value !== undefined && (value === null || typeof value !== 'object');

export type RuleFinder<R extends ErrorRule> = (answer: JudgedAnswer) => R | undefined;

/** @returns a function that finds the first rule that fits */
export function ruleFinder<R extends ErrorRule>(rules: readonly R[]): RuleFinder<R> {
  const compiled = rules.map((rule) => ({ rule, tests: testsOf(rule) }));
  return (answer) => compiled.find(({ tests }) => tests.every((test) => test(answer)))?.rule;
}
