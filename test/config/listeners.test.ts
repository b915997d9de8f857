import { expect, it } from 'vitest';
import { checkConfig } from '../../src/config/checks.ts';
import { configSchema } from '../../src/config/schema.ts';

const tools = (listen: string): object => ({ listen, endpoints: [{ url: 'http://127.0.0.1:9' }] });

it.each([
  ['server.admin', { server: { listen: '127.0.0.1:8080', admin: '127.0.0.1:8080' } }],
  ['registry.listen', { registry: { listen: '127.0.0.1:8080' } }],
  ['playground.listen', { playground: { listen: '127.0.0.1:8080' } }],
  ['upstreams.tools.listen', { upstreams: { tools: tools('127.0.0.1:8080') } }],
])('refuses %s where the data plane listens already', (path, config) => {
  expect(checkConfig(configSchema.parse(config))).toMatchObject([
    {
      path: path.split('.'),
      message: 'expected an address of its own, got 127.0.0.1:8080, which is server.listen',
    },
  ]);
});

it('lets every listener ask for any free port', () => {
  const config = {
    server: { listen: '127.0.0.1:0', admin: '127.0.0.1:0' },
    registry: { listen: '127.0.0.1:0' },
    playground: { listen: '127.0.0.1:0' },
    upstreams: { tools: tools('127.0.0.1:0') },
  };
  expect(checkConfig(configSchema.parse(config))).toEqual([]);
});
