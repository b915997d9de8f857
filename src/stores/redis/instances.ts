/** Instances that registries share through Redis. */
import { randomUUID } from 'node:crypto';
import type { Registration } from '../../core/registry.ts';
import type {
  SharedAnswer,
  SharedAsked,
  SharedInstances,
  SharedNews,
  SharedTold,
} from '../../core/shared-instances.ts';
import type { RedisConnection } from './connection.ts';
import { INSTANCES } from './instances-script.ts';

const KEYS = ['items', 'order', 'leases', 'ends', 'meta'].map((name) => `registry:${name}`);

/** What left is kept for a while, so that everybody learns of it. */
const PLACES_PER_INSTANCE = 2;

type Reply = readonly [
  epoch: string,
  created: number,
  revision: string,
  whole: number,
  more: number,
  missing: readonly string[],
  expired: readonly string[],
  news: readonly string[],
];

export class RedisInstances implements SharedInstances {
  readonly #connection: Pick<RedisConnection, 'run'>;

  constructor(connection: Pick<RedisConnection, 'run'>) {
    this.#connection = connection;
  }

  async exchange(asked: SharedAsked): Promise<SharedAnswer | undefined> {
    const { told, epoch, revision, continued, retentionMs, maxInstances } = asked;
    const most = PLACES_PER_INSTANCE * maxInstances;
    const basics = [epoch, revision, randomUUID(), Math.ceil(retentionMs), most, continued ? 1 : 0];
    const args = [...basics, ...told.flatMap(argumentsOf)];
    const reply = await this.#connection.run<Reply>(INSTANCES, KEYS, args);
    return reply && answerOf(reply);
  }
}

function argumentsOf(told: SharedTold): (string | number)[] {
  if (told.what === 'delete') return [told.what, `${told.service}/${told.id}`, 0, ''];
  const { said, leaseMs, what } = told;
  return [what, `${said.service}/${said.id}`, leaseMs, textOf(said)];
}

/** Always the same for the same, for Redis compares it. */
function textOf({ url, status, weight, priority, zone, metadata, ttlMs }: Registration): string {
  const sorted = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([url, status, weight, priority, zone ?? null, sorted, ttlMs]);
}

function answerOf(reply: Reply): SharedAnswer {
  const [epoch, created, revision, whole, more, missing, expired, news] = reply;
  const ours = new Set(expired);
  const found: SharedNews[] = [];
  for (let at = 0; at < news.length; at += 2) {
    const key = news[at] ?? '';
    const one = newsOf(key, news[at + 1] ?? '', ours.has(key));
    if (one) found.push(one);
  }
  return {
    ...{ epoch, created: created === 1, revision: Number(revision) },
    ...{ whole: whole === 1, more: more === 1, news: found, missing },
  };
}

/** Undefined where that is nothing that a registry wrote. */
function newsOf(key: string, value: string, byUs: boolean): SharedNews | undefined {
  const [service = '', id = ''] = key.split('/');
  const letter = value.slice(0, 1);
  if (letter === 'D' || letter === 'X')
    return { what: 'left', service, id, reason: letter === 'D' ? 'deregistered' : 'expired' };
  const said = saidIn(value.slice(1), { service, id });
  return said && { what: letter === 'A' ? 'alive' : 'expired', said, byUs };
}

type Text = readonly [
  url: string,
  status: Registration['status'],
  weight: number,
  priority: number,
  zone: string | null,
  metadata: readonly (readonly [string, string])[],
  ttlMs: number,
];

function saidIn(text: string, of: { service: string; id: string }): Registration | undefined {
  try {
    const [url, status, weight, priority, zone, metadata, ttlMs] = JSON.parse(text) as Text;
    return {
      ...{ ...of, url, status, weight, priority, zone: zone ?? undefined, ttlMs },
      metadata: Object.fromEntries(metadata),
    };
  } catch {
    return undefined;
  }
}
