/** Paths into the configuration, as people write and read them: `upstreams.openai.endpoints[0].url`. */

export type Path = readonly (string | number)[];

const BARE_KEY = /^(?!\d+$)[\w-]+$/;

/** `upstreams."gpt-4.1".endpoints[0]`: bare keys joined by dots, others quoted, indexes in brackets. Empty for the root. */
export function formatPath(path: Path): string {
  let text = '';
  for (const segment of path) {
    if (typeof segment === 'number') text += `[${segment}]`;
    else text += `${text === '' ? '' : '.'}${formatKey(segment)}`;
  }
  return text;
}

function formatKey(key: string): string {
  return BARE_KEY.test(key) ? key : JSON.stringify(key);
}

const SEGMENT = /\.?(?:\[(\d+)\]|"((?:[^"\\]|\\.)*)"|([^.[\]"]+))/y;

/**
 * The reverse of `formatPath`. A bare segment of digits stays text: whether it is an index depends on what it points into.
 * @returns undefined when the text is no path
 */
export function parsePath(text: string): Path | undefined {
  const path: (string | number)[] = [];
  if (text === '' || text.startsWith('.')) return undefined;
  SEGMENT.lastIndex = 0;
  while (SEGMENT.lastIndex < text.length) {
    const match = SEGMENT.exec(text);
    if (!match) return undefined;
    if (match[1] !== undefined) path.push(Number(match[1]));
    else path.push(match[2] === undefined ? (match[3] ?? '') : match[2].replace(/\\(.)/g, '$1'));
  }
  return path;
}
