/** What upstreams have to do, and how many endpoints they should have: for operators and for autoscalers. */
import type { FastifyInstance } from 'fastify';
import { ENDPOINT_STATES } from '../core/endpoint.ts';
import { statisticsOf } from '../runtime/statistics.ts';
import type { AdminDeps } from './admin-deps.ts';
import { requireConfig } from './admin-deps.ts';
import { problemResponses } from './problems.ts';
import { scalingShape } from './scaling-shape.ts';
import { findUpstream, nameSchema } from './upstream-routes.ts';

const numberOrNull = { type: ['number', 'null'] } as const;

const endpointSchema = {
  type: 'object',
  properties: {
    name: { type: 'string' },
    state: { type: 'string', enum: ENDPOINT_STATES },
    active: { type: 'integer' },
    total: { type: 'integer' },
    callsPerSecond: { type: 'number' },
    failuresPerSecond: { type: 'number' },
    meanLatencyMs: numberOrNull,
    latencyMs: { type: 'number' },
    connections: { type: 'integer' },
  },
} as const;

const statisticsSchema = {
  type: 'object',
  required: ['name', 'active', 'waiting', 'saturation', 'endpoints'],
  properties: {
    name: { type: 'string' },
    active: { type: 'integer' },
    waiting: { type: 'integer' },
    callsPerSecond: { type: 'number' },
    failuresPerSecond: { type: 'number' },
    capacity: numberOrNull,
    saturation: numberOrNull,
    endpoints: { type: 'array', items: endpointSchema },
    scaling: { type: 'object', properties: scalingShape },
  },
} as const;

const adviceSchema = {
  type: 'object',
  required: ['upstreams'],
  properties: {
    upstreams: {
      type: 'array',
      items: {
        type: 'object',
        required: ['name', 'advice', 'instances', 'desiredInstances'],
        properties: { name: { type: 'string' }, ...scalingShape, saturation: numberOrNull },
      },
    },
  },
} as const;

export function statisticsRoutes(app: FastifyInstance, { supervisor }: AdminDeps): void {
  app.get<{ Params: { name: string } }>(
    '/admin/upstreams/:name/statistics',
    { schema: { params: nameSchema, response: { 200: statisticsSchema, ...problemResponses } } },
    async ({ params }) => statisticsOf(findUpstream(supervisor, params.name)),
  );
  app.get(
    '/admin/scaling',
    { schema: { response: { 200: adviceSchema, ...problemResponses } } },
    async () => ({
      upstreams: [...requireConfig(supervisor).runtime.upstreams.values()].flatMap((upstream) => {
        const { name, saturation, scaling } = statisticsOf(upstream);
        return scaling ? [{ name, ...scaling, saturation }] : [];
      }),
    }),
  );
}
