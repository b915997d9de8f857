/** Looks whether somebody accepts connections. It costs the server next to nothing, and shows no more than that. */
import { connect } from 'node:net';
import type { Clock } from '../../core/clock.ts';
import type { ProbeAddress } from './address.ts';
import { connecting } from './connecting.ts';
import { passed, probeFrom } from './probe.ts';
import type { Probe } from './probe.ts';

export function tcpProbe({ host, port }: ProbeAddress, clock: Clock): Probe {
  return probeFrom(clock, async (signal) => {
    await connecting(connect({ host, port }), 'connect', signal);
    return passed('connected');
  });
}
