/** The embedded registry as it is now: services, how many of whose instances are how, and who shares them. */
import type { FastifyInstance } from 'fastify';
import { INSTANCE_STATUSES } from '../core/registry.ts';
import type { AdminDeps } from './admin-deps.ts';
import { AdminProblem, problemResponses } from './problems.ts';

const count = { type: 'integer' } as const;

const registrySchema = {
  type: 'object',
  required: ['listen', 'instances', 'watchers', 'revision', 'sharing', 'services'],
  properties: {
    listen: { type: 'object', properties: { host: { type: 'string' }, port: count } },
    instances: count,
    watchers: count,
    revision: count,
    sharing: { type: 'string', enum: ['off', 'up', 'away'] },
    services: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          service: { type: 'string' },
          instances: count,
          byStatus: {
            type: 'object',
            properties: Object.fromEntries(INSTANCE_STATUSES.map((status) => [status, count])),
          },
          registrations: count,
          deregistrations: count,
          heartbeats: count,
          expiries: count,
          ageMs: count,
        },
      },
    },
  },
} as const;

export function registryRoutes(app: FastifyInstance, { registry }: AdminDeps): void {
  const schema = { response: { 200: registrySchema, ...problemResponses } };
  app.get('/admin/registry', { schema }, async () => {
    const view = registry();
    if (view) return view;
    throw new AdminProblem({
      status: 404,
      code: 'no_registry',
      detail: 'the configuration has no registry section',
    });
  });
}
