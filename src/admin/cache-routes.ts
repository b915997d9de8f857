/** The operator's word that what was answered before does not hold any more. */
import type { FastifyInstance } from 'fastify';
import type { AdminDeps } from './admin-deps.ts';
import { cachesOf } from './caches-of.ts';
import type { Guards } from './guards.ts';
import { AdminProblem, problemResponses } from './problems.ts';
import { findUpstream, nameSchema } from './upstream-routes.ts';

/** Exactly one of them. */
const bodySchema = {
  type: 'object',
  minProperties: 1,
  maxProperties: 1,
  properties: {
    all: { type: 'boolean', enum: [true] },
    pathPrefix: { type: 'string', pattern: '^/', maxLength: 2_000 },
    key: { type: 'string', minLength: 1, maxLength: 100 },
  },
  additionalProperties: false,
} as const;

interface Purge {
  readonly all?: true;
  readonly pathPrefix?: string;
  readonly key?: string;
}

const answerSchema = {
  type: 'object',
  required: ['purged'],
  properties: { purged: { type: 'integer' } },
} as const;

export function cacheRoutes(app: FastifyInstance, { supervisor }: AdminDeps, guards: Guards): void {
  const response = { 200: answerSchema, ...problemResponses };
  app.post<{ Params: { name: string }; Body: Purge }>(
    '/admin/upstreams/:name/cache/purge',
    { onRequest: guards.change, schema: { params: nameSchema, body: bodySchema, response } },
    async ({ params, body }) => {
      const caches = cachesOf(findUpstream(supervisor, params.name));
      if (caches.length === 0) throw withoutCache(params.name);
      const { key, pathPrefix } = body;
      const filter = {
        ...(key !== undefined && { group: key }),
        ...(pathPrefix !== undefined && { pathPrefix }),
      };
      let purged = 0;
      for (const cache of caches) {
        const count = await cache.purge(filter);
        if (count === undefined) throw storeAway();
        purged += count;
      }
      return { purged };
    },
  );
}

const withoutCache = (upstream: string): AdminProblem =>
  new AdminProblem({
    status: 409,
    code: 'no_cache',
    detail: `upstream ${upstream} has no cache: upstreams.${upstream}.policies.cache is not set`,
  });

const storeAway = (): AdminProblem =>
  new AdminProblem({
    status: 503,
    code: 'store_away',
    detail: 'Redis is away or slow: what is kept there was not let go, or not all of it; try again',
  });
