/**
 * Endpoints from DNS: the addresses of a name, or the targets of its SRV records. It asks again when the answer's time to
 * live is over. One bad answer changes nothing: no answer keeps the list, and what is missing must be missing for a while.
 */
import { isIP, isIPv4 } from 'node:net';
import { z } from 'zod';
import type { Delays } from '../algorithms/backoff.ts';
import type { TimerHandle } from '../core/clock.ts';
import { hostName } from '../schema/endpoint.ts';
import { duration, positiveDuration } from '../schema/scalars.ts';
import { descriptionsOf } from './dns/descriptions.ts';
import { Lookup } from './dns/lookup.ts';
import type { Finding, Located } from './dns/lookup.ts';
import { Resolver } from './dns/resolver.ts';
import { SteadyList } from './dns/steady-list.ts';
import type { Discoverer, DiscoveryDeps, DiscoveryKind } from './kind.ts';
import { basePath, port, scheme } from './reach-options.ts';
import { reconnectDelays } from './reconnect-delays.ts';

const NAME =
  /^(?=.{1,254}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?)*\.?$/;

const isServer = (text: string): boolean => {
  if (isIP(text) !== 0) return true;
  const [, v6, v4, digits] = /^(?:\[([^\]]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text) ?? [];
  const at = Number(digits);
  return (v4 === undefined ? isIP(v6 ?? '') === 6 : isIPv4(v4)) && at > 0 && at <= 65_535;
};

export const dnsSchema = z
  .strictObject({
    name: z
      .string()
      .regex(NAME, { error: 'expected a name such as "agents.example.com"' })
      .describe('Name to look up, in full: search domains and the hosts file are not used.'),
    type: z
      .enum(['a', 'aaaa', 'both', 'srv'])
      .default('a')
      .describe(
        'Records to look for: IPv4 addresses, IPv6 addresses, both, or SRV records with hosts, ports, weights and priorities.',
      ),
    port: port
      .optional()
      .describe('Port of the addresses. Required, but for SRV records, which have their own.'),
    scheme,
    basePath,
    hostName: hostName.describe(
      'Host name for the Host field and the certificate. Default: the name; of SRV records their target.',
    ),
    resolver: z
      .array(z.string().refine(isServer, { error: 'expected address:port such as "10.0.0.2:53"' }))
      .min(1)
      .max(8)
      .optional()
      .describe('DNS servers, asked in this order, as address or address:port. Default: the system’s.'),
    minRefresh: positiveDuration
      .prefault('5s')
      .describe('Shortest time between two lookups, whatever the records’ time to live.'),
    maxRefresh: positiveDuration.prefault('5m').describe('Longest time between two lookups.'),
    timeout: positiveDuration.prefault('2s').describe('Longest wait for one server; each is asked twice.'),
    grace: duration
      .prefault('30s')
      .describe(
        'How long answers must lack an address until it goes, and say that there is nothing until that is believed. `0s`: at once.',
      ),
  })
  .refine(({ type, port: given }) => (type === 'srv') !== (given !== undefined), {
    error: 'expected port, or type: srv without one',
    path: ['port'],
  })
  .refine(({ minRefresh, maxRefresh }) => minRefresh <= maxRefresh, {
    error: 'expected at least minRefresh',
    path: ['maxRefresh'],
  })
  .describe('Endpoints are the addresses of a DNS name.');

export type DnsOptions = z.output<typeof dnsSchema>;

/** Who have learnt of an answer together do not ask for the next together: up to this share later. */
const JITTER = 0.1;
/** Further addresses are left out. */
const MAX_ENDPOINTS = 1_000;

class DnsDiscoverer implements Discoverer {
  readonly #options: DnsOptions;
  readonly #deps: DiscoveryDeps;
  readonly #lookup: Lookup;
  readonly #steady: SteadyList<Located>;
  readonly #stopped = new AbortController();
  #delays: Delays | undefined;
  #timer: TimerHandle | undefined;
  #nothingSince: number | undefined;

  constructor(options: DnsOptions, deps: DiscoveryDeps) {
    const { resolver: servers, timeout: timeoutMs, grace } = options;
    const resolver = new Resolver({ servers, timeoutMs }, deps.clock);
    const name = options.name.replace(/\.$/, '').toLowerCase();
    this.#options = { ...options, name };
    this.#deps = deps;
    this.#lookup = new Lookup(this.#options, (question, signal) => resolver.resolve(question, signal));
    this.#steady = new SteadyList(grace, ({ address, port: at }) => `${address} ${at}`);
  }

  start(): void {
    void this.#refresh();
  }

  dispose(): void {
    this.#stopped.abort();
    if (this.#timer) this.#deps.clock.clearTimer(this.#timer);
  }

  async #refresh(): Promise<void> {
    const found = await this.#lookup.find(this.#stopped.signal).catch((error: unknown) => error as Error);
    if (this.#stopped.signal.aborted) return;
    const waitMs = found instanceof Error ? this.#failed(found) : this.#found(found);
    this.#timer = this.#deps.clock.setBackgroundTimer(waitMs, () => void this.#refresh());
  }

  #failed({ message }: Error): number {
    this.#deps.list.failed(message);
    return this.#backoffMs();
  }

  #found({ located, ttlMs, nothing }: Finding): number {
    const now = this.#deps.clock.now();
    if (located.length === 0) return this.#foundNothing(nothing ?? 'there is nothing', now);
    this.#nothingSince = undefined;
    this.#delays = undefined;
    this.#steady.answered(located, now, MAX_ENDPOINTS);
    this.#publish();
    return this.#refreshMs(ttlMs, now);
  }

  /** A name that is gone may be one that is being replaced, or a server that does not know it yet. */
  #foundNothing(why: string, now: number): number {
    this.#nothingSince ??= now;
    if (now - this.#nothingSince < this.#options.grace) this.#deps.list.failed(why);
    else {
      this.#steady.clear();
      this.#publish();
    }
    return this.#backoffMs();
  }

  #publish(): void {
    this.#deps.list.replace(descriptionsOf(this.#steady.all, this.#options));
  }

  /** When the answer is over, and where something is missing, when its grace is. */
  #refreshMs(ttlMs: number, now: number): number {
    const { minRefresh, maxRefresh } = this.#options;
    const overMs = Math.min(
      ttlMs,
      maxRefresh,
      (this.#steady.nextRemovalAt ?? Number.POSITIVE_INFINITY) - now,
    );
    return Math.max(overMs, minRefresh) * (1 + JITTER * this.#deps.random.next());
  }

  #backoffMs(): number {
    this.#delays ??= reconnectDelays(this.#deps.random);
    return this.#delays();
  }
}

export const dns: DiscoveryKind<typeof dnsSchema> = {
  key: 'dns',
  schema: dnsSchema,
  build: (options, deps) => new DnsDiscoverer(options, deps),
};
