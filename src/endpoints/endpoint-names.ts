/**
 * What the endpoints of one upstream are called: by their origins, numbered where several share one. A name stays with its
 * endpoint for as long as that is listed, whoever comes and goes beside it: what is known of endpoints is known by name.
 */
import type { Endpoint } from '../core/endpoint.ts';

export type Unnamed = Omit<Endpoint, 'name'>;

export class EndpointNames {
  /** What has a name, by origin and name. */
  readonly #named = new Map<string, Map<string, Unnamed>>();

  /** Gives each its name: those that are known theirs, the others the lowest number that nobody has. */
  nameAll(endpoints: readonly Unnamed[]): Endpoint[] {
    const names = new Map<Unnamed, string>();
    for (const [origin, group] of Map.groupBy(endpoints, addressOf)) this.#nameGroup(origin, group, names);
    return endpoints.map((one) => ({ ...one, name: names.get(one) as string }));
  }

  /** Undefined where nobody is called so. */
  whoIs(name: string): Unnamed | undefined {
    return this.#named.get(originOf(name))?.get(name);
  }

  /** Its name is its own, whoever was given it meanwhile. */
  keep(endpoint: Endpoint): void {
    const origin = originOf(endpoint.name);
    const known = this.#named.get(origin) ?? new Map<string, Unnamed>();
    this.#named.set(origin, known.set(endpoint.name, endpoint));
  }

  /** It is gone; not so whoever has got its name meanwhile. */
  forget(endpoint: Endpoint): void {
    const known = this.whoIs(endpoint.name);
    if (known && identityOf(known) === identityOf(endpoint)) this.forgetName(endpoint.name);
  }

  forgetName(name: string): void {
    const origin = originOf(name);
    const known = this.#named.get(origin);
    known?.delete(name);
    if (known?.size === 0) this.#named.delete(origin);
  }

  #nameGroup(origin: string, group: readonly Unnamed[], names: Map<Unnamed, string>): void {
    const known = this.#named.get(origin) ?? new Map<string, Unnamed>();
    this.#named.set(origin, known);
    const [free, left] = [new Map(known), new Set(group)];
    const give = (name: string, to: Unnamed): void => {
      names.set(to, name);
      known.set(name, to);
      free.delete(name);
      left.delete(to);
    };
    // Who was alone at its address and still is has only been described in another way.
    const isAlone = known.size <= 1 && group.length === 1;
    for (const keyOf of isAlone ? [addressOf] : [descriptionOf, identityOf]) {
      const candidates = Map.groupBy(free.keys(), (name) => keyOf(free.get(name) as Unnamed));
      for (const one of [...left]) {
        const name = candidates.get(keyOf(one))?.shift();
        if (name !== undefined) give(name, one);
      }
    }
    let number = 1;
    for (const one of left) {
      while (known.has(numbered(origin, number))) number += 1;
      give(numbered(origin, number), one);
    }
  }
}

const addressOf = ({ origin }: Unnamed): string => origin;

/** The same for what is the same endpoint to those who call it. Its path may hold a secret. */
export const identityOf = ({ origin, instance, host, basePath }: Unnamed): string =>
  JSON.stringify([origin, instance ?? null, host, basePath]);

/** Also what is said of it, where nothing else may tell it from others at the same address. */
export const descriptionOf = (one: Unnamed): string =>
  identityOf(one) + JSON.stringify(Object.entries(one.metadata).sort(([a], [b]) => (a < b ? -1 : 1)));

/** Without the path, which may hold a secret; names are seen by everyone who reads metrics. */
const numbered = (origin: string, number: number): string => (number === 1 ? origin : `${origin}#${number}`);

const originOf = (name: string): string => name.split('#', 1)[0] as string;
