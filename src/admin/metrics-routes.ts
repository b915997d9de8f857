/** Metrics for Prometheus. */
import type { FastifyInstance } from 'fastify';
import type { AdminDeps } from './admin-deps.ts';
import { problemResponses } from './problems.ts';

export function metricsRoutes(app: FastifyInstance, { metrics }: AdminDeps): void {
  const schema = { response: { 200: { type: 'string' }, ...problemResponses } };
  app.get('/metrics', { schema }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.text()),
  );
}
