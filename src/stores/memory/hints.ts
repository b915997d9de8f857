/** Hints where nothing is shared: there is nobody to hear of, and nobody to tell. */
import type { HintStore } from '../../core/hint-store.ts';

export const NO_HINTS: HintStore = {
  heard: () => undefined,
  tell: () => undefined,
  takeBack: () => undefined,
};
