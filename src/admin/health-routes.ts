/**
 * Whether the process lives and whether it may be given work. An upstream that is down is no reason to restart the
 * sidecar, and unless the operator says so none to take the agent out of service: it is what the sidecar is there for.
 */
import type { FastifyInstance } from 'fastify';
import { formatProblems } from '../config/problem.ts';
import type { Problem } from '../config/problem.ts';
import { VERSION } from '../version.ts';
import { configInForce } from './admin-deps.ts';
import type { AdminDeps, InForce } from './admin-deps.ts';
import { breakerOf, isRefusing } from './breaker-of.ts';

const healthSchema = {
  type: 'object',
  required: ['status', 'version'],
  properties: {
    status: { type: 'string' },
    version: { type: 'string' },
    // Only told: an agent that is down is no reason to restart its sidecar.
    agent: {
      type: 'object',
      properties: { status: { type: 'string' }, registered: { type: 'boolean' } },
    },
  },
} as const;

const readySchema = {
  type: 'object',
  required: ['ready', 'reasons', 'draining', 'active', 'tunnels', 'config', 'problems', 'upstreams'],
  properties: {
    ready: { type: 'boolean' },
    reasons: { type: 'array', items: { type: 'string' } },
    draining: { type: 'boolean' },
    active: { type: 'integer' },
    tunnels: { type: 'integer' },
    config: {
      type: 'object',
      nullable: true,
      properties: { generation: { type: 'integer' }, hash: { type: 'string' } },
    },
    problems: {
      type: 'object',
      properties: { count: { type: 'integer' }, lines: { type: 'array', items: { type: 'string' } } },
    },
    upstreams: {
      type: 'array',
      items: {
        type: 'object',
        properties: { name: { type: 'string' }, breaker: { type: 'string', nullable: true } },
      },
    },
  },
} as const;

export function healthRoutes(app: FastifyInstance, deps: AdminDeps): void {
  for (const url of ['/health', '/livez'])
    app.get(url, { schema: { response: { 200: healthSchema } } }, async () => ({
      status: 'ok',
      version: VERSION,
      ...agentOf(deps),
    }));
  for (const url of ['/ready', '/readyz'])
    app.get(
      url,
      { schema: { response: { 200: readySchema, 503: readySchema } } },
      async (_request, reply) => {
        const readiness = readinessOf(deps);
        return reply.code(readiness.ready ? 200 : 503).send(readiness);
      },
    );
}

function agentOf({ agent }: AdminDeps): object {
  const { status, registration } = agent() ?? {};
  if (status === undefined) return {};
  return { agent: { status, ...(registration && { registered: registration.registered }) } };
}

function readinessOf({ supervisor, status }: AdminDeps) {
  const inForce = configInForce(supervisor);
  const { draining, active, tunnels } = status();
  const reasons = reasonsOf(inForce, draining);
  return {
    ready: reasons.length === 0,
    reasons,
    draining,
    active,
    tunnels,
    config: inForce ? { generation: inForce.runtime.generation, hash: inForce.runtime.hash } : null,
    // Of the newest configuration that was read; the one in force serves on whatever is wrong with it.
    problems: { count: supervisor.lastProblems.length, lines: supervisor.lastProblems.map(lineOf) },
    upstreams: [...(inForce?.runtime.upstreams.values() ?? [])].map((upstream) => ({
      name: upstream.name,
      breaker: breakerOf(upstream)?.state ?? null,
    })),
  };
}

/** Why no work should come here; empty when it may. */
function reasonsOf(inForce: InForce | undefined, draining: boolean): string[] {
  const reasons = draining ? ['the sidecar is shutting down'] : [];
  if (!inForce) return [...reasons, 'no configuration is in force yet'];
  if (!inForce.loaded.config.admin.readyNeedsUpstreams) return reasons;
  for (const upstream of inForce.runtime.upstreams.values()) {
    const breaker = breakerOf(upstream);
    if (breaker && isRefusing(breaker))
      reasons.push(`the circuit breaker of ${upstream.name} is ${breaker.state}`);
  }
  return reasons;
}

/** One line for people, without the excerpt of the file: probes print it into events and logs. */
function lineOf({ sourceLine: _sourceLine, ...problem }: Problem): string {
  return formatProblems([problem], 'text');
}
