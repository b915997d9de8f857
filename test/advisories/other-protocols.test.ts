/** Attack: bytes of another protocol on the plain port, from port scanners to clients that took it for something else. */
import { expect, test } from 'vitest';
import { rawClient } from '../support/raw-client.ts';
import { attack, expectRefused, expectServing, head, sharedTarget } from './attack.ts';

const target = sharedTarget();
const TLS_CLIENT_HELLO = Buffer.from(`1603010200010001fc0303${'5a'.repeat(32)}20${'00'.repeat(64)}`, 'hex');

const strange: readonly [title: string, bytes: string | Buffer][] = [
  ['a TLS handshake', TLS_CLIENT_HELLO],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'],
  ['SSH', 'SSH-2.0-OpenSSH_9.0\r\n'],
  ['SMTP', 'EHLO mail.example\r\n\r\n'],
  ['RTSP', 'OPTIONS rtsp://a/x RTSP/1.0\r\nCSeq: 1\r\n\r\n'],
  ['SOCKS', Buffer.from([5, 1, 0])],
  ['a PROXY line', 'PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET /api/x HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['nothing but zeros', Buffer.alloc(4_096)],
  ['random bytes', Buffer.from(Array.from({ length: 2_048 }, (_, n) => (n * 167 + 13) % 256))],
];

test.each(strange)('%s is refused or cut, and the next client is served', async (_, bytes) => {
  const on = target();
  const before = on.upstream.requests.length;
  const { status } = await attack(on, bytes, true);
  expect([undefined, 400]).toContain(status);
  await expectServing(on);
  expect(on.upstream.requests).toHaveLength(before + 1);
});

test('CONNECT is refused: this is no forward proxy', async () => {
  const { status, code } = await expectRefused(
    target(),
    head('CONNECT internal.example:22 HTTP/1.1', 'Host: a'),
    405,
  );
  expect([status, code]).toEqual([405, 'method_not_supported']);
});

test('a client that resets after its CONNECT takes nobody with it', async () => {
  const on = target();
  for (let n = 0; n < 10; n++) {
    await using client = await rawClient(on.port);
    void client.send(`${head('CONNECT a:1 HTTP/1.1', 'Host: a')}${'x'.repeat(n * 1_000)}`);
    client.reset();
  }
  await expectServing(on);
});

test('clients that connect and say nothing, close or reset, leave nothing behind', async () => {
  const on = target();
  for (const leave of ['destroy', 'reset', 'halfClose'] as const) {
    for (let n = 0; n < 10; n++) {
      await using client = await rawClient(on.port);
      client[leave]();
    }
  }
  await expectServing(on);
  expect(on.sidecar.sidecar.dataPlane.activeCount).toBe(0);
});
