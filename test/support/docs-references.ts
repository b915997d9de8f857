/** What the pages refer to and does not exist; each function tells where. */
import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { load } from 'js-yaml';
import { ROOT, readText } from './docs-pages.ts';
import type { Page } from './docs-pages.ts';
import { commandNames, sourceFiles } from './docs-source.ts';

/** Links to files or headings that are not there. */
export function brokenLinks(pages: readonly Page[]): string[] {
  return pages.flatMap((page) =>
    page.links
      .filter(({ target }) => !/^[a-z]+:/.test(target) && !leadsSomewhere(pages, page, target))
      .map(({ line, target }) => `${page.path}:${line}: ${target}`),
  );
}

function leadsSomewhere(pages: readonly Page[], from: Page, target: string): boolean {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? from.path : normalize(join(dirname(from.path), path));
  if (anchor === undefined) return existsSync(join(ROOT, file));
  return pages.find((one) => one.path === file)?.anchors.has(anchor) ?? false;
}

export function unknownScripts(pages: readonly Page[]): string[] {
  const { scripts } = JSON.parse(readText('package.json')) as { scripts: Record<string, string> };
  return pages.flatMap(({ path, text }) =>
    [...text.matchAll(/\bnpm (?:run (?:-s )?([\w:-]+)|(start|test)\b)/g)]
      .map((match) => match[1] ?? match[2]!)
      .filter((name) => !(name in scripts))
      .map((name) => `${path}: npm run ${name}`),
  );
}

export function unknownCommands(pages: readonly Page[]): string[] {
  const known = commandNames();
  return pages.flatMap(({ path, codeSpans, fences }) =>
    [...codeSpans, ...fences.filter(({ language }) => language === 'sh')]
      .flatMap(({ text }) => [...text.matchAll(/(?:^|\s)outrigger (?:-- )?([a-z][a-z-]*)/gm)])
      .filter(([, name]) => !known.includes(name!))
      .map(([text]) => `${path}: ${text.trim()}`),
  );
}

const PATH = /^(src|test|docs|config|bench|scripts|deploy|examples)\/[\w./-]*$/;

export function missingPaths(pages: readonly Page[]): string[] {
  return pages.flatMap(({ path, codeSpans }) =>
    codeSpans
      .filter(({ text }) => PATH.test(text) && !text.includes('NNNN') && !existsSync(join(ROOT, text)))
      .map(({ line, text }) => `${path}:${line}: ${text}`),
  );
}

/** Decision records that code or pages name. */
export function missingRecords(pages: readonly Page[]): string[] {
  const known = (number: string): boolean => pages.some(({ path }) => path.startsWith(`docs/adr/${number}-`));
  return [...sourceFiles(), ...pages.map(({ path }) => path)].flatMap((file) =>
    [...readText(file).matchAll(/docs\/adr\/(\d{4})/g)]
      .filter(([, number]) => !known(number!))
      .map(([name]) => `${file}: ${name}`),
  );
}

/** Addresses on the data plane that the packaged configuration has no route for. @param own routes of examples */
export function unknownRoutes(pages: readonly Page[], own: readonly string[]): string[] {
  const config = load(readText('config/outrigger.yaml')) as { upstreams: Record<string, { route?: string }> };
  const routes = [...Object.values(config.upstreams).map(({ route }) => route), ...own];
  return pages.flatMap(({ path, text }) =>
    [...text.matchAll(/127\.0\.0\.1:8080(\/[\w-]+)/g)]
      .filter(([, route]) => !routes.includes(route))
      .map(([url]) => `${path}: ${url}`),
  );
}

/** Pages below docs/ that its index does not lead to. */
export function unlistedPages(pages: readonly Page[], index: Page): string[] {
  const linked = new Set(index.links.map(({ target }) => normalize(join('docs', target.split('#')[0]!))));
  return pages
    .map(({ path }) => path)
    .filter((path) => path.startsWith('docs/') && path !== index.path && !linked.has(path));
}
