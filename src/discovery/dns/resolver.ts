/** Asks the DNS servers one after the other until one of them answers. */
import { Resolver as SystemResolver } from 'node:dns';
import { isIP } from 'node:net';
import type { Clock } from '../../core/clock.ts';
import { DnsError, ask } from './ask.ts';
import type { DnsServer } from './ask.ts';
import { RCODE } from './message.ts';
import type { DnsAnswer, DnsRecord, Question } from './message.ts';

export interface ResolverOptions {
  /** `address` or `address:port`. Undefined: those of the system, as they are when they are asked. */
  readonly servers: readonly string[] | undefined;
  /** Longest wait for one server. */
  readonly timeoutMs: number;
}

/** What is there, or that there is nothing. */
export interface Resolution {
  /** Empty: the servers say that there are none. */
  readonly records: readonly DnsRecord[];
  /** Why there are none, for a log line. */
  readonly nothing: string | undefined;
}

/** A datagram may get lost: each server is asked as often. */
const ROUNDS = 2;

const RCODES: Readonly<Record<number, string>> = { 1: 'FORMERR', 2: 'SERVFAIL', 4: 'NOTIMP', 5: 'REFUSED' };

export class Resolver {
  readonly #options: ResolverOptions;
  readonly #clock: Clock;

  constructor(options: ResolverOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  /** @throws DnsError when no server answers, or none will; says what each one did */
  async resolve(question: Question, signal: AbortSignal): Promise<Resolution> {
    const servers = serversOf(this.#options.servers ?? new SystemResolver().getServers());
    const failures = new Map<string, string>();
    for (let round = 1; round <= ROUNDS; round++) {
      for (const server of servers) {
        if (signal.aborted) throw new DnsError('not wanted any more');
        const answer = await this.#ask(question, server, signal);
        if (typeof answer !== 'string') return resolutionOf(answer, question);
        failures.set(`${server.address}:${server.port}`, answer);
      }
    }
    const each = [...failures].map(([server, why]) => `${server}: ${why}`).join(', ');
    throw new DnsError(`${question.type} records of ${question.name}: ${each || 'there is no DNS server'}`);
  }

  /** The answer, or why this server has none. */
  async #ask(question: Question, server: DnsServer, signal: AbortSignal): Promise<DnsAnswer | string> {
    const options = { clock: this.#clock, timeoutMs: this.#options.timeoutMs, signal };
    try {
      let answer = await ask(question, server, { ...options, edns: true });
      if (answer.rcode === RCODE.formatError)
        answer = await ask(question, server, { ...options, edns: false });
      const conclusive = answer.rcode === RCODE.ok || answer.rcode === RCODE.noSuchName;
      return conclusive ? answer : (RCODES[answer.rcode] ?? `code ${answer.rcode}`);
    } catch (error) {
      return (error as Error).message;
    }
  }
}

function resolutionOf({ rcode, records }: DnsAnswer, { name, type }: Question): Resolution {
  if (rcode === RCODE.noSuchName) return { records: [], nothing: `there is no name ${name}` };
  return { records, nothing: records.length === 0 ? `${name} has no ${type} records` : undefined };
}

const DNS_PORT = 53;

/** @param texts `address`, `v4:port` or `[v6]:port` */
export function serversOf(texts: readonly string[]): DnsServer[] {
  return texts.map((text) => {
    if (isIP(text) !== 0) return { address: text, port: DNS_PORT };
    const at = text.lastIndexOf(':');
    const address = text.slice(0, at).replace(/^\[|\]$/g, '');
    return { address, port: Number(text.slice(at + 1)) };
  });
}
