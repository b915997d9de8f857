import type { RequestBody } from './exchange.ts';

/** A request without a body. */
export const NO_BODY: RequestBody = {
  replayable: true,
  length: undefined,
  waitingForClient: false,
  open: () => null,
  peek: () => null,
  whole: () => Promise.resolve(null),
};
