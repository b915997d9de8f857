import { expect, it } from 'vitest';
import { startSidecar } from '../support/start-sidecar.ts';

it.each(['headersTimeout: 1250ms', 'headersTimeout: 1.001s', 'headersTimeout: 0.5ms', 'keepAlive: 0.5ms'])(
  'starts with %s, although Node takes whole milliseconds only',
  async (setting) => {
    await using sidecar = await startSidecar(`server: { ${setting} }`);
    expect(sidecar.port).toBeGreaterThan(0);
  },
);
