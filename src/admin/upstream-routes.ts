/** The upstreams as they are now: where they lead, and what every policy around them has in its hands. */
import type { FastifyInstance } from 'fastify';
import { ENDPOINT_STATES } from '../core/endpoint.ts';
import { statisticsOf } from '../runtime/statistics.ts';
import type { CheckReport } from '../core/endpoint.ts';
import type { LiveUpstream } from '../runtime/upstream.ts';
import type { AdminDeps } from './admin-deps.ts';
import { requireConfig } from './admin-deps.ts';
import { AdminProblem, problemResponses } from './problems.ts';
import { scalingShape } from './scaling-shape.ts';

export const nameSchema = {
  type: 'object',
  required: ['name'],
  properties: { name: { type: 'string', minLength: 1, maxLength: 100 } },
} as const;

/** Plain data of a policy's own choosing. */
export const snapshotSchema = { type: 'object', additionalProperties: true } as const;

export const endpointSchema = {
  type: 'object',
  properties: {
    name: { type: 'string' },
    state: { type: 'string', enum: ENDPOINT_STATES },
    weight: { type: 'number' },
    priority: { type: 'integer' },
    zone: { type: 'string' },
    metadata: { type: 'object', additionalProperties: { type: 'string' } },
    instance: { type: 'string' },
    active: { type: 'integer' },
    total: { type: 'integer' },
    latencyMs: { type: 'number' },
    connected: { type: 'integer' },
    free: { type: 'integer' },
    running: { type: 'integer' },
    check: {
      type: 'object',
      properties: {
        at: { type: 'string' },
        result: { type: 'string', enum: ['ok', 'degraded', 'failed'] },
        detail: { type: 'string' },
        durationMs: { type: 'number' },
        successes: { type: 'integer' },
        failures: { type: 'integer' },
      },
    },
  },
} as const;

const upstreamSchema = {
  type: 'object',
  required: ['name', 'dialect', 'endpoints', 'policies'],
  properties: {
    name: { type: 'string' },
    dialect: { type: 'string' },
    route: { type: 'string' },
    listen: { type: 'string' },
    panicking: { type: 'boolean' },
    saturation: { type: ['number', 'null'] },
    scaling: { type: 'object', properties: scalingShape },
    discovery: {
      type: 'object',
      properties: {
        kind: { type: 'string' },
        endpoints: { type: 'integer' },
        ageMs: { type: 'integer' },
        failure: { type: 'string' },
      },
    },
    endpoints: { type: 'array', items: endpointSchema },
    remembered: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          name: { type: 'string' },
          decision: { type: 'string', enum: ['draining', 'disabled'] },
          leftMs: { type: 'integer' },
        },
      },
    },
    policies: {
      type: 'array',
      items: { type: 'object', properties: { name: { type: 'string' }, state: snapshotSchema } },
    },
  },
} as const;

const listSchema = {
  type: 'object',
  required: ['upstreams'],
  properties: { upstreams: { type: 'array', items: upstreamSchema } },
} as const;

export function upstreamRoutes(app: FastifyInstance, { supervisor }: AdminDeps): void {
  app.get(
    '/admin/upstreams',
    { schema: { response: { 200: listSchema, ...problemResponses } } },
    async () => ({
      upstreams: [...requireConfig(supervisor).runtime.upstreams.values()].map(viewOf),
    }),
  );
  app.get<{ Params: { name: string } }>(
    '/admin/upstreams/:name',
    { schema: { params: nameSchema, response: { 200: upstreamSchema, ...problemResponses } } },
    async ({ params }) => viewOf(findUpstream(supervisor, params.name)),
  );
}

/** @throws AdminProblem 404 that names the upstreams there are */
export function findUpstream(supervisor: AdminDeps['supervisor'], name: string): LiveUpstream {
  const { upstreams } = requireConfig(supervisor).runtime;
  const upstream = upstreams.get(name);
  if (upstream) return upstream;
  const known = [...upstreams.keys()];
  throw new AdminProblem({
    status: 404,
    code: 'no_such_upstream',
    detail: `there is no upstream ${JSON.stringify(name)}; there ${known.length === 0 ? 'are none' : `are ${known.join(', ')}`}`,
    members: { known },
  });
}

function viewOf(upstream: LiveUpstream) {
  return {
    name: upstream.name,
    dialect: upstream.identity.dialect.name,
    route: upstream.settings.route,
    listen: upstream.settings.listen,
    panicking: upstream.endpoints.panicking,
    saturation: statisticsOf(upstream).saturation,
    ...(upstream.scaling && { scaling: upstream.scaling.view }),
    ...(upstream.discovery && { discovery: upstream.discovery }),
    endpoints: upstream.endpoints.members.map(endpointView),
    remembered: upstream.endpoints.remembered.map(({ leftMs, ...rest }) => ({
      ...rest,
      leftMs: Math.round(leftMs),
    })),
    policies: upstream.snapshots(),
  };
}

type EndpointOfUpstream = LiveUpstream['endpoints']['members'][number];

export function endpointView({ endpoint, member, latencyMs, connections }: EndpointOfUpstream) {
  const { name, weight, priority, zone, metadata, instance } = endpoint;
  const { state, active, total, check } = member;
  return {
    ...{ name, state, weight, priority, metadata },
    ...(zone !== undefined && { zone }),
    ...(instance !== undefined && { instance }),
    ...{ active, total, latencyMs: Math.round(latencyMs) },
    ...connections(),
    ...(check && { check: checkView(check) }),
  };
}

const checkView = ({ at, durationMs, ...rest }: CheckReport) => ({
  at: new Date(at).toISOString(),
  durationMs: Math.round(durationMs),
  ...rest,
});
