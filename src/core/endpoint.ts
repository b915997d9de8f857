/** One address of an upstream, and what is said of it. A value: what happens to it stands in its member of the roster. */
export interface Endpoint {
  /** Its origin, numbered where several share one; the name in logs and metrics. It keeps it while it is listed. */
  readonly name: string;
  /** `http://host:port` or `https://host:port`: where connections go. */
  readonly origin: string;
  /** Host field to send: host and, where it is not the scheme's own, port. */
  readonly host: string;
  /** Name for SNI, and the one that its certificate must have; an upstream's `tls.serverName` stands above it. */
  readonly serverName: string;
  /** Put before every target; empty or starting with `/` and not ending in it. */
  readonly basePath: string;
  /** Share of the traffic relative to the others', ≥ 0. 0: none, unless nothing else is left. */
  readonly weight: number;
  /** 0 is asked first, 1 when there is none of 0 left, and so on. */
  readonly priority: number;
  /** Where it stands, as the operator or the discovery names places. */
  readonly zone: string | undefined;
  /** What else is known of it: capabilities, version, owner. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Its id where it is registered; undefined where nobody gave it one. */
  readonly instance: string | undefined;
}

/**
 * How an endpoint is, by the place that the list comes from. `up`: well. `starting`: not yet. `degraded`: not quite well.
 * `draining`: it finishes what it has. `down`: its checks there fail.
 */
export const REPORTED_STATUSES = ['up', 'starting', 'degraded', 'draining', 'down'] as const;

export type ReportedStatus = (typeof REPORTED_STATUSES)[number];

/** What is known of an address before it has a name. */
export interface EndpointDescription {
  /** Scheme, host, port and base path. */
  readonly url: string;
  /** What it is called, where the URL has its address: for the Host field, SNI and the certificate. Default: the URL's host. */
  readonly hostName?: string | undefined;
  /** Default: 1. */
  readonly weight?: number | undefined;
  /** Default: 0. */
  readonly priority?: number | undefined;
  readonly zone?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly instance?: string | undefined;
  /** Default: `up`. */
  readonly status?: ReportedStatus | undefined;
}

/**
 * Why an endpoint is, or is not, given new calls.
 * `available`: it is. `degraded`: it says that it is not quite well; it is when nothing better is there. `starting`: it has
 * not answered its first check. `unhealthy`: its checks fail, ours or those of the place that it was found at. `ejected`: calls to it failed. `draining`: an operator, or the
 * endpoint itself, lets it finish what it has. `disabled`: an operator took it out.
 */
export const ENDPOINT_STATES = [
  'available',
  'degraded',
  'starting',
  'unhealthy',
  'ejected',
  'draining',
  'disabled',
] as const;

export type EndpointState = (typeof ENDPOINT_STATES)[number];

/** What active checks found. `unknown`: there are none. */
export type Health = 'unknown' | 'starting' | 'healthy' | 'degraded' | 'unhealthy';

/** An operator's decision, or the endpoint's own wish. */
export type Operation = 'enabled' | 'draining' | 'disabled';

/** What the newest active check of an endpoint found. */
export interface CheckReport {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly result: 'ok' | 'degraded' | 'failed';
  /** One line for people. */
  readonly detail: string;
  readonly durationMs: number;
  /** In a row, up to this one. */
  readonly successes: number;
  readonly failures: number;
}
