/** All peers by name. The pass-through is the base of every ratio, unless a scenario has one of its own. */
import { join } from 'node:path';
import type { Options, PeerName } from '../options.ts';
import { haproxyPeer } from './haproxy.ts';
import { nginxPeer } from './nginx.ts';
import { outriggerPeer, pricedPeers, tappedPeer } from './outrigger.ts';
import type { Peer } from './peer.ts';

export const basePeer: PeerName = 'pass-through';

const passThroughPeer: Peer = {
  name: basePeer,
  missing: undefined,
  compilesWhileRunning: true,
  prepare: (site) => ({
    command: process.execPath,
    args: [join(import.meta.dirname, 'pass-through.ts'), String(site.port), String(site.upstreamPort)],
  }),
};

export function chosenPeers(options: Options): Peer[] {
  const all = [
    outriggerPeer(options.entry),
    tappedPeer(options.entry),
    passThroughPeer,
    nginxPeer,
    haproxyPeer,
    ...pricedPeers(options.entry),
  ];
  return all.filter((peer) => options.peers.includes(peer.name));
}
