/** The one shape of every policy, and of the module that brings it. */
import type { z } from 'zod';
import type { Cancellation } from './cancellation.ts';
import type { Clock } from './clock.ts';
import type { Dialect } from './dialect.ts';
import type { Ejections } from './ejections.ts';
import type { Emit } from './events.ts';
import type { Attempt, Exchange } from './exchange.ts';
import type { Outcome } from './outcome.ts';
import type { Persistent } from './persistence.ts';
import type { Random } from './random.ts';
import type { Stores } from './stores.ts';
import type { UpstreamIdentity } from './upstream-identity.ts';

export type Scope = Exchange | Attempt;

/** The rest of the pipeline. Never throws; settles soon after `cancellation`. */
export type Next<S extends Scope> = (scope: S, cancellation: Cancellation) => Promise<Outcome>;

type PlainValue = string | number | boolean | null;

/** What a policy shows of itself to operators: plain data, no secrets. */
export type Snapshot = Readonly<
  Record<string, PlainValue | readonly string[] | readonly Readonly<Record<string, PlainValue>>[]>
>;

/**
 * One concern. Never throws; calls `next` synchronously before its first await where it can; discards every outcome
 * that it does not return; leaves no timer or listener behind once the outcome's body has ended. With `capture` and
 * `restore` what it has learnt outlives the process, where `state.dir` is set.
 */
export interface Policy<S extends Scope> extends Partial<Persistent> {
  readonly name: string;
  run(scope: S, next: Next<S>, cancellation: Cancellation): Promise<Outcome>;
  snapshot(): Snapshot;
  dispose(): void;
}

/** Where an exchange can be sent instead. */
export interface Recipient {
  readonly identity: UpstreamIdentity;
  send(exchange: Exchange, cancellation: Cancellation): Promise<Outcome>;
}

/** A credential, without its value. */
export interface CredentialIdentity {
  /** As attempts name it. Another value may have it after a reload. */
  readonly name: string;
  /** Digest of its value: the same for all names that one value has. */
  readonly id: string;
}

/** What a policy may use. */
export interface PolicyDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
  /** Name of the upstream it is built for. */
  readonly upstream: string;
  /** Whose policy it is, for names in stores: that of the upstream, or `upstream/override`. */
  readonly owner: string;
  /** The upstream's own credentials, without their values; empty where clients bring theirs. */
  readonly credentials: readonly CredentialIdentity[];
  /** Addresses of the upstream, base paths included. */
  readonly endpoints: readonly string[];
  /** Its endpoints, for whoever takes failing ones out. */
  readonly ejections: Ejections;
  /** Another upstream, whole pipeline included; undefined when there is none of that name. */
  readonly sendTo: (upstream: string) => Recipient | undefined;
  /**
   * Where to keep what outlasts an exchange.
   *
   * @param shared with other sidecars, where they have something to share it in; else this process's own
   */
  readonly stores: (shared: boolean) => Stores;
}

/** A policy's file exports one of these; `policies/index.ts` lists them. */
export interface PolicyModule<S extends Scope, Schema extends z.ZodType> {
  /** Kebab-case, as in file names, metrics and logs. */
  readonly name: string;
  /** The same in camelCase: the YAML key under `policies`. */
  readonly key: string;
  /** Its options; the schema holds every default. */
  readonly schema: Schema;
  /** True when it works for every upstream unless switched off with `false`. */
  readonly onByDefault: boolean;
  /**
   * One object for all endpoints of an upstream: what it holds belongs to the upstream. For policies around attempts,
   * which are otherwise built once per endpoint. Default: false.
   */
  readonly sharedByEndpoints?: boolean;
  /** There is one for all calls of the upstream: overrides cannot have another. */
  readonly forAllCalls?: true;
  /** It must be built anew when the upstream's credentials come and go. */
  readonly knowsCredentials?: true;
  /** It must be built anew when the upstream's endpoints change. */
  readonly knowsEndpoints?: true;
  /** False for protocols in which there is nothing for it to do; it is left out of their pipelines. Default: all. */
  readonly suits?: (dialect: Dialect) => boolean;
  /**
   * @param previous the policy of the same upstream before a reload; its live state (windows, open circuits, budgets)
   *   must carry over
   */
  build(options: z.output<Schema>, deps: PolicyDeps, previous: Policy<S> | undefined): Policy<S>;
}
