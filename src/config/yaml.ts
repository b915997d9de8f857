/** The one door to js-yaml: events with offsets, the core rules for plain scalars, and dumping. */
import {
  boolCoreTag,
  dump,
  EVENT_ID,
  floatCoreTag,
  getScalarValue,
  intCoreTag,
  NOT_RESOLVED,
  nullCoreTag,
  parseEvents,
  SCALAR_STYLE,
  YAMLException,
} from 'js-yaml';
import type { Event, ScalarEvent } from 'js-yaml';
import type { Scalar } from './tree.ts';

export type YamlEvent = Event;
export type YamlScalarEvent = ScalarEvent;
export { EVENT_ID as YAML_EVENT, SCALAR_STYLE as YAML_STYLE };

/** A text that is no YAML: why, and at which offset. The reason never quotes the text, which may hold a secret. */
export interface YamlFault {
  readonly reason: string;
  readonly offset: number;
}

export function readEvents(text: string, maxDepth: number): readonly YamlEvent[] | YamlFault {
  try {
    return parseEvents(text, { maxDepth });
  } catch (error) {
    if (!(error instanceof YAMLException)) return { reason: 'the text is not YAML', offset: 0 };
    const reason = error.reason.replace(/: .*$/s, '').replace(/\s*"[^"]*"/g, '');
    return { reason, offset: error.mark?.position ?? 0 };
  }
}

export const scalarText = (source: string, event: YamlScalarEvent): string => getScalarValue(source, event);

const CORE_TAGS = [nullCoreTag, boolCoreTag, intCoreTag, floatCoreTag] as const;

/** What a plain scalar means under the YAML 1.2 core rules: null, boolean, number, or the text itself. */
export function coreValue(text: string): Scalar {
  for (const tag of CORE_TAGS) {
    const value = tag.resolve(text, false, tag.tagName);
    if (value !== NOT_RESOLVED) return value;
  }
  return text;
}

const EXPLICIT_TAGS = new Map<string, (text: string) => Scalar | undefined>([
  ['!', (text) => text],
  ['!!str', (text) => text],
  ...(
    [
      ['!!null', nullCoreTag],
      ['!!bool', boolCoreTag],
      ['!!int', intCoreTag],
      ['!!float', floatCoreTag],
    ] as const
  ).map(([name, tag]): [string, (text: string) => Scalar | undefined] => [
    name,
    (text) => {
      const value = tag.resolve(text, true, tag.tagName);
      return value === NOT_RESOLVED ? undefined : value;
    },
  ]),
]);

/** The value of a scalar with an explicit tag such as `!!str`; undefined when the tag is unknown or does not fit. */
export const taggedValue = (tag: string, text: string): Scalar | undefined => EXPLICIT_TAGS.get(tag)?.(text);

/** Block YAML, one line per scalar unless the text itself has several. */
export const dumpYaml = (value: unknown): string => dump(value, { lineWidth: -1, noRefs: true });

/** One value on one line. */
export function dumpInline(value: unknown): string {
  const block = typeof value === 'string' && !/[\r\n]/.test(value);
  if (block) return dumpYaml(value).trimEnd();
  return dump([value], { lineWidth: -1, noRefs: true, flowLevel: 0 }).trimEnd().slice(1, -1);
}
