/** What the bench needs to know of a proxy in order to start it. */
import type { PeerName } from '../options.ts';

/** Where a fresh proxy process shall listen, forward to, and keep its files. */
export interface Site {
  readonly port: number;
  readonly adminPort: number;
  readonly upstreamPort: number;
  /** An empty directory of its own, removed after the run. */
  readonly directory: string;
}

export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  /** A GET that answers 200 once the proxy serves; by default the data port is asked for `/json`. */
  readonly ready?: { readonly port: number; readonly path: string };
}

export interface Peer {
  readonly name: PeerName;
  /** Why this peer cannot take part on this machine; undefined when it can. */
  readonly missing: string | undefined;
  /** True for what needs a while under load until it is as fast as it gets. */
  readonly compilesWhileRunning: boolean;
  /** Writes its configuration into the site's directory. */
  prepare(site: Site): Launch;
}
