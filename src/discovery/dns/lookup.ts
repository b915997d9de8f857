/** All addresses that a name stands for: its own, or those of the targets of its SRV records. */
import type { DnsRecord, Question, RecordType, SrvRecord } from './message.ts';
import type { DnsError } from './ask.ts';
import type { Resolution } from './resolver.ts';

export interface LookupOptions {
  readonly name: string;
  readonly type: 'a' | 'aaaa' | 'both' | 'srv';
  /** Of addresses that come without one. */
  readonly port?: number | undefined;
}

/** One address, and what a SRV record says of it. */
export interface Located {
  readonly address: string;
  readonly port: number;
  /** The SRV record's own; undefined: there is none. */
  readonly srv: { readonly target: string; readonly priority: number; readonly weight: number } | undefined;
}

export interface Finding {
  readonly located: readonly Located[];
  /** How long all that was read may be believed. */
  readonly ttlMs: number;
  /** Why there is nothing, where the servers say so. */
  readonly nothing: string | undefined;
}

export type Resolve = (question: Question, signal: AbortSignal) => Promise<Resolution>;

/** More targets of one name are not followed. */
const MAX_TARGETS = 200;

/** What may stand in a Host field and in a question. */
const HOST = /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/;

const ADDRESS_TYPES = { a: ['A'], aaaa: ['AAAA'], both: ['A', 'AAAA'] } as const;

export class Lookup {
  readonly #options: LookupOptions;
  readonly #resolve: Resolve;
  /** What was found last, by question: one question that fails takes nothing away from the others. */
  #memory = new Map<string, readonly DnsRecord[]>();
  #asked = new Map<string, readonly DnsRecord[]>();

  constructor(options: LookupOptions, resolve: Resolve) {
    this.#options = options;
    this.#resolve = resolve;
  }

  /** One at a time. @throws DnsError when nothing can be said */
  async find(signal: AbortSignal): Promise<Finding> {
    this.#asked = new Map();
    const finding = await (this.#options.type === 'srv' ? this.#bySrv(signal) : this.#byAddress(signal));
    this.#memory = this.#asked;
    return finding;
  }

  async #byAddress(signal: AbortSignal): Promise<Finding> {
    const { name, type, port = 0 } = this.#options;
    const types = ADDRESS_TYPES[type as keyof typeof ADDRESS_TYPES];
    const found = await this.#addresses(name, types, signal);
    if (found.failure) throw found.failure;
    const located = found.records.flatMap((record) =>
      record.type === 'SRV' ? [] : [{ address: record.address, port, srv: undefined }],
    );
    return { located, ttlMs: ttlOf(found.records), nothing: found.nothing };
  }

  async #bySrv(signal: AbortSignal): Promise<Finding> {
    const { name } = this.#options;
    const { records, nothing } = await this.#resolve({ name, type: 'SRV' }, signal);
    // A target that is the root says that the service is decidedly not there (RFC 2782).
    const services = records.flatMap((record) =>
      record.type === 'SRV' && record.port > 0 && HOST.test(record.target) ? [record] : [],
    );
    if (services.length === 0)
      return { located: [], ttlMs: ttlOf(records), nothing: nothing ?? `${name} has no usable SRV records` };
    const targets = [...new Set(services.map(({ target }) => target))].slice(0, MAX_TARGETS);
    const found = await Promise.allSettled(targets.map((target) => this.#addressesOfTarget(target, signal)));
    const byTarget = new Map(targets.map((target, i) => [target, found[i]]));
    return merged(services, byTarget);
  }

  /** Its IPv4 addresses; where it has none, those of IPv6. */
  async #addressesOfTarget(target: string, signal: AbortSignal): Promise<Resolution> {
    const four = await this.#addresses(target, ['A'], signal);
    return four.records.length > 0 ? four : this.#addresses(target, ['AAAA'], signal);
  }

  /** Of those types that are not known now, what was known last. @throws DnsError when nothing can be said */
  async #addresses(name: string, types: readonly RecordType[], signal: AbortSignal): Promise<Remembered> {
    const answers = await Promise.all(types.map((type) => this.#remembering({ name, type }, signal)));
    const records = answers.flatMap((one) => one.records);
    const failure = answers.find((one) => one.failure !== undefined)?.failure;
    if (failure && records.length === 0) throw failure;
    const all = answers.every((one) => one.failure !== undefined);
    return {
      records,
      nothing: records.length === 0 ? answers[0]?.nothing : undefined,
      failure: all ? failure : undefined,
    };
  }

  async #remembering(question: Question, signal: AbortSignal): Promise<Remembered> {
    const key = `${question.type} ${question.name}`;
    try {
      const found = await this.#resolve(question, signal);
      this.#asked.set(key, found.records);
      return { ...found, failure: undefined };
    } catch (error) {
      const records = this.#memory.get(key) ?? [];
      this.#asked.set(key, records);
      return { records, nothing: undefined, failure: error as Error };
    }
  }
}

/** What is known of one name, and where nothing of it is known now, why. */
interface Remembered extends Resolution {
  readonly failure: Error | undefined;
}

type Settled = PromiseSettledResult<Resolution> | undefined;

/** @throws DnsError when there is no address, and for one target it is not known whether it has any */
function merged(services: readonly SrvRecord[], byTarget: ReadonlyMap<string, Settled>): Finding {
  const addressesOf = (target: string): readonly DnsRecord[] => {
    const found = byTarget.get(target);
    return found?.status === 'fulfilled' ? found.value.records : [];
  };
  const located = services.flatMap(({ target, port, priority, weight }) =>
    addressesOf(target).flatMap((record) =>
      record.type === 'SRV' ? [] : [{ address: record.address, port, srv: { target, priority, weight } }],
    ),
  );
  if (located.length > 0) {
    const all = [...services, ...services.flatMap(({ target }) => addressesOf(target))];
    return { located, ttlMs: ttlOf(all), nothing: undefined };
  }
  for (const found of byTarget.values()) if (found?.status === 'rejected') throw found.reason as DnsError;
  return { located, ttlMs: 0, nothing: 'no target of the SRV records has an address' };
}

const ttlOf = (records: readonly DnsRecord[]): number =>
  records.length === 0 ? 0 : Math.min(...records.map(({ ttlSeconds }) => ttlSeconds)) * 1_000;
