/**
 * What layers from the network may ask of this machine. Whoever may write a key decides where calls go; that must not make
 * him the one who runs programs here, or reads files and variables, unless the operator said so on this very machine.
 */
import { delimiter, isAbsolute, relative, resolve, sep } from 'node:path';
import type { Place } from './tree.ts';

export const ALLOW_PROGRAMS = 'OUTRIGGER_CONFIG_ALLOW_PROGRAMS';
export const ALLOW_FILES = 'OUTRIGGER_CONFIG_ALLOW_FILES';
export const ALLOW_VARIABLES = 'OUTRIGGER_CONFIG_ALLOW_VARIABLES';

/** What keys are read with is for nobody's eyes: whoever may write one key could read the way to all others. */
const OWN_VARIABLES = /^OUTRIGGER_CONFIG(_|$)/i;

export class Permissions {
  /** Whether they may name programs that are run here. Only `true` says so. */
  readonly programs: boolean;
  readonly #places: readonly string[];
  readonly #variables: ReadonlySet<string>;

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.programs = env[ALLOW_PROGRAMS] === 'true';
    const places = (env[ALLOW_FILES] ?? '').split(delimiter).filter((place) => place !== '');
    this.#places = places.map((place) => resolve(place));
    this.#variables = new Set((env[ALLOW_VARIABLES] ?? '').split(',').map((name) => name.trim()));
  }

  /** @param path absolute; of a file or a directory, which need not exist */
  file(path: string): boolean {
    return this.#places.some((place) => isWithin(place, path));
  }

  variable(name: string): boolean {
    return this.#variables.has(name) && !OWN_VARIABLES.test(name);
  }
}

/** Whether this was written in a layer that came over the network. */
export const isRemote = (place: Place): boolean => place.kind === 'file' && place.span.source.remote;

function isWithin(place: string, path: string): boolean {
  const way = relative(place, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
