/** Looks whether somebody can be talked to safely: a handshake with a certificate that is good for the name. */
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import type { Clock } from '../../core/clock.ts';
import type { TlsOptions } from '../../transport/endpoint-transport.ts';
import type { ProbeAddress } from './address.ts';
import { connecting } from './connecting.ts';
import { passed, probeFrom } from './probe.ts';
import type { Probe } from './probe.ts';

export function tlsProbe(address: ProbeAddress, tls: TlsOptions, clock: Clock): Probe {
  const { serverName = address.host, ...own } = tls;
  return probeFrom(clock, async (signal) => {
    const socket = connect({
      ...own,
      host: address.host,
      port: address.port,
      // An address is not allowed in SNI (RFC 6066 §3).
      servername: isIP(serverName) === 0 ? serverName : '',
    });
    let agreed: string | null = null;
    socket.once('secureConnect', () => (agreed = socket.getProtocol()));
    await connecting(socket, 'secureConnect', signal);
    return passed(agreed ?? 'TLS');
  });
}
