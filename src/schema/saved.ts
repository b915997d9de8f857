/**
 * What policies keep of themselves from one process to the next, as far as several do. It comes from a file, so that it
 * is read like any other input.
 */
import { z } from 'zod';
import type { Instants } from '../core/persistence.ts';

/** An instant as `Instants` tells it; null: never. */
export const savedInstant = z.int().nullable();

/** More entries than any window has. */
const MAX_TALLIES = 100;

/** What a rolling window has counted. */
export const savedWindow = z.strictObject({
  /** Its length in milliseconds: one of another length counts anew, as after a reload. */
  lengthMs: z.number(),
  /** An instant and the counts for it. */
  tallies: z.array(z.array(z.int().min(0)).min(1)).max(MAX_TALLIES),
});

export type SavedWindow = z.output<typeof savedWindow>;

export function saveWindow(
  lengthMs: number,
  tallies: readonly (readonly number[])[],
  instants: Instants,
): SavedWindow {
  return {
    lengthMs,
    tallies: tallies.map(([at = 0, ...counts]) => [instants.toSaved(at) ?? 0, ...counts]),
  };
}

/** @returns nothing where the window had another length */
export function talliesOf(saved: SavedWindow, lengthMs: number, instants: Instants): number[][] {
  if (saved.lengthMs !== lengthMs) return [];
  return saved.tallies.map(([at = 0, ...counts]) => [instants.fromSaved(at, 0), ...counts]);
}
