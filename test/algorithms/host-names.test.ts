import { expect, test } from 'vitest';
import { hostNameOf, isLoopback, isRebindable } from '../../src/algorithms/host-names.ts';

test.each([
  ['example.com', 'example.com'],
  ['Example.COM:9090', 'example.com'],
  ['localhost.', 'localhost'],
  ['localhost.:80', 'localhost'],
  ['10.0.0.1:1', '10.0.0.1'],
  ['[::1]', '::1'],
  ['[FE80::1]:9090', 'fe80::1'],
  ['my_host-1.svc', 'my_host-1.svc'],
])('the host of %j is %j', (field, host) => {
  expect(hostNameOf(field)).toBe(host);
});

test.each([
  undefined,
  '',
  ':80',
  '.',
  '[::1',
  '::1',
  'a b',
  'a/b',
  'user@host',
  'host:port',
  'host:123456',
  '[localhost]',
  'a\tb',
])('%j is no Host field', (field) => {
  expect(hostNameOf(field)).toBeUndefined();
});

test.each(['127.0.0.1', '127.255.0.3', '::1', 'localhost', 'x.localhost'])(
  '%s is loopback and cannot be rebound',
  (host) => {
    expect([isLoopback(host), isRebindable(host)]).toEqual([true, false]);
  },
);

test.each(['10.0.0.1', 'fe80::1', '0.0.0.0', '::'])('%s is not loopback and cannot be rebound', (host) => {
  expect([isLoopback(host), isRebindable(host)]).toEqual([false, false]);
});

test.each([
  'example.com',
  '127.0.0.1.example.com',
  'localhost.example.com',
  'notlocalhost',
  '127.1',
  '0x7f000001',
])('%s is a name that can be pointed anywhere', (host) => {
  expect([isLoopback(host), isRebindable(host)]).toEqual([false, true]);
});
