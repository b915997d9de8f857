/** The configuration in force, as it may be shown, and the order to read it again. */
import { STATUS_CODES } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { formatOrigin } from '../config/origins.ts';
import { effectiveValues, printConfig } from '../config/print.ts';
import { configSchema } from '../config/schema.ts';
import type { ReloadResult } from '../runtime/supervisor.ts';
import type { AdminDeps } from './admin-deps.ts';
import { requireConfig } from './admin-deps.ts';
import type { Guards } from './guards.ts';
import { problemResponses, problemSchema } from './problems.ts';

const configViewSchema = {
  type: 'object',
  required: ['generation', 'hash', 'values'],
  properties: {
    generation: { type: 'integer' },
    hash: { type: 'string' },
    appliedAt: { type: 'string' },
    values: {
      type: 'array',
      items: {
        type: 'object',
        required: ['path', 'value', 'origin'],
        properties: { path: { type: 'string' }, value: { type: 'string' }, origin: { type: 'string' } },
      },
    },
  },
} as const;

const formatSchema = {
  type: 'object',
  properties: { format: { type: 'string', enum: ['json', 'yaml'], default: 'json' } },
  additionalProperties: false,
} as const;

const reloadProperties = {
  applied: { type: 'boolean' },
  changed: { type: 'boolean' },
  generation: { type: 'integer' },
  problems: {
    type: 'array',
    items: {
      type: 'object',
      // What is not named here stays here: the excerpt is for terminals.
      properties: {
        severity: { type: 'string' },
        file: { type: 'string' },
        line: { type: 'integer' },
        column: { type: 'integer' },
        path: { type: 'string' },
        message: { type: 'string' },
        expected: { type: 'string' },
        got: { type: 'string' },
      },
    },
  },
} as const;

const reloadResponses = {
  ...problemResponses,
  200: { type: 'object', properties: reloadProperties },
  422: { ...problemSchema, properties: { ...problemSchema.properties, ...reloadProperties } },
} as const;

export function configRoutes(app: FastifyInstance, deps: AdminDeps, guards: Guards): void {
  app.get<{ Querystring: { format: 'json' | 'yaml' } }>(
    '/admin/config',
    { schema: { querystring: formatSchema, response: { 200: configViewSchema, ...problemResponses } } },
    async ({ query }, reply) =>
      query.format === 'json'
        ? viewOf(deps)
        : reply.type('application/yaml; charset=utf-8').send(yamlOf(deps)),
  );
  app.post(
    '/admin/reload',
    { onRequest: guards.change, schema: { response: reloadResponses } },
    async (_request, reply) => {
      const result = await deps.reload('admin');
      if (result.applied) return result;
      return reply.code(422).type('application/problem+json').send(rejection(result));
    },
  );
}

function viewOf({ supervisor, journal }: AdminDeps) {
  const { runtime, loaded } = requireConfig(supervisor);
  const { generation, hash } = runtime;
  const applied = journal
    .entries()
    .findLast(({ event, detail }) => event === 'config-applied' && detail['generation'] === generation);
  const values = effectiveValues(configSchema, loaded, []).map(({ path, value, origin }) => ({
    path,
    value,
    origin: formatOrigin(origin),
  }));
  return { generation, hash, appliedAt: applied?.time, values };
}

const yamlOf = ({ supervisor }: AdminDeps): string =>
  printConfig(configSchema, requireConfig(supervisor).loaded, { origins: true });

const rejection = (result: ReloadResult) => ({
  title: STATUS_CODES[422],
  status: 422,
  code: 'configuration_rejected',
  detail:
    result.generation === 0
      ? 'the configuration was not put in force'
      : `the configuration was not put in force; generation ${result.generation} serves on`,
  ...result,
});
