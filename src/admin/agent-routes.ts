/** The local agent as the sidecar sees it: its state, its last check, its place in a registry, what was done to help it up. */
import type { FastifyInstance } from 'fastify';
import { AGENT_STATUSES } from '../core/agent.ts';
import type { AdminDeps } from './admin-deps.ts';
import { AdminProblem, problemResponses } from './problems.ts';

const text = { type: 'string' } as const;
const whole = { type: 'integer' } as const;

const agentSchema = {
  type: 'object',
  required: ['service', 'id', 'address', 'status', 'failures', 'recovery'],
  properties: {
    service: text,
    id: text,
    address: text,
    status: { type: 'string', enum: AGENT_STATUSES },
    failures: whole,
    weight: { type: 'number' },
    priority: whole,
    zone: text,
    metadata: { type: 'object', additionalProperties: text },
    lastCheck: { type: 'object', properties: { result: text, message: text, durationMs: whole } },
    registration: {
      type: 'object',
      properties: { registry: text, registered: { type: 'boolean' }, error: text },
    },
    recovery: {
      type: 'array',
      items: {
        type: 'object',
        properties: { action: text, after: whole, runsInHour: whole, waitMs: whole },
      },
    },
  },
} as const;

export function agentRoutes(app: FastifyInstance, { agent }: AdminDeps): void {
  app.get('/admin/agent', { schema: { response: { 200: agentSchema, ...problemResponses } } }, async () => {
    const snapshot = agent();
    if (snapshot) return snapshot;
    throw new AdminProblem({
      status: 404,
      code: 'no_agent',
      detail: 'there is no agent to look after: the section agent is not set',
    });
  });
}
