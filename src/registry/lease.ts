/** What a registry promises to those that register. */
import type { Random } from '../core/random.ts';
import type { Lease } from '../core/registry.ts';

/** Three in a lease: one may be lost and one late. */
const HEARTBEATS_PER_TTL = 3;
/** Heartbeats are asked for up to this share earlier, so that those who came together do not stay together. */
const JITTER_RATIO = 0.1;

export const leaseFor = (ttlMs: number, random: Random): Lease => ({
  ttlMs,
  heartbeatMs: Math.round((ttlMs / HEARTBEATS_PER_TTL) * (1 - JITTER_RATIO * random.next())),
});
