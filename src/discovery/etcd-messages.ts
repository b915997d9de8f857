/** What etcd's JSON gateway writes: keys and values in base64, 64-bit numbers as texts, zeroes and empty values left out. */

export type Fields = Readonly<Record<string, unknown>>;

/** A key as it stands, or, without a value, a key that is gone. */
export interface EtcdEntry {
  readonly key: string;
  /** UTF-8. Undefined: it was deleted, or its lease has run out. */
  readonly value: string | undefined;
  /** Of the store when this came to be so. */
  readonly revision: number;
}

export interface EtcdRange {
  /** Of the store when it was read; a watch goes on with the next. */
  readonly revision: number;
  /** Which cluster it was; another one counts revisions of its own. */
  readonly cluster: string;
  readonly entries: readonly EtcdEntry[];
}

/** One message of a watch. */
export interface EtcdWatched {
  /** Of the store when it was written; 0 where it is not told. */
  readonly revision: number;
  readonly cluster: string;
  /** In the order of the changes. */
  readonly entries: readonly EtcdEntry[];
  /** The watch stands; it is the first message. */
  readonly created: boolean;
  /** The revisions that were asked for are forgotten: the watch is over, and everything has to be read anew. */
  readonly compacted: boolean;
  /** Why the watch is over, where it is not for that. */
  readonly error?: string;
}

/** The fields of what should be an object; none where it is something else. */
export const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null ? (value as Fields) : {};

export const revisionOf = (message: Fields): number => wholeNumber(fieldsOf(message['header'])['revision']);

const wholeNumber = (text: unknown): number => {
  const number = Number(text ?? 0);
  return Number.isSafeInteger(number) ? number : 0;
};

export const clusterOf = (message: Fields): string => textOf(fieldsOf(message['header'])['cluster_id']);

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

/** @returns `kvs` of a range; what has no key is left out */
export function entriesIn(kvs: unknown): EtcdEntry[] {
  if (!Array.isArray(kvs)) return [];
  return kvs.flatMap((one) => {
    const { key, value, mod_revision: revision } = fieldsOf(one);
    if (typeof key !== 'string') return [];
    return [{ key: decoded(key), value: decoded(value), revision: wholeNumber(revision) }];
  });
}

/** One line of a watch. @throws Error where it is no JSON, without what stands there */
export function watchMessage(line: string): EtcdWatched {
  const { result, error } = fieldsOf(parsed(line));
  const message = fieldsOf(result);
  const cancelled = message['canceled'] === true;
  const compacted = cancelled && Number(message['compact_revision'] ?? 0) > 0;
  const why = error === undefined ? message['cancel_reason'] : fieldsOf(error)['message'];
  const over = error !== undefined || (cancelled && !compacted);
  return {
    revision: revisionOf(message),
    cluster: clusterOf(message),
    entries: changesIn(message['events']),
    created: message['created'] === true,
    compacted,
    ...(over && { error: `the watch was cancelled (${textOf(why).slice(0, 200) || 'no reason given'})` }),
  };
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new Error('expected a line of JSON');
  }
}

function changesIn(events: unknown): EtcdEntry[] {
  if (!Array.isArray(events)) return [];
  return events.flatMap((event) => {
    const { type, kv } = fieldsOf(event);
    const { key, value, mod_revision: revision } = fieldsOf(kv);
    if (typeof key !== 'string') return [];
    const text = type === 'DELETE' ? undefined : decoded(value);
    return [{ key: decoded(key), value: text, revision: wholeNumber(revision) }];
  });
}

const decoded = (base64: unknown): string =>
  typeof base64 === 'string' ? Buffer.from(base64, 'base64').toString('utf8') : '';

/** From a prefix to the first key behind all that begin with it; where there is none, to the end of the keys. */
export function rangeEnd(prefix: string): { key: string; range_end: string } {
  const bytes = Buffer.from(prefix);
  const end = Buffer.from(bytes);
  for (let last = end.length - 1; last >= 0; last--) {
    const byte = end[last] ?? 0xff;
    if (byte === 0xff) continue;
    end[last] = byte + 1;
    return { key: bytes.toString('base64'), range_end: end.subarray(0, last + 1).toString('base64') };
  }
  return { key: (bytes.length > 0 ? bytes : Buffer.of(0)).toString('base64'), range_end: 'AA==' };
}
