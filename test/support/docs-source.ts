/** What the code says of itself, read from its text: events, log messages, journal entries. */
import { filesUnder, readText } from './docs-pages.ts';

export const sourceFiles = (): string[] => filesUnder('src', '.ts');

/** Names that modules add to the EventMap by declaration merging. */
export function eventNames(): string[] {
  return sourceFiles().flatMap((file) => {
    const maps = readText(file).matchAll(/ {2}interface EventMap \{\n(.*?)\n {2}\}/gs);
    return [...maps].flatMap(([, body = '']) =>
      [...body.matchAll(/^ {4}'?([a-z-]+)'?: /gm)].map((match) => match[1]!),
    );
  });
}

const topics = (): string =>
  sourceFiles()
    .filter((file) => file.startsWith('src/telemetry/topics/'))
    .map(readText)
    .join('\n');

/** Texts of the log lines that events lead to. */
export function logMessages(): string[] {
  const text = topics();
  const messages = [...text.matchAll(/\},\s*'([^']+)',?\s*\)/g)].map((match) => match[1]!);
  return [...new Set(messages)];
}

/** Texts of the log lines about the process itself. */
export function processMessages(): string[] {
  return sourceFiles()
    .filter((file) => !file.startsWith('src/telemetry/'))
    .flatMap((file) => [
      ...readText(file).matchAll(/\blogger\.(?:info|warn|error|fatal)\(\s*\{[\s\S]*?\},\s*'([^']+)'/g),
    ])
    .map((match) => match[1]!);
}

export function journalEvents(): string[] {
  return [...new Set([...topics().matchAll(/\bnote\(\s*'([a-z-]+)'/g)].map((match) => match[1]!))];
}

/** Subcommands of the command line. */
export function commandNames(): string[] {
  return sourceFiles()
    .filter((file) => /^src\/cli\/[a-z-]+\.ts$/.test(file))
    .flatMap((file) => [...readText(file).matchAll(/^ {2}name: '([a-z-]+)',$/gm)].map((match) => match[1]!));
}
