/**
 * Who may ask the admin plane what. It has no sessions and no cookies; what threatens it is a browser on the same machine
 * or network that runs a stranger's page.
 *
 * - That page may send requests here, though it cannot read the answers: changes are POSTs with JSON, and a browser puts
 *   an Origin on every POST, so a foreign Origin is refused. Nothing is changed by GET.
 * - That page's owner may point the page's own name at 127.0.0.1 (DNS rebinding). For the browser it then is the same
 *   origin, so the page may read, too; but its Host field still carries the stranger's name. A plane on loopback
 *   therefore only answers to names of loopback. A token in the configuration does not lift this, for reading needs
 *   none; a request that carries the token does, for no stranger's page knows it.
 * - A plane on another address is reached under names that it cannot know (services, nodes), so reading stays open
 *   there. A browser's change under a name then needs the token: without one, a name says nothing about who is behind it.
 *
 * Health and metrics stay outside of this: probes and scrapers must not fail over a name.
 */
import type { FastifyRequest } from 'fastify';
import type { AdminDeps } from './admin-deps.ts';
import { requireConfig } from './admin-deps.ts';
import { bearsToken } from '../algorithms/bearer-token.ts';
import { hostNameOf, isLoopback, isRebindable } from '../algorithms/host-names.ts';
import { AdminProblem } from './problems.ts';

/** Where the plane listens. */
export interface Bound {
  /** The host as configured. */
  readonly host: string;
  /** The address that it stands for. */
  readonly address: string;
}

type Guard = (request: FastifyRequest) => Promise<void>;

export interface Guards {
  /** For everything under /admin. */
  readonly host: Guard;
  /** For every change, after `host`. */
  readonly change: Guard;
}

export function makeGuards(supervisor: AdminDeps['supervisor'], bound: () => Bound): Guards {
  const token = (): string | undefined => requireConfig(supervisor).loaded.config.admin.token;
  return {
    host: async (request) => refuseForeignHost(request, bound(), token()),
    change: async (request) => {
      refuseForeignOrigin(request, bound(), token());
      refuseWithoutToken(request, token());
    },
  };
}

function refuseForeignHost(request: FastifyRequest, bound: Bound, token: string | undefined): void {
  if (!isLoopback(bound.address) || bears(request, token)) return;
  const host = hostNameOf(request.headers.host);
  if (host !== undefined && (isLoopback(host) || host === bound.host.toLowerCase())) return;
  throw forbidden(
    'host_not_allowed',
    `this plane listens on loopback and answers to 127.0.0.1, ::1 and localhost, not to ${host ?? 'this Host field'}`,
  );
}

function refuseForeignOrigin(request: FastifyRequest, bound: Bound, token: string | undefined): void {
  const { origin, host: field = '' } = request.headers;
  if (origin === undefined) return;
  const own = origin.toLowerCase().replace(/^https?:\/\//, '') === field.toLowerCase();
  if (!own) throw forbidden('origin_not_allowed', 'changes are not taken from pages of another origin');
  const host = hostNameOf(field);
  if (
    token === undefined &&
    host !== bound.host.toLowerCase() &&
    (host === undefined || isRebindable(host))
  ) {
    throw forbidden(
      'origin_not_allowed',
      'changes from a page that was reached by name need a token: set admin.token, or use the address',
    );
  }
}

function refuseWithoutToken(request: FastifyRequest, token: string | undefined): void {
  if (token === undefined || bears(request, token)) return;
  const sent = request.headers.authorization !== undefined;
  throw new AdminProblem({
    status: 401,
    code: 'token_required',
    detail: sent
      ? 'the token is not the one in admin.token'
      : 'changes need the token in admin.token: Authorization: Bearer …',
    headers: { 'www-authenticate': `Bearer realm="outrigger-admin"${sent ? ', error="invalid_token"' : ''}` },
  });
}

const forbidden = (code: string, detail: string): AdminProblem =>
  new AdminProblem({ status: 403, code, detail });

const bears = ({ headers }: FastifyRequest, token: string | undefined): boolean =>
  bearsToken(headers.authorization, token);
