/** The operator's hand on a circuit breaker. It stays until it is taken back, reloads included. */
import type { FastifyInstance } from 'fastify';
import type { CircuitOverride } from '../algorithms/circuit.ts';
import type { AdminDeps } from './admin-deps.ts';
import { breakerOf } from './breaker-of.ts';
import type { Guards } from './guards.ts';
import { AdminProblem, problemResponses } from './problems.ts';
import { findUpstream, nameSchema, snapshotSchema } from './upstream-routes.ts';

const OVERRIDES = { open: 'open', close: 'closed', auto: 'auto' } as const satisfies Record<
  string,
  CircuitOverride
>;

const bodySchema = {
  type: 'object',
  required: ['state'],
  properties: { state: { type: 'string', enum: Object.keys(OVERRIDES) } },
  additionalProperties: false,
} as const;

export function breakerRoutes(app: FastifyInstance, { supervisor }: AdminDeps, guards: Guards): void {
  const response = { 200: snapshotSchema, ...problemResponses };
  app.post<{ Params: { name: string }; Body: { state: keyof typeof OVERRIDES } }>(
    '/admin/upstreams/:name/breaker',
    { onRequest: guards.change, schema: { params: nameSchema, body: bodySchema, response } },
    async ({ params, body }) => {
      const breaker = breakerOf(findUpstream(supervisor, params.name));
      if (!breaker) throw withoutBreaker(params.name);
      breaker.setOverride(OVERRIDES[body.state]);
      return breaker.snapshot();
    },
  );
}

const withoutBreaker = (name: string): AdminProblem =>
  new AdminProblem({
    status: 409,
    code: 'no_breaker',
    detail: `upstream ${name} has no circuit breaker: upstreams.${name}.policies.circuitBreaker is false`,
  });
