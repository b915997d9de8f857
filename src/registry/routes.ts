/** What the registry answers to which request; watches aside, which do not end. */
import type { Clock } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import type { Catalog } from './catalog.ts';
import { matches, readPaged } from './filter.ts';
import type { Paged } from './filter.ts';
import { viewAt } from './instance.ts';
import { leaseFor } from './lease.ts';
import type { Answer } from './problem.ts';
import { misfitProblem, problem } from './problem.ts';
import { nameMisfit, readHeartbeat, readRegistration } from './read-registration.ts';
import type { FullLimit } from './refusals.ts';
import type { Service } from './service.ts';

export interface RouteDeps {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly random: Random;
  /** How soon there may be room in a full registry, in milliseconds. */
  readonly roomAfterMs: number;
}

export interface Asked {
  readonly query: URLSearchParams;
  /** Undefined where there was none. */
  readonly body: unknown;
  /** From the path. */
  readonly service: string;
  readonly id: string;
}

type Handler = (asked: Asked, deps: RouteDeps) => Answer;
type Method = 'GET' | 'PUT' | 'POST' | 'DELETE';

/** Segments that begin with `:` stand for any. */
const ROUTES: readonly (readonly [pattern: string, handlers: Readonly<Partial<Record<Method, Handler>>>])[] =
  [
    ['/v1/services', { GET: listServices }],
    ['/v1/services/:service', { GET: showService }],
    ['/v1/services/:service/instances', { GET: listInstances }],
    ['/v1/services/:service/instances/:id', { GET: showInstance, PUT: register, DELETE: deregister }],
    ['/v1/services/:service/instances/:id/heartbeat', { POST: heartbeat }],
    ['/v1/instances', { GET: listInstances }],
  ];

export type Routed =
  | { readonly handle: (rest: Pick<Asked, 'query' | 'body'>, deps: RouteDeps) => Answer }
  | { readonly refusal: Answer };

/** @param path without the query, still encoded */
export function routeOf(method: string, path: string): Routed {
  const segments = decoded(path);
  if (!segments)
    return {
      refusal: misfitProblem({ where: 'path', expected: 'percent-encoded UTF-8', got: 'something else' }),
    };
  for (const [pattern, handlers] of ROUTES) {
    const names = matched(pattern.split('/'), segments);
    if (!names) continue;
    const handler = handlers[(method === 'HEAD' ? 'GET' : method) as Method];
    if (!handler) return { refusal: wrongMethod(method, pattern, Object.keys(handlers)) };
    const { service = '', id = '' } = names;
    return { handle: (rest, deps) => handler({ ...rest, service, id }, deps) };
  }
  const known = ['/health', '/v1/watch', ...ROUTES.map(([pattern]) => pattern)].join(', ');
  return {
    refusal: problem({
      status: 404,
      code: 'no_such_route',
      detail: `there is no such path; there are ${known}`,
    }),
  };
}

export function wrongMethod(method: string, pattern: string, allowed: readonly string[]): Answer {
  const allow = allowed.join(', ');
  const detail = `${pattern} takes ${allow}, not ${method}`;
  return problem({ status: 405, code: 'method_not_allowed', detail, headers: { allow } });
}

function decoded(path: string): readonly string[] | undefined {
  try {
    return path.split('/').map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

function matched(
  pattern: readonly string[],
  segments: readonly string[],
): Record<string, string> | undefined {
  if (pattern.length !== segments.length) return undefined;
  const names: Record<string, string> = {};
  for (const [at, expected] of pattern.entries()) {
    const segment = segments[at] ?? '';
    if (expected.startsWith(':')) names[expected.slice(1)] = segment;
    else if (expected !== segment) return undefined;
  }
  return names;
}

function register({ service, id, body }: Asked, deps: RouteDeps): Answer {
  const { limits } = deps.catalog;
  const bounds = { defaultTtlMs: limits.ttl, maxMetadata: limits.maxMetadata };
  const read = readRegistration({ service, id, body, ...bounds });
  if (!read.ok) return misfitProblem(read.misfit);
  const result = deps.catalog.register(read.value);
  if (!result.ok) return full(result.limit, deps);
  const { instance, created } = result;
  return {
    status: created ? 201 : 200,
    body: { service, id, status: instance.status, ...leaseFor(instance.ttlMs, deps.random) },
  };
}

function full(limit: FullLimit, { catalog, roomAfterMs }: RouteDeps): Answer {
  return problem({
    ...{ status: 503, code: 'registry_full' },
    detail: `registry.${limit} is ${catalog.limits[limit]}, and all of them are there and alive`,
    headers: { 'retry-after': String(Math.max(1, Math.ceil(roomAfterMs / 1_000))) },
  });
}

function heartbeat({ service, id, body }: Asked, deps: RouteDeps): Answer {
  const read = readHeartbeat(body);
  if (!read.ok) return misfitProblem(read.misfit);
  const instance = deps.catalog.heartbeat(service, id, read.value);
  if (!instance) return noInstance(service, id, '; register it again');
  return {
    status: 200,
    body: { service, id, status: instance.status, ...leaseFor(instance.ttlMs, deps.random) },
  };
}

function deregister({ service, id }: Asked, { catalog }: RouteDeps): Answer {
  return catalog.deregister(service, id) ? { status: 204 } : noInstance(service, id);
}

function showInstance({ service, id }: Asked, { catalog, clock }: RouteDeps): Answer {
  const entry = catalog.entry(service, id);
  return entry ? { status: 200, body: viewAt(entry, clock.now()) } : noInstance(service, id);
}

function noInstance(service: string, id: string, advice = ''): Answer {
  const misfit = nameMisfit('service', service) ?? nameMisfit('id', id);
  if (misfit) return misfitProblem(misfit);
  const detail = `there is no instance ${id} of ${service}${advice}`;
  return problem({ status: 404, code: 'no_such_instance', detail });
}

function listServices(_asked: Asked, { catalog, clock }: RouteDeps): Answer {
  const now = clock.now();
  const services = catalog.services.map((service) => service.statistics(now));
  return { status: 200, body: { revision: catalog.revision, services } };
}

function showService({ service }: Asked, { catalog, clock }: RouteDeps): Answer {
  const found = catalog.service(service);
  if (found) return { status: 200, body: found.statistics(clock.now()) };
  const misfit = nameMisfit('service', service);
  if (misfit) return misfitProblem(misfit);
  return problem({ status: 404, code: 'no_such_service', detail: `there is no service ${service}` });
}

function listInstances({ query, service }: Asked, { catalog, clock }: RouteDeps): Answer {
  const read = readPaged(query, service === '' ? undefined : service);
  if (!read.ok) return misfitProblem(read.misfit);
  const { page, next } = pageOf(catalog, read.value);
  const now = clock.now();
  return {
    status: 200,
    body: {
      revision: catalog.revision,
      instances: page.map((entry) => viewAt(entry, now)),
      ...(next !== undefined && { next }),
    },
  };
}

/** By service, then id: whatever comes and goes meanwhile, the next page begins where this one ends. */
function pageOf(catalog: Catalog, paged: Paged) {
  const [afterService = '', afterId = ''] = paged.after?.split('/') ?? [];
  const page = [];
  for (const one of servicesOf(catalog, paged.service)) {
    if (one.name < afterService) continue;
    for (const id of one.ids) {
      if (one.name === afterService && id <= afterId) continue;
      const entry = one.entries.get(id);
      if (!entry || !matches(paged, entry.instance)) continue;
      if (page.length === paged.limit) {
        const last = page.at(-1)?.instance;
        return { page, next: `${last?.service ?? ''}/${last?.id ?? ''}` };
      }
      page.push(entry);
    }
  }
  return { page, next: undefined };
}

function servicesOf(catalog: Catalog, name: string | undefined): readonly Service[] {
  if (name === undefined) return catalog.services;
  const only = catalog.service(name);
  return only ? [only] : [];
}
