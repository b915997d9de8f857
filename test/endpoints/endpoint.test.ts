import { describe, expect, it } from 'vitest';
import { endpointsOf } from '../../src/endpoints/endpoint.ts';

const named = (url: string, hostName?: string): readonly unknown[] => {
  const [endpoint] = endpointsOf([{ url, hostName }]);
  return [endpoint?.origin, endpoint?.host, endpoint?.serverName];
};

describe('an endpoint', () => {
  it('is called what its URL says', () => {
    expect(named('https://api.test/v1')).toEqual(['https://api.test', 'api.test', 'api.test']);
    expect(named('http://[::1]:8080')).toEqual(['http://[::1]:8080', '[::1]:8080', '[::1]']);
  });

  it('that is reached by its address is called what the description says', () => {
    expect(named('https://10.0.0.1', 'api.test')).toEqual(['https://10.0.0.1', 'api.test', 'api.test']);
    expect(named('https://10.0.0.1:8443', 'api.test')).toEqual([
      ...['https://10.0.0.1:8443', 'api.test:8443'],
      'api.test',
    ]);
  });
});
