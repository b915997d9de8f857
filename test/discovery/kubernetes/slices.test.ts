import { describe, expect, it } from 'vitest';
import { SliceTable, UnclearPort, sliceSchema } from '../../../src/discovery/kubernetes/slices.ts';
import type { SliceReach } from '../../../src/discovery/kubernetes/slices.ts';
import { sliceObject } from '../../support/kubernetes-api.ts';
import type { StubEndpoint, StubSlice } from '../../support/kubernetes-api.ts';

const REACH: SliceReach = { scheme: 'http', basePath: '', port: undefined, hostName: 'agents.default.svc' };

function table(slices: readonly StubSlice[], reach: Partial<SliceReach> = {}): SliceTable {
  const one = new SliceTable({ ...REACH, ...reach });
  one.replaceAll(slices.map((slice) => sliceSchema.parse(sliceObject(slice, 1))));
  return one;
}

const urls = (slices: readonly StubSlice[], reach?: Partial<SliceReach>): string[] =>
  table(slices, reach)
    .endpoints()
    .map(({ url }) => url);

const slice = (...endpoints: readonly StubEndpoint[]): StubSlice => ({ name: 'a', endpoints });

describe('an endpoint of a slice', () => {
  it('is told with its pod, node and zone', () => {
    const [found] = table([
      slice({ address: '10.0.0.1', zone: 'z1', node: 'n1', pod: 'agents-7' }),
    ]).endpoints();
    expect(found).toEqual({
      url: 'http://10.0.0.1:8080',
      hostName: 'agents.default.svc',
      status: 'up',
      zone: 'z1',
      instance: 'agents-7',
      metadata: { node: 'n1', pod: 'agents-7' },
    });
  });

  it('may have an address of any kind', () => {
    expect(urls([{ ...slice({ address: 'fd00::1' }), addressType: 'IPv6' }])).toEqual([
      'http://[fd00::1]:8080',
    ]);
    expect(urls([{ ...slice({ address: 'db.example.com' }), addressType: 'FQDN' }])).toEqual([
      'http://db.example.com:8080',
    ]);
  });

  it.each([
    ['ready', { ready: true }, 'up'],
    ['of which nothing is said', { ready: null }, 'up'],
    ['not ready yet', { ready: false }, 'starting'],
    ['terminating and still serving', { ready: false, serving: true, terminating: true }, 'draining'],
    ['terminating and not serving', { ready: false, serving: false, terminating: true }, 'down'],
    ['terminating, its serving unknown', { ready: false, serving: null, terminating: true }, 'down'],
  ] as const)('that is %s', (_, conditions, status) => {
    expect(table([slice({ address: '10.0.0.1', ...conditions })]).endpoints()).toMatchObject([{ status }]);
  });

  it('that was ready and is not any more is down, not starting', () => {
    const one = table([slice({ address: '10.0.0.1' })]);
    one.endpoints();
    one.put(sliceSchema.parse(sliceObject(slice({ address: '10.0.0.1', ready: false }), 2)));
    expect(one.endpoints()).toMatchObject([{ status: 'down' }]);
  });
});

describe('several slices', () => {
  it('are one list, in an order that does not depend on theirs', () => {
    const first = { name: 'a', endpoints: [{ address: '10.0.0.2' }] };
    const second = { name: 'b', endpoints: [{ address: '10.0.0.1' }] };
    const sorted = ['http://10.0.0.1:8080', 'http://10.0.0.2:8080'];
    expect([urls([first, second]), urls([second, first])]).toEqual([sorted, sorted]);
  });

  it('may hold the same pod: its better state counts', () => {
    const moving = { address: '10.0.0.1', pod: 'p' };
    const slices = [
      { name: 'a', endpoints: [{ ...moving, ready: false }] },
      { name: 'b', endpoints: [moving] },
    ];
    for (const order of [slices, slices.toReversed()])
      expect(table(order).endpoints()).toMatchObject([{ status: 'up' }]);
  });

  it('give a pod with addresses of both families once, by IPv4', () => {
    const slices: StubSlice[] = [
      { name: 'six', addressType: 'IPv6', endpoints: [{ address: 'fd00::1', pod: 'p' }] },
      { name: 'four', endpoints: [{ address: '10.0.0.1', pod: 'p' }] },
    ];
    expect(urls(slices)).toEqual(['http://10.0.0.1:8080']);
  });

  it('are forgotten when they are deleted', () => {
    const [a, b] = ['a', 'b'].map((name, i) =>
      sliceSchema.parse(sliceObject({ name, endpoints: [{ address: `10.0.0.${i}` }] }, 1)),
    );
    const one = new SliceTable(REACH);
    if (a && b) one.replaceAll([a, b]);
    if (a) one.delete(a);
    expect(one.endpoints()).toHaveLength(1);
    one.replaceAll([]);
    expect(one.endpoints()).toEqual([]);
  });
});

describe('the port', () => {
  const two: StubSlice = {
    ...slice({ address: '10.0.0.1' }),
    ports: [
      { name: 'http', port: 8080 },
      { name: 'admin', port: 9090 },
    ],
  };

  it('is found by its name or its number', () => {
    expect(urls([two], { port: 'admin' })).toEqual(['http://10.0.0.1:9090']);
    expect(urls([two], { port: 8080 })).toEqual(['http://10.0.0.1:8080']);
  });

  it('must be clear', () => {
    expect(() => urls([two])).toThrow(
      new UnclearPort('EndpointSlice a: expected one port, found http = 8080, admin = 9090'),
    );
    expect(() => urls([two], { port: 80 })).toThrow('expected a port 80, found http = 8080, admin = 9090');
  });

  it('may be different in each slice', () => {
    const other = { name: 'b', endpoints: [{ address: '10.0.0.2' }], ports: [{ name: 'http', port: 8081 }] };
    expect(urls([two, other], { port: 'http' })).toEqual(['http://10.0.0.1:8080', 'http://10.0.0.2:8081']);
  });

  it('is the one given where the Service has none', () => {
    const none = { ...slice({ address: '10.0.0.1' }), ports: null };
    expect(urls([none], { port: 8080 })).toEqual(['http://10.0.0.1:8080']);
    expect(() => urls([none])).toThrow('expected one port, found none');
  });

  it('does not matter where nobody is', () => {
    expect(urls([{ name: 'a', ports: null, endpoints: [] }])).toEqual([]);
  });

  it('of another protocol is none', () => {
    const mixed = { ...slice({ address: '10.0.0.1' }), ports: [{ port: 53, protocol: 'UDP' }, { port: 80 }] };
    expect(urls([mixed])).toEqual(['http://10.0.0.1:80']);
  });
});
