/** The operator's word that a credential is good again: its quota was raised, its account paid. */
import type { FastifyInstance } from 'fastify';
import type { AdminDeps } from './admin-deps.ts';
import { credentialsOf } from './credentials-of.ts';
import type { Guards } from './guards.ts';
import { AdminProblem, problemResponses } from './problems.ts';
import { findUpstream, nameSchema, snapshotSchema } from './upstream-routes.ts';

const bodySchema = {
  type: 'object',
  required: ['reset'],
  properties: { reset: { type: 'string', minLength: 1, maxLength: 100 } },
  additionalProperties: false,
} as const;

/** Stands for every credential of the upstream; no name of one. */
const ALL = '*';

export function credentialRoutes(app: FastifyInstance, { supervisor }: AdminDeps, guards: Guards): void {
  const response = { 200: snapshotSchema, ...problemResponses };
  app.post<{ Params: { name: string }; Body: { reset: string } }>(
    '/admin/upstreams/:name/credentials',
    { onRequest: guards.change, schema: { params: nameSchema, body: bodySchema, response } },
    async ({ params, body }) => {
      const credentials = credentialsOf(findUpstream(supervisor, params.name));
      if (!credentials) throw withoutCredentials(params.name);
      const names = body.reset === ALL ? credentials.keyNames : [body.reset];
      for (const name of names)
        if (!credentials.reset(name)) throw unknownCredential(name, credentials.keyNames);
      return credentials.snapshot();
    },
  );
}

const withoutCredentials = (upstream: string): AdminProblem =>
  new AdminProblem({
    status: 409,
    code: 'no_credentials',
    detail: `upstream ${upstream} has no credentials of its own: upstreams.${upstream}.credentials is not set`,
  });

const unknownCredential = (name: string, known: readonly string[]): AdminProblem =>
  new AdminProblem({
    status: 404,
    code: 'no_such_credential',
    detail: `there is no credential ${JSON.stringify(name)}; there are ${known.join(', ')}`,
    members: { known },
  });
