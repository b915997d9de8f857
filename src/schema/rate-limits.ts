/** The limits that an operator sets, and the buckets that they come to. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Exchange } from '../core/exchange.ts';
import { headerValue } from '../core/header-list.ts';
import type { BucketSize } from '../core/limit-store.ts';
import { prioritySchema } from './priority.ts';
import { count, duration, headerName, positiveCount, positiveDuration } from './scalars.ts';

const bySchema = z
  .union([z.enum(['upstream', 'agent', 'route']), z.strictObject({ header: headerName })])
  .default('upstream')
  .describe(
    'Who shares a bucket: all calls of the upstream, those of one agent (`server.agentHeader`), those that came by one route, or those with the same value of a request field (`{ header: x-team }`). Calls without that value share one.',
  );

const limitShape = {
  requests: positiveCount.optional().describe('Calls that may be made in `per`.'),
  tokens: positiveCount.optional().describe('Tokens, prompt and generated, that calls may take in `per`.'),
  per: positiveDuration.describe('Time in which so many come back, evenly.'),
  burst: positiveCount
    .optional()
    .describe(
      'What a full bucket holds: so many can be used at once after a rest. Default: as many as come back in `per`.',
    ),
  by: bySchema,
};

const limitSchema = z
  .strictObject(limitShape)
  .refine(({ requests, tokens }) => requests !== undefined || tokens !== undefined, {
    error: 'expected requests, tokens or both',
  })
  .refine(
    ({ requests, tokens, burst }) => burst === undefined || requests === undefined || tokens === undefined,
    { error: 'expected a burst of requests or of tokens: give each a limit of its own', path: ['burst'] },
  );

export type LimitOptions = z.output<typeof limitSchema>;

/** What a bucket holds. */
export type Unit = 'requests' | 'tokens';

/** One kind of bucket; there is one for each value of what it goes by. */
export interface LimitRule {
  /** `requests/1s`, `tokens/1m/agent`: for names in stores, metrics and answers. */
  readonly name: string;
  readonly unit: Unit;
  readonly amount: number;
  readonly perMs: number;
  readonly size: BucketSize;
  readonly by: LimitOptions['by'];
}

export function rulesOf({ requests, tokens, per, burst, by }: LimitOptions): LimitRule[] {
  const amounts: readonly (readonly [Unit, number | undefined])[] = [
    ['requests', requests],
    ['tokens', tokens],
  ];
  return amounts.flatMap(([unit, amount]) =>
    amount === undefined
      ? []
      : [
          {
            name: [unit, inWords(per), ...(by === 'upstream' ? [] : [nameOf(by)])].join('/'),
            unit,
            amount,
            perMs: per,
            size: { burst: burst ?? amount, ratePerSecond: (amount * 1_000) / per },
            by,
          },
        ],
  );
}

const nameOf = (by: LimitOptions['by']): string => (typeof by === 'string' ? by : `header:${by.header}`);

/** `1s`, `90s`, `5m`, `250ms`. */
function inWords(ms: number): string {
  const units = [
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
  ] as const;
  const unit = units.find(([, size]) => ms % size === 0);
  return unit ? `${ms / unit[1]}${unit[0]}` : `${ms}ms`;
}

/** Names of limits of which there are two. */
function repeatedRules(rules: readonly LimitRule[]): string[] {
  const names = rules.map(({ name }) => name);
  return names.filter((name, index) => names.indexOf(name) !== index);
}

/** Which bucket of its kind a call takes from; empty where there is only one. */
export function partOf({ by }: LimitRule, { agentId, route, request }: Exchange): string {
  if (by === 'upstream') return '';
  if (by === 'route') return `/${route}`;
  const value = by === 'agent' ? agentId : headerValue(request.headers, by.header.toLowerCase());
  if (value === undefined) return '/';
  // Whatever clients send, names stay short, and what may be a secret stays with us.
  const plain = by === 'agent' && /^[\w.-]{1,64}$/.test(value);
  return plain ? `/${value}` : `/#${createHash('sha256').update(value).digest('base64url').slice(0, 22)}`;
}

const commonShape = {
  maxWait: duration
    .prefault('0s')
    .describe('Longest wait of a call for room. 0s: none waits, it is refused at once.'),
  maxQueue: count.default(100).describe('Most calls that wait at a time; further ones are refused at once.'),
  priority: prioritySchema,
  shared: z
    .boolean()
    .default(true)
    .describe('Shared with other sidecars through state.redis, where that is set.'),
};

const shortSchema = z
  .strictObject({ ...limitShape, ...commonShape })
  .refine(({ requests, tokens }) => requests !== undefined || tokens !== undefined, {
    error: 'expected requests, tokens or limits',
  })
  .refine(
    ({ requests, tokens, burst }) => burst === undefined || requests === undefined || tokens === undefined,
    { error: 'expected a burst of requests or of tokens: give each a limit of its own', path: ['burst'] },
  );

const longSchema = z
  .strictObject({
    limits: z.array(limitSchema).min(1).max(10).describe('Several limits; a call needs room in all of them.'),
    ...commonShape,
  })
  .refine(({ limits }) => repeatedRules(limits.flatMap(rulesOf)).length === 0, {
    error: 'expected limits that differ in what they count, in by or in per',
    path: ['limits'],
  });

export const rateLimitSchema = z
  .union([shortSchema, longSchema])
  .describe('Admits so many calls, or so many tokens, in a time.');

export type RateLimitOptions = z.output<typeof rateLimitSchema>;
