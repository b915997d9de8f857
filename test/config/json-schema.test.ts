import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { toJsonSchema } from '../../src/config/json-schema.ts';
import { sampleSchema } from './sample-schema.ts';

const schema = toJsonSchema(sampleSchema, { title: 'Sample', id: 'https://example.org/sample.json' });
const validate = new Ajv2020({ strict: true, allowUnionTypes: true, formats: { uri: /^\w+:/ } }).compile(
  schema,
);

const upstream = (more: object = {}) => ({
  upstreams: { openai: { route: '/a', endpoints: [{ url: 'https://a' }], ...more } },
});

describe('JSON Schema', () => {
  it('names its draft, its title and its address', () => {
    expect(schema).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $id: 'https://example.org/sample.json',
      title: 'Sample',
      type: 'object',
      additionalProperties: false,
    });
  });

  it.each([
    ['a complete upstream', upstream({ policies: { retry: { maxRetries: 3, backoff: { max: '8s' } } } })],
    ['a policy that is off', upstream({ policies: { retry: false } })],
    ['references for numbers', upstream({ policies: { retry: { maxRetries: '${N}', retryOn: ['${A}'] } } })],
    ['references for booleans', { server: { verbose: '${V:-true}' } }],
    [
      'references for durations and sizes',
      { ...upstream({ policies: { deadline: { after: '${D}s' } } }), server: { maxBody: '${S}' } },
    ],
    [
      'references for choices',
      upstream({ dialect: '${D}', policies: { retry: { jitter: '${J}' }, fallback: [{ cache: '${C}' }] } }),
    ],
    ['references for texts of a certain form', upstream({ route: '/${R}', endpoints: [{ url: '${URL}' }] })],
    ['references for a union with false', upstream({ policies: { retry: '${RETRY}' } })],
    ['a kind of a discriminated union', { store: { type: 'redis', url: 'x' } }],
    ['escape keys', { ...upstream({ 'x-owner': 1, policies: { 'x-why': {} } }), 'x-anchors': [] }],
    [
      'defaults of which most is missing',
      { defaults: { dialect: 'openai', policies: { retry: { maxRetries: 1 } } } },
    ],
  ])('accepts %s', (_what, config) => {
    expect(validate(config), JSON.stringify(validate.errors)).toBe(true);
  });

  it.each([
    ['an unknown key', { sever: {} }],
    ['an unknown key deep inside', upstream({ policies: { retry: { maxRetry: 1 } } })],
    ['a wrong type', upstream({ policies: { retry: { maxRetries: 'many' } } })],
    ['a bad duration', upstream({ policies: { deadline: { after: '5 s' } } })],
    ['a bad choice', upstream({ dialect: 'opnai' })],
    ['a missing key', { upstreams: { openai: { route: '/a' } } }],
    ['an unknown key in defaults', { defaults: { dialec: 'x' } }],
    ['a reference where a map stands', { server: '${SERVER}' }],
  ])('refuses %s', (_what, config) => {
    expect(validate(config)).toBe(false);
  });

  it('marks secrets as not to be shown', () => {
    expect(JSON.stringify(schema)).toMatch(/"url":\{"type":"string","writeOnly":true\}/);
  });

  it('keeps descriptions and defaults where editors look for them', () => {
    const text = JSON.stringify(schema);
    expect(text).toContain(
      '{"description":"Attempts after the first.","default":2,"anyOf":[{"type":"integer"',
    );
    expect(text).toContain('"default":"8s","$ref":"#/$defs/Duration"');
  });
});
