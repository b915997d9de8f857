/** The body of a request that has none. */
import type { RequestBody } from './exchange.ts';

export const NO_BODY: RequestBody = {
  replayable: true,
  length: undefined,
  waitingForClient: false,
  open: () => null,
  peek: () => null,
  whole: () => Promise.resolve(null),
};
