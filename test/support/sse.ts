/** Splits the bytes of an event stream into events, for assertions. */

export interface ReceivedEvent {
  /** The `event` field; `message` when there is none, as in browsers. */
  readonly event: string;
  /** The `data` lines, joined by newlines; empty when there is none. */
  readonly data: string;
  readonly id?: string;
  readonly retry?: number;
  /** The comment lines, as keep-alives are. */
  readonly comments: readonly string[];
}

export interface SplitStream {
  readonly events: readonly ReceivedEvent[];
  /** What follows the last empty line: an event that was cut. */
  readonly rest: string;
}

/** Blocks of comments alone count as events with empty data, so that keep-alives can be seen. */
export function splitEvents(stream: string | Buffer): SplitStream {
  const text = stream
    .toString()
    .replace(/^\uFEFF/, '')
    .replace(/\r\n?/g, '\n');
  const blocks = text.split(/\n\n/);
  const rest = blocks.pop() ?? '';
  return { events: blocks.filter((block) => block.trim() !== '').map(parseBlock), rest };
}

/** The `data` of every complete event that has some. */
export function eventData(stream: string | Buffer): string[] {
  return splitEvents(stream)
    .events.map((event) => event.data)
    .filter((data) => data !== '');
}

function parseBlock(block: string): ReceivedEvent {
  const fields = block.split('\n').map(parseField);
  const valuesOf = (name: string): string[] =>
    fields.filter(([key]) => key === name).map(([, value]) => value);
  const id = valuesOf('id').at(-1);
  const retry = valuesOf('retry').at(-1);
  return {
    event: valuesOf('event').at(-1) ?? 'message',
    data: valuesOf('data').join('\n'),
    ...(id !== undefined && { id }),
    ...(retry !== undefined && { retry: Number(retry) }),
    comments: valuesOf(''),
  };
}

function parseField(line: string): [name: string, value: string] {
  const [, name = '', value = ''] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
  return [name, value];
}
