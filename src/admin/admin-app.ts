/** The routes of the admin plane on an application of their own, with what holds for all of them. */
import Fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import type { AdminDeps } from './admin-deps.ts';
import { agentRoutes } from './agent-routes.ts';
import { breakerRoutes } from './breaker-routes.ts';
import { cacheRoutes } from './cache-routes.ts';
import { configRoutes } from './config-routes.ts';
import { endpointRoutes } from './endpoint-routes.ts';
import { eventRoutes } from './event-routes.ts';
import { credentialRoutes } from './credential-routes.ts';
import { makeGuards } from './guards.ts';
import { healthRoutes } from './health-routes.ts';
import { metricsRoutes } from './metrics-routes.ts';
import { answerError, PROTECTIVE_HEADERS } from './problems.ts';
import { registryRoutes } from './registry-routes.ts';
import { RouteTable } from './route-table.ts';
import { statisticsRoutes } from './statistics-routes.ts';
import { upstreamRoutes } from './upstream-routes.ts';

/** The largest body that a change has is a few dozen bytes. */
const MAX_BODY_BYTES = 4_096;
/** Time for a client to send a request, however slowly it drips. */
const REQUEST_TIMEOUT_MS = 10_000;

/** @param host as configured, for the guards */
export function createAdminApp(deps: AdminDeps, host: string): FastifyInstance {
  const app = Fastify({
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: { headersTimeout: REQUEST_TIMEOUT_MS, connectionsCheckingInterval: 1_000 },
    // The plane is the last to go; whoever is still connected then must not keep the process.
    forceCloseConnections: true,
    return503OnClosing: false,
    frameworkErrors: answerError,
    // Queries are texts and need turning into numbers; nothing else is to be bent into shape.
    ajv: { customOptions: { coerceTypes: true, removeAdditional: false } },
  });
  // JSON only: a form or plain text is what a stranger's page can send without asking.
  app.removeContentTypeParser('text/plain');
  app.setErrorHandler(answerError);
  refuseUnknownRoutes(app);
  app.addHook('onRequest', async (_request, reply) => void reply.headers(PROTECTIVE_HEADERS));
  healthRoutes(app, deps);
  metricsRoutes(app, deps);
  app.register(async (admin) => adminRoutes(admin, deps, host));
  return app;
}

function adminRoutes(app: FastifyInstance, deps: AdminDeps, host: string): void {
  const guards = makeGuards(deps.supervisor, () => ({ host, address: boundTo(app)?.host ?? '127.0.0.1' }));
  app.addHook('onRequest', guards.host);
  upstreamRoutes(app, deps);
  statisticsRoutes(app, deps);
  breakerRoutes(app, deps, guards);
  endpointRoutes(app, deps, guards);
  cacheRoutes(app, deps, guards);
  credentialRoutes(app, deps, guards);
  agentRoutes(app, deps);
  configRoutes(app, deps, guards);
  eventRoutes(app, deps);
  registryRoutes(app, deps);
}

/** Where the application listens; undefined when it does not. */
export function boundTo(app: FastifyInstance): { readonly host: string; readonly port: number } | undefined {
  const bound = app.server.address();
  return typeof bound === 'object' && bound ? { host: bound.address, port: bound.port } : undefined;
}

function refuseUnknownRoutes(app: FastifyInstance): void {
  const table = new RouteTable();
  app.addHook('onRoute', ({ method, url }) => table.add(method, url));
  app.addHook('onRequest', async ({ is404, method, url }) => {
    if (is404) throw table.problemFor(method, url);
  });
}
