/** What an instance sent about itself, checked: where it is wrong, what was expected, what came. */
import { INSTANCE_STATUSES } from '../core/registry.ts';
import type { InstanceStatus, Registration } from '../core/registry.ts';
import { MAX_TTL_MS, MIN_TTL_MS } from '../schema/registry.ts';

/** What is wrong with a request. */
export interface Misfit {
  /** `service`, `id`, `body`, `body.weight`, `query.limit`, … */
  readonly where: string;
  readonly expected: string;
  /** What came, shortened. */
  readonly got: string;
}

export type Read<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly misfit: Misfit };

const MAX_URL = 2_000;
const MAX_ZONE = 100;
const MAX_WEIGHT = 1_000;
const MAX_PRIORITY = 100;
const MAX_METADATA_KEYS = 64;
const MAX_KEY = 100;
const SHOWN = 60;

const SERVICE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;
const ID = /^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$/;

const NAME_RULES = {
  service: [SERVICE, '1 to 100 letters, digits, ".", "_" and "-", beginning with a letter or a digit'],
  id: [ID, '1 to 128 letters, digits, ".", "_", ":", "@" and "-", beginning with a letter or a digit'],
} as const;

/** @returns what is wrong with a name; undefined: nothing */
export function nameMisfit(where: keyof typeof NAME_RULES, name: string): Misfit | undefined {
  const [pattern, expected] = NAME_RULES[where];
  return pattern.test(name) ? undefined : { where, expected, got: shown(name) };
}

/** A value as a message shows it: one line, and no more than the beginning of what is long. */
export function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : (JSON.stringify(value) ?? typeof value);
  return text.length <= SHOWN ? text : `${text.slice(0, SHOWN)}…`;
}

/** Collects the first thing that is wrong. */
class Reader {
  misfit: Misfit | undefined;
  readonly #body: Readonly<Record<string, unknown>>;

  constructor(body: Readonly<Record<string, unknown>>, known: readonly string[]) {
    this.#body = body;
    const stranger = Object.keys(body).find((key) => !known.includes(key));
    if (stranger !== undefined) this.#refuse('', `only ${known.join(', ')}`, stranger);
  }

  text(key: string, max: number): string | undefined {
    const value = this.#body[key];
    if (value === undefined) return undefined;
    if (typeof value === 'string' && value !== '' && value.length <= max) return value;
    this.#refuse(key, `a string of 1 to ${max} characters`, value);
    return undefined;
  }

  number(key: string, [min, max]: readonly [number, number], whole = false): number | undefined {
    const value = this.#body[key];
    if (value === undefined) return undefined;
    if (typeof value === 'number' && value >= min && value <= max && (!whole || Number.isInteger(value)))
      return value;
    this.#refuse(key, `${whole ? 'a whole number' : 'a number'} from ${min} to ${max}`, value);
    return undefined;
  }

  status(): InstanceStatus | undefined {
    const value = this.#body['status'];
    const found = INSTANCE_STATUSES.find((one) => one === value);
    if (value !== undefined && found === undefined)
      this.#refuse('status', `one of ${INSTANCE_STATUSES.join(', ')}`, value);
    return found;
  }

  url(): string {
    const value = this.#body['url'];
    if (typeof value === 'string' && value.length <= MAX_URL && isBaseUrl(value)) return value;
    const expected = 'an http or https URL with host, perhaps port and base path, and nothing else';
    // It may carry a password: that is no reason to print it.
    const got = typeof value === 'string' ? value.replace(/\/\/[^/]*@/, '//…@') : value;
    this.#refuse('url', expected, got);
    return '';
  }

  metadata(maxBytes: number): Readonly<Record<string, string>> {
    const value = this.#body['metadata'] ?? {};
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      this.#refuse('metadata', 'an object of strings', value);
      return {};
    }
    const pairs = Object.entries(value);
    if (pairs.length > MAX_METADATA_KEYS)
      this.#refuse('metadata', `at most ${MAX_METADATA_KEYS} keys`, pairs.length);
    for (const [key, text] of pairs) {
      if (key === '' || key.length > MAX_KEY)
        this.#refuse('metadata', `keys of 1 to ${MAX_KEY} characters`, key);
      else if (typeof text !== 'string') this.#refuse(`metadata.${key}`, 'a string', text);
    }
    const bytes = Buffer.byteLength(JSON.stringify(value));
    if (bytes > maxBytes) this.#refuse('metadata', `at most ${maxBytes} bytes as JSON`, bytes);
    return value as Readonly<Record<string, string>>;
  }

  #refuse(key: string, expected: string, got: unknown): void {
    this.misfit ??= { where: key === '' ? 'body' : `body.${key}`, expected, got: shown(got) };
  }
}

function isBaseUrl(text: string): boolean {
  if (!/^https?:\/\/[^/?#@\s\\]+(\/[^?#\s\\]*)?$/i.test(text)) return false;
  try {
    return new URL(text).hostname !== '';
  } catch {
    return false;
  }
}

const isObject = (body: unknown): body is Readonly<Record<string, unknown>> =>
  typeof body === 'object' && body !== null && !Array.isArray(body);

const noObject = (body: unknown): Read<never> => ({
  ok: false,
  misfit: { where: 'body', expected: 'a JSON object', got: shown(body) },
});

const REGISTRATION_KEYS = ['url', 'status', 'weight', 'priority', 'zone', 'metadata', 'ttlMs'];

export function readRegistration(from: {
  readonly service: string;
  readonly id: string;
  readonly body: unknown;
  readonly defaultTtlMs: number;
  readonly maxMetadata: number;
}): Read<Registration> {
  const { service, id, body } = from;
  const misfit = nameMisfit('service', service) ?? nameMisfit('id', id);
  if (misfit) return { ok: false, misfit };
  if (!isObject(body)) return noObject(body);
  const reader = new Reader(body, REGISTRATION_KEYS);
  const value: Registration = {
    service,
    id,
    url: reader.url(),
    status: reader.status() ?? 'up',
    weight: reader.number('weight', [0, MAX_WEIGHT]) ?? 1,
    priority: reader.number('priority', [0, MAX_PRIORITY], true) ?? 0,
    zone: reader.text('zone', MAX_ZONE),
    metadata: reader.metadata(from.maxMetadata),
    ttlMs: reader.number('ttlMs', [MIN_TTL_MS, MAX_TTL_MS]) ?? from.defaultTtlMs,
  };
  return reader.misfit ? { ok: false, misfit: reader.misfit } : { ok: true, value };
}

/** What a heartbeat may say. */
export interface Said {
  readonly status?: InstanceStatus;
  readonly weight?: number;
}

/** @param body undefined where there was none */
export function readHeartbeat(body: unknown): Read<Said> {
  if (body === undefined) return { ok: true, value: {} };
  if (!isObject(body)) return noObject(body);
  const reader = new Reader(body, ['status', 'weight']);
  const status = reader.status();
  const weight = reader.number('weight', [0, MAX_WEIGHT]);
  if (reader.misfit) return { ok: false, misfit: reader.misfit };
  return { ok: true, value: { ...(status && { status }), ...(weight !== undefined && { weight }) } };
}
