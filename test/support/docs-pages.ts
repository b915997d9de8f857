/** The documentation as its tests see it: pages with their headings, links, tables and fenced blocks. */
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const NOT_OURS: ReadonlySet<string> = new Set(['node_modules', '.git', 'dist', 'coverage']);

/** Paths from the root of the repository, with `/`. */
export function filesUnder(folder: string, ends: string): string[] {
  const entries = readdirSync(join(ROOT, folder), { withFileTypes: true });
  return entries
    .flatMap((entry) => {
      const path = relative(ROOT, join(ROOT, folder, entry.name))
        .split(sep)
        .join('/');
      if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : filesUnder(path, ends);
      return entry.name.endsWith(ends) ? [path] : [];
    })
    .sort();
}

export const readText = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

export interface Fence {
  readonly line: number;
  readonly language: string;
  readonly text: string;
  /** What the HTML comment right above says; empty where there is none. */
  readonly marker: string;
}

export interface Table {
  readonly line: number;
  readonly marker: string;
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export class Page {
  /** From the root of the repository. */
  readonly path: string;
  readonly lines: readonly string[];
  readonly fences: readonly Fence[];
  /** The text without fenced blocks, line for line. */
  readonly prose: readonly string[];

  constructor(path: string) {
    this.path = path;
    this.lines = readText(path).split('\n');
    const { fences, prose } = split(this.lines);
    this.fences = fences;
    this.prose = prose;
  }

  get text(): string {
    return this.lines.join('\n');
  }

  /** Anchors as GitHub makes them of headings. */
  get anchors(): ReadonlySet<string> {
    const seen = new Map<string, number>();
    const anchors = this.headings(1).map(({ title }) => {
      const slug = slugOf(title);
      const count = seen.get(slug) ?? 0;
      seen.set(slug, count + 1);
      return count === 0 ? slug : `${slug}-${count}`;
    });
    return new Set(anchors);
  }

  /** Headings of that level and the levels below it. */
  headings(level: number): { readonly level: number; readonly title: string }[] {
    return this.prose.flatMap((line) => {
      const match = /^(#{1,6}) (.+)$/.exec(line);
      return match && match[1]!.length >= level ? [{ level: match[1]!.length, title: match[2]! }] : [];
    });
  }

  get links(): { readonly line: number; readonly target: string }[] {
    return this.prose.flatMap((line, index) =>
      [...withoutCode(line).matchAll(/\]\(([^)\s]+)\)/g)].map((match) => ({
        line: index + 1,
        target: match[1]!,
      })),
    );
  }

  get tables(): Table[] {
    const tables: Table[] = [];
    for (let i = 0; i < this.prose.length; i++) {
      if (!isRow(this.prose[i]) || !/^\|[\s:|-]+\|$/.test(this.prose[i + 1] ?? '')) continue;
      let end = i + 2;
      while (isRow(this.prose[end])) end += 1;
      const [header = [], , ...rows] = this.prose.slice(i, end).map(cellsOf);
      tables.push({ line: i + 1, marker: markerAbove(this.lines, i), header, rows });
      i = end;
    }
    return tables;
  }

  /** Every `code span` outside fenced blocks. */
  get codeSpans(): { readonly line: number; readonly text: string }[] {
    return this.prose.flatMap((line, index) =>
      [...line.matchAll(/`([^`]+)`/g)].map((match) => ({ line: index + 1, text: match[1]! })),
    );
  }
}

/** Every Markdown file of the repository. */
export const allPages = (): Page[] => filesUnder('.', '.md').map((path) => new Page(path));

/** The first code span of a cell, or its text. */
export const codeIn = (cell: string): string => /`([^`]+)`/.exec(cell)?.[1] ?? cell;

const isRow = (line: string | undefined): boolean => /^\|.*\|\s*$/.test(line ?? '');

const withoutCode = (line: string): string => line.replace(/`[^`]*`/g, '``');

const cellsOf = (line: string): string[] =>
  line
    .trim()
    .slice(1, -1)
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll('\\|', '|'));

function split(lines: readonly string[]): { fences: Fence[]; prose: string[] } {
  const fences: Fence[] = [];
  const prose: string[] = [];
  let open: { at: number; fence: string; language: string } | undefined;
  lines.forEach((line, index) => {
    const fence = /^\s*(`{3,}|~{3,})\s*([\w-]*)/.exec(line);
    if (open && fence?.[1]!.startsWith(open.fence) && fence[2] === '') {
      const text = lines.slice(open.at + 1, index).join('\n');
      fences.push({
        line: open.at + 1,
        language: open.language,
        text,
        marker: markerAbove(lines, open.at),
      });
      open = undefined;
      prose.push('');
    } else if (open) prose.push('');
    else if (fence) {
      open = { at: index, fence: fence[1]!, language: fence[2]! };
      prose.push('');
    } else prose.push(line);
  });
  return { fences, prose };
}

function markerAbove(lines: readonly string[], index: number): string {
  let at = index - 1;
  while (at >= 0 && lines[at]!.trim() === '') at -= 1;
  return /^<!-- (.+) -->$/.exec(lines[at]?.trim() ?? '')?.[1] ?? '';
}

const slugOf = (title: string): string =>
  title
    .toLowerCase()
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');
