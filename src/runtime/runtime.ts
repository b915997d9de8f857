/** One generation of the configuration, alive. A reload makes the next one and lets this one finish its exchanges. */
import type { LiveUpstream } from './upstream.ts';

export interface RouteMatch {
  readonly upstream: LiveUpstream;
  /** The configured prefix, or the listener's address; the name of the route in logs. */
  readonly route: string;
  /** What the upstream is asked for: the client's bytes without the prefix. */
  readonly target: string;
  /** It is for all endpoints of the upstream. */
  readonly toAll: boolean;
}

export class Runtime {
  readonly generation: number;
  /** Short hash of the effective configuration. */
  readonly hash: string;
  readonly upstreams: ReadonlyMap<string, LiveUpstream>;
  readonly #byLengthOfPrefix: readonly { readonly prefix: string; readonly upstream: LiveUpstream }[];

  constructor(init: { generation: number; hash: string; upstreams: ReadonlyMap<string, LiveUpstream> }) {
    this.generation = init.generation;
    this.hash = init.hash;
    this.upstreams = init.upstreams;
    this.#byLengthOfPrefix = [...init.upstreams.values()]
      .flatMap((upstream) =>
        upstream.settings.route === undefined ? [] : [{ prefix: upstream.settings.route, upstream }],
      )
      .sort((a, b) => b.prefix.length - a.prefix.length);
  }

  /** This generation is in force now, and the one before is not. */
  takeOver(): void {
    for (const upstream of this.upstreams.values()) upstream.takeOver();
  }

  /** This generation stays in force: the one that was to follow it was refused. */
  insist(): void {
    for (const upstream of this.upstreams.values()) upstream.insist();
  }

  /** Another generation is in force: exchanges under way go on with what there is. */
  retire(): void {
    for (const upstream of this.upstreams.values()) upstream.retire();
  }

  /** The upstream with the longest prefix of `target`, compared byte for byte. */
  match(target: string): RouteMatch | undefined {
    for (const { prefix, upstream } of this.#byLengthOfPrefix) {
      const rest = afterPrefix(target, prefix);
      if (rest !== undefined) return matchOf(upstream, prefix, rest);
      const described = wellKnownBehind(target, prefix, upstream.identity.dialect.wellKnown);
      if (described !== undefined) return { upstream, route: prefix, target: described, toAll: false };
    }
    return undefined;
  }

  /** The upstream that has a listener of its own. */
  matchDedicated(upstreamName: string, target: string): RouteMatch | undefined {
    const upstream = this.upstreams.get(upstreamName);
    return upstream && matchOf(upstream, upstream.settings.listen ?? upstreamName, target);
  }
}

/** What follows it goes to all endpoints, where the upstream allows that. */
const TO_ALL = '/_all';

function matchOf(upstream: LiveUpstream, route: string, target: string): RouteMatch {
  const forAll = upstream.broadcasts ? afterPrefix(target, TO_ALL) : undefined;
  return { upstream, route, target: forAll ?? target, toAll: forAll !== undefined };
}

const WELL_KNOWN = '/.well-known/';

/** A prefix ends where a path segment ends: `/api` is no prefix of `/apix`. */
function afterPrefix(target: string, prefix: string): string | undefined {
  if (prefix === '/') return target;
  if (!target.startsWith(prefix)) return undefined;
  const next = target.charCodeAt(prefix.length);
  if (Number.isNaN(next) || next === 0x3f /* ? */) return `/${target.slice(prefix.length)}`;
  return next === 0x2f /* / */ ? target.slice(prefix.length) : undefined;
}

/** `/.well-known/X/prefix/rest` describes `/prefix/rest`: the upstream has it at `/.well-known/X/rest`. */
function wellKnownBehind(
  target: string,
  prefix: string,
  names: readonly string[] | undefined,
): string | undefined {
  if (!names || prefix === '/' || !target.startsWith(WELL_KNOWN)) return undefined;
  const name = names.find((one) => target.startsWith(`${one}/`, WELL_KNOWN.length));
  if (name === undefined) return undefined;
  const document = WELL_KNOWN + name;
  const rest = afterPrefix(target.slice(document.length), prefix);
  // The root of the upstream is described without a slash at the end.
  return rest && document + rest.replace(/^\/(?=$|\?)/, '');
}
