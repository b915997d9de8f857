/**
 * Why nobody has an answer whole that tokens were spent on. `failed`: it broke off, or turned out to be an error, before
 * anything of it reached the client. `discarded`: it was thrown away for another one, or because the sidecar stopped.
 * `cut`: it broke off on its way to the client. `client-gone`: the client left.
 */
export type Waste = 'failed' | 'discarded' | 'cut' | 'client-gone';
