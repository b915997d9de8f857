/** The operator's hand on an endpoint. It stays until it is taken back, reloads included. */
import type { FastifyInstance } from 'fastify';
import type { Operation } from '../core/endpoint.ts';
import type { AdminDeps } from './admin-deps.ts';
import type { Guards } from './guards.ts';
import { AdminProblem, problemResponses } from './problems.ts';
import { endpointSchema, endpointView, findUpstream, nameSchema } from './upstream-routes.ts';

const OPERATIONS = { enable: 'enabled', drain: 'draining', disable: 'disabled' } as const satisfies Record<
  string,
  Operation
>;

const bodySchema = {
  type: 'object',
  required: ['endpoint', 'state'],
  properties: {
    endpoint: { type: 'string', minLength: 1, maxLength: 2_000 },
    state: { type: 'string', enum: Object.keys(OPERATIONS) },
  },
  additionalProperties: false,
} as const;

interface Body {
  readonly endpoint: string;
  readonly state: keyof typeof OPERATIONS;
}

export function endpointRoutes(app: FastifyInstance, { supervisor }: AdminDeps, guards: Guards): void {
  const response = { 200: endpointSchema, ...problemResponses };
  app.post<{ Params: { name: string }; Body: Body }>(
    '/admin/upstreams/:name/endpoints',
    { onRequest: guards.change, schema: { params: nameSchema, body: bodySchema, response } },
    async ({ params, body }) => {
      const { endpoints } = findUpstream(supervisor, params.name);
      const { members } = endpoints;
      const found = members.find(({ name }) => name === body.endpoint);
      // One that is not listed has no state, only what is remembered of it.
      if (!found && body.state === 'enable' && endpoints.takeBack(body.endpoint))
        return { name: body.endpoint };
      if (!found) throw noSuchEndpoint(body.endpoint, members);
      found.member.operate(OPERATIONS[body.state]);
      return endpointView(found);
    },
  );
}

function noSuchEndpoint(name: string, members: readonly { readonly name: string }[]): AdminProblem {
  const known = members.map((one) => one.name);
  return new AdminProblem({
    status: 404,
    code: 'no_such_endpoint',
    detail: `there is no endpoint ${JSON.stringify(name)}; there ${known.length === 0 ? 'are none' : `are ${known.join(', ')}`}`,
    members: { known },
  });
}
