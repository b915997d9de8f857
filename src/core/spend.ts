/** Words for what tries cost: why tokens were spent for nothing, and who may say that enough is spent. */
import type { Exchange, UpstreamIdentity } from './exchange.ts';

/**
 * Why nobody has an answer whole that tokens were spent on. `failed`: it broke off, or turned out to be an error, before
 * anything of it reached the client. `discarded`: it was thrown away for another one, or because the sidecar stopped.
 * `cut`: it broke off on its way to the client. `client-gone`: the client left.
 */
export type Waste = 'failed' | 'discarded' | 'cut' | 'client-gone';

/** A try that somebody would like to make. */
export interface NextTry {
  readonly by: 'retry' | 'hedge' | 'fallback';
  /** Who would be asked. */
  readonly upstream: UpstreamIdentity;
  /** Model that would be asked for, where it is not the one that the request names. */
  readonly model?: string | undefined;
}

/** Says whether an exchange may spend more. Asked before every try but the first. */
export interface SpendGuard {
  allows(exchange: Exchange, next: NextTry): boolean;
}
