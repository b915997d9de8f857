import { describe, expect, it } from 'vitest';
import { layersIn } from '../../src/cli/config-input.ts';
import { parseKeyAddress } from '../../src/keys/key-address.ts';

describe('the address of a key', () => {
  it.each([
    ['etcd://h/a/b', { kind: 'etcd', servers: ['http://h:2379'], key: 'a/b', params: {} }],
    ['etcd://h:1//a', { kind: 'etcd', servers: ['http://h:1'], key: '/a', params: {} }],
    [
      'etcd+https://h1:1,h2:2,[::1]/k',
      { kind: 'etcd', servers: ['https://h1:1', 'https://h2:2', 'https://[::1]:2379'], key: 'k', params: {} },
    ],
    ['etcd+https://h:443/k', { kind: 'etcd', servers: ['https://h:443'], key: 'k', params: {} }],
    [
      'consul://h/a%20b?dc=x&ns=y',
      { kind: 'consul', servers: ['http://h:8500'], key: 'a b', params: { dc: 'x', ns: 'y' } },
    ],
  ])('%s is understood', (text, address) => {
    expect(parseKeyAddress(text)).toEqual(address);
  });

  it.each([
    'etcd://h',
    'etcd://h/',
    'etcd:///k',
    'etcd://joe:pw@h/k',
    'etcd+ftp://h/k',
    'etcd://h/k?dc=x',
    'consul://h1,h2/k',
    'consul://h/k?token=x',
    'etcd://h/%zz',
    'etcd://h:99999/k',
  ])('%s is refused, without a password in the words', (text) => {
    const problem = parseKeyAddress(text);
    expect(problem).toEqual(expect.stringMatching(/^expected /));
    expect(problem).not.toContain('pw');
  });

  it('stands among files in a variable that is separated by colons', () => {
    const value = '/etc/a.yaml:etcd://h:2379,[::1]:2379/k/x:consul+https://h/k?dc=e:b.yaml';
    expect(layersIn(value, ':')).toEqual([
      '/etc/a.yaml',
      'etcd://h:2379,[::1]:2379/k/x',
      'consul+https://h/k?dc=e',
      'b.yaml',
    ]);
    expect(layersIn('C:\\a;etcd://h:1/k', ';')).toEqual(['C:\\a', 'etcd://h:1/k']);
  });
});
