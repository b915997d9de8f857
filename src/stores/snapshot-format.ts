/** The text of a snapshot: what it says of itself, and what each part said of itself. */
import type { PersistentState, SavedMoment } from '../core/persistence.ts';

const FORMAT = 'outrigger-state';

/** Another one is a text that nobody here can read. Parts tell by themselves what they understand. */
const VERSION = 1;

export interface Snapshot {
  /** When it was taken. */
  readonly taken: SavedMoment;
  /** By the parts' names. */
  readonly parts: ReadonlyMap<string, unknown>;
}

/** Why a text is no snapshot. */
export type Unreadable = 'corrupt' | 'version';

/** Equal for equal states, whenever they are taken. */
export const encodeParts = (parts: ReadonlyMap<string, PersistentState>): string =>
  JSON.stringify(Object.fromEntries([...parts].sort(([a], [b]) => (a < b ? -1 : 1))));

/** @param parts as `encodeParts` wrote them */
export function encodeSnapshot(parts: string, { instant, wallMs }: SavedMoment): string {
  const head = JSON.stringify({ format: FORMAT, version: VERSION, wallMs, instant });
  return `${head.slice(0, -1)},"parts":${parts}}\n`;
}

export function decodeSnapshot(text: string): Snapshot | Unreadable {
  const whole = parsed(text);
  if (!isMap(whole) || whole['format'] !== FORMAT) return 'corrupt';
  if (whole['version'] !== VERSION) return 'version';
  const { wallMs, instant, parts } = whole;
  if (!isInstant(wallMs) || !isInstant(instant) || !isMap(parts)) return 'corrupt';
  return { taken: { instant, wallMs }, parts: new Map(Object.entries(parts)) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isInstant = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
