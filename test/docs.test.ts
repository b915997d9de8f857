/** The documentation says what the code does: configurations load, tables equal the schema, names exist on both sides. */
import { describe, expect, it } from 'vitest';
import { headerValue } from '../src/core/header-list.ts';
import { REASONS } from '../src/core/reasons.ts';
import type { Reason } from '../src/core/reasons.ts';
import { generic } from '../src/dialects/generic.ts';
import { DIALECTS } from '../src/dialects/index.ts';
import type { DialectName } from '../src/dialects/index.ts';
import { ATTEMPT_POLICIES, EXCHANGE_POLICIES } from '../src/pipeline.ts';
import { localAnswer } from '../src/server/local-answer.ts';
import { completed, isForeign, problemsOf } from './support/docs-config.ts';
import { cellsOfRule } from './support/docs-dialects.ts';
import { registeredMetrics } from './support/docs-metrics.ts';
import { allOptions, optionsAt } from './support/docs-options.ts';
import { allPages, codeIn, readText } from './support/docs-pages.ts';
import type { Fence, Page, Table } from './support/docs-pages.ts';
import { brokenLinks, missingPaths, missingRecords, unknownCommands } from './support/docs-references.ts';
import { unknownRoutes, unknownScripts, unlistedPages } from './support/docs-references.ts';
import { commandNames, eventNames, journalEvents, logMessages } from './support/docs-source.ts';
import { processMessages, sourceFiles } from './support/docs-source.ts';

const pages = allPages();
const page = (path: string): Page => {
  const found = pages.find((one) => one.path === path);
  if (!found) throw new Error(`there is no ${path}`);
  return found;
};

const blocksOf = (languages: readonly string[]): [where: string, block: Fence, on: Page][] =>
  pages.flatMap((one) =>
    one.fences
      .filter(({ language }) => languages.includes(language))
      .map((block): [string, Fence, Page] => [`${one.path}:${block.line}`, block, one]),
  );

describe('YAML blocks', () => {
  const blocks = blocksOf(['yaml', 'yml']).filter(([, { text }]) => !isForeign(text));
  const [wrong, right] = [
    blocks.filter(([, { marker }]) => marker.startsWith('invalid: ')),
    blocks.filter(([, { marker }]) => !marker.startsWith('invalid: ')),
  ];

  it.each(right)('%s is a valid configuration', (where, { text, marker }) => {
    const fragment = /^fragment: (\S+)$/.exec(marker)?.[1];
    expect(problemsOf(where, fragment ? completed(fragment, text) : text)).toBe('');
  });

  it.each(wrong)('%s is refused with the problems shown', (_where, { text, marker, line }, on) => {
    const shown = on.fences.find((next) => next.line > line && next.language === 'text');
    expect(problemsOf(marker.replace('invalid: ', ''), text)).toBe(shown?.text);
  });

  it('the packaged configuration is valid', () => {
    const path = 'config/outrigger.yaml';
    expect(problemsOf(path, readText(path))).toBe('');
  });
});

describe('option tables', () => {
  const tables = pages.flatMap((one) =>
    one.tables
      .filter(({ marker }) => marker.startsWith('options: '))
      .map((table): [string, string, Table] => [
        `${one.path}:${table.line}`,
        table.marker.replace('options: ', ''),
        table,
      ]),
  );
  const sections = tables.map(([where, marker, table]) => {
    const [path = '', without = ''] = marker.split('; without: ');
    return { where, path, without: without.split(', '), table };
  });

  it.each(sections)('$where has the options of $path, in order', ({ path, without, table }) => {
    const names = table.rows.map(([name]) => codeIn(name!));
    expect(names).toEqual(optionsAt(path, without).map(({ name }) => name));
  });

  it.each(sections)('$where has the defaults of $path', ({ path, without, table }) => {
    const column = table.header.indexOf('default');
    const shown = Object.fromEntries(table.rows.map((row) => [codeIn(row[0]!), codeIn(row[column]!)]));
    const actual = optionsAt(path, without).map((option) => [option.name, option.default]);
    expect(shown).toEqual(Object.fromEntries(actual));
  });

  it.each(sections)('$where has the ranges of $path', ({ path, without, table }) => {
    const column = table.header.indexOf('range');
    const missing = optionsAt(path, without).flatMap(({ name, range }) => {
      const cell = table.rows.find((row) => codeIn(row[0]!) === name)?.[column] ?? '';
      return range
        .filter((word) => !cell.includes(word))
        .map((word) => `${name}: ${word} is not in "${cell}"`);
    });
    expect(missing).toEqual([]);
  });

  it('every option of the configuration is in some table', () => {
    const documented = new Set(
      sections.flatMap(({ path, table }) => table.rows.map(([name]) => `${path}.${codeIn(name!)}`)),
    );
    const sectionsOnly =
      /^(upstreams|defaults|playground|registry|agent|upstreams\.\*\.(credentials|mcp|a2a|discovery|discovery\.\w+|healthCheck|broadcast|scaling|policies\.\w+)|upstreams\.\*\.overrides\.\*\.match)$/;
    const missing = allOptions()
      // A ladder's short form is its list of steps.
      .map((name) => name.replace('.fallback[].', '.fallback.steps[].'))
      // The same again as in upstreams.
      .filter((name) => !name.startsWith('defaults.'))
      // The same again as in policies.
      .filter((name) => !name.includes('.overrides.*.policies'))
      .filter((name) => !sectionsOnly.test(name) && !documented.has(name));
    expect(missing).toEqual([]);
  });
});

describe('policy pages', () => {
  const HEADINGS = [
    'What it does',
    'When to use',
    'Options',
    'Endings and status codes',
    'Events and metrics',
    'Diagram',
    'With other policies',
    "Don't",
  ];

  it.each([...EXCHANGE_POLICIES, ...ATTEMPT_POLICIES])('$name has the headings that all have', ({ name }) => {
    const titles = page(`docs/policies/${name}.md`)
      .headings(2)
      .filter(({ level }) => level === 2)
      .map(({ title }) => title);
    expect(titles).toEqual(HEADINGS);
  });

  it.each([...EXCHANGE_POLICIES, ...ATTEMPT_POLICIES])('$name has a diagram', ({ name }) => {
    expect(page(`docs/policies/${name}.md`).fences.map(({ language }) => language)).toContain('mermaid');
  });
});

const tableWith = (on: Page, firstColumn: string): Table => {
  const table = on.tables.find(({ header }) => header[0] === firstColumn);
  if (!table) throw new Error(`${on.path} has no table of ${firstColumn}`);
  return table;
};

const spansOf = (on: Page): string[] => on.codeSpans.map(({ text }) => text);

describe('events', () => {
  const logs = page('docs/operations/logs.md');
  const table = tableWith(logs, 'event');

  it('the table has every event of the code, and no other', () => {
    expect(table.rows.map(([name]) => codeIn(name!)).sort()).toEqual(eventNames().sort());
  });

  it('every log message of an event is in the table', () => {
    const text = table.rows.map((row) => row[2]).join('\n');
    expect(logMessages().filter((message) => !text.includes(`\`${message}\``))).toEqual([]);
  });

  it('every log line of the process is named', () => {
    const spans = spansOf(logs);
    expect(processMessages().filter((message) => !spans.includes(message))).toEqual([]);
    expect(processMessages()).toContain('started');
  });

  it('the journal column has every entry of the journal, and no other', () => {
    const shown = table.rows.map((row) => row[3]!).filter((cell) => cell !== '–');
    expect(shown.map(codeIn).sort()).toEqual(journalEvents().sort());
  });
});

describe('metrics', () => {
  const registered = registeredMetrics();
  const ours = registered.filter(({ name }) => name.startsWith('outrigger_'));
  const metrics = page('docs/operations/metrics.md');
  const table = tableWith(metrics, 'metric');

  it('the table has every metric with its type and labels, and no other', () => {
    const shown = table.rows.map(([name = '', type, labels = '']) => ({
      name: codeIn(name),
      type,
      labels: [...labels.matchAll(/`([^`]+)`/g)].map((match) => match[1]),
    }));
    const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
    expect(shown.sort(byName)).toEqual(ours.sort(byName));
  });

  it("the process's own metrics are listed", () => {
    const spans = new Set(spansOf(metrics));
    const missing = registered.filter(({ name }) => !spans.has(name)).map(({ name }) => name);
    expect(missing).toEqual([]);
  });

  it('no page names a metric that does not exist', () => {
    const known = new Set(ours.map(({ name }) => name));
    const unknown = pages.flatMap((one) =>
      [...one.text.matchAll(/\boutrigger_[a-z_]+/g)]
        .map(([name]) => name.replace(/_(bucket|sum|count)$/, ''))
        .filter((name) => !known.has(name))
        .map((name) => `${one.path}: ${name}`),
    );
    expect(unknown).toEqual([]);
  });
});

describe('reasons', () => {
  const http = page('docs/http.md');
  const table = tableWith(http, 'reason');

  it('the table has every reason with its status, Proxy-Status error and Retry-After', () => {
    const shown = table.rows.map(([reason = '', status, token = '', wait]) => [
      codeIn(reason),
      { status, error: codeIn(token), wait },
    ]);
    const actual = Object.entries(REASONS).map(([reason, { status, proxyError }]) => [
      reason,
      { status: String(status), error: proxyError, wait: waitFor(reason as Reason) },
    ]);
    expect(Object.fromEntries(shown)).toEqual(Object.fromEntries(actual));
  });

  function waitFor(reason: Reason): string {
    const { head } = localAnswer({ reason, dialect: generic, pseudonym: 'docs', requestId: 'docs' });
    const seconds = headerValue(head.headers, 'retry-after');
    return seconds === undefined ? '—' : `${seconds} s`;
  }

  it('every header of ours that the server writes or reads is named', () => {
    const named = new Set(http.text.match(/x-outrigger-[a-z-]+/g));
    const used = sourceFiles()
      .filter((file) => file.startsWith('src/server/'))
      .flatMap((file) => readText(file).match(/'x-outrigger-[a-z-]+'/g) ?? [])
      .map((quoted) => quoted.slice(1, -1))
      .filter((name) => !name.endsWith('-'));
    expect([...new Set(used)].filter((name) => !named.has(name))).toEqual([]);
  });
});

describe('the generic dialect', () => {
  const rows = page('docs/dialects/generic.md').tables[0]!.rows.map(([status, name]) => ({
    status: status!,
    name: codeIn(name!),
  }));
  const now = (): Date => new Date(0);

  const documented = (status: number, retryAfter: boolean): string | undefined =>
    rows.find(({ status: cell }) => {
      if (cell === '100 to 399') return status < 400;
      if (cell === '503 with a Retry-After') return status === 503 && retryAfter;
      const other = /^any other (\d)xx$/.exec(cell)?.[1];
      return other ? Math.floor(status / 100) === Number(other) : cell.split(', ').includes(String(status));
    })?.name;

  it.each([false, true])('classifies every status as the table says (Retry-After: %s)', (retryAfter) => {
    const headers = retryAfter ? ['retry-after', '1'] : [];
    for (let status = 100; status < 600; status++) {
      const actual = generic.classify({ status, statusText: '', headers }, now).class;
      expect(documented(status, retryAfter), `${status}`).toBe(actual);
    }
  });

  it('names the content types of streams', () => {
    const types = spansOf(page('docs/dialects/generic.md')).filter((text) =>
      /^[a-z]+\/[a-z.+-]+$/.test(text),
    );
    const streams = types.filter((type) =>
      generic.isStream({ status: 200, statusText: '', headers: ['content-type', type] }),
    );
    expect(streams).toHaveLength(10);
    expect(types.filter((type) => !streams.includes(type))).toEqual(['application/problem+json']);
  });
});

describe('tables of errors', () => {
  const tables = pages.flatMap((one) =>
    one.tables
      .filter(({ marker }) => marker.startsWith('errors: '))
      .map((table): [string, string, Table] => [
        `${one.path}:${table.line}`,
        table.marker.replace('errors: ', ''),
        table,
      ]),
  );

  it.each(tables)('%s has the rows of the dialect %s, in order', (_where, name, table) => {
    const { errors } = DIALECTS[name as DialectName];
    expect(table.rows.map((row) => row.slice(0, 4))).toEqual(errors.map(cellsOfRule));
  });

  it('every page of a dialect with such a table has it', () => {
    const missing = Object.values(DIALECTS)
      .filter(({ name, errors }) => errors.length > 0 && pages.some(({ path }) => path === pathOf(name)))
      .filter(({ name }) => !tables.some(([where, of]) => of === name && where.startsWith(pathOf(name))));
    expect(missing.map(({ name }) => name)).toEqual([]);
  });

  const pathOf = (name: string): string => `docs/dialects/${name}.md`;
});

describe('code blocks', () => {
  const sources = blocksOf(['ts']).filter(([, { marker }]) => marker.startsWith('source: '));

  it.each(sources)('%s is in the file it comes from', (_where, { text, marker }) => {
    expect(readText(marker.replace('source: ', ''))).toContain(text);
  });

  it.each(blocksOf(['json']))('%s is JSON', (_where, { text }) => {
    expect(() => void JSON.parse(text)).not.toThrow();
  });
});

describe('references', () => {
  it('every link leads to a file and a heading that exist', () => {
    expect(brokenLinks(pages)).toEqual([]);
  });

  it('every npm script that is mentioned exists', () => {
    expect(unknownScripts(pages)).toEqual([]);
  });

  it('every subcommand that is mentioned exists', () => {
    expect(commandNames()).toContain('run');
    expect(unknownCommands(pages)).toEqual([]);
  });

  it('every path of the repository that is mentioned exists', () => {
    expect(missingPaths(pages)).toEqual([]);
  });

  it('every decision record that the code names exists', () => {
    expect(missingRecords(pages)).toEqual([]);
  });

  it('every address on the data plane has a route in the packaged configuration', () => {
    expect(unknownRoutes(pages, ['/tools', '/agent'])).toEqual([]);
  });

  it('no page is left out of the index', () => {
    expect(unlistedPages(pages, page('docs/README.md'))).toEqual([]);
  });
});
