/**
 * The attack: a key leaks through whatever tells of keys. Everything that a sidecar with a pool of them prints or serves,
 * in good and in bad days, is searched for each of them, and for the credentials that the client sent.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Sidecar } from '../../src/sidecar.ts';
import { inProcess, temporaryDirectory } from '../cli/fixture.ts';
import { ask } from '../admin/fixture.ts';
import { keyedUpstream } from '../support/keyed-upstream.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond, respondJson } from '../support/steps/answers.ts';
import { resetBeforeResponse } from '../support/steps/cuts.ts';

const SECRETS = {
  env: 'sk-4d7c-from-the-environment',
  file: 'sk-91be-from-a-file',
  literal: 'sk-c03f-written-as-it-is',
  spare: 'sk-77aa-of-the-next-upstream',
} as const;
const CLIENT = ['client-bearer-5e1d', 'client-key-8a2c', 'client-cookie-3b9f', 'client-query-6d4e'];
const all = [...Object.values(SECRETS), ...CLIENT];

const yaml = (first: string, spare: string): string => `
admin: { token: ${SECRETS.literal}-token }
logging: { level: debug }
upstreams:
  models:
    route: /models
    dialect: openai
    endpoints: [{ url: "${first}" }]
    credentials:
      coolDown: { initial: 1s }
      keys:
        - { name: env, value: "Bearer \${KEY}" }
        - { name: file, value: "Bearer \${file:key}" }
        - { name: literal, value: Bearer ${SECRETS.literal} }
    policies: { fallback: [{ upstream: spare }] }
  spare:
    route: /spare
    endpoints: [{ url: "${spare}" }]
    credentials: { header: x-api-key, values: [${SECRETS.spare}] }
`;

/** The same list line by line, and broken at the line that holds the secret. */
const inBlock = (text: string): string =>
  text.replace(
    `{ header: x-api-key, values: [${SECRETS.spare}] }`,
    `\n      values:\n        - a\n       - "${SECRETS.spare}\n      x: [`,
  );

/** Ways to break the file next to each secret. */
const MISTAKES: readonly ((text: string) => string)[] = [
  inBlock,
  (text) => text.replace('keys:', 'keyz:'),
  (text) => text.replace('values:', 'valuez:'),
  (text) => text.replace('values: [', 'values: [[').replace('] }\n', ']] }\n'),
  (text) => text.replace(`values: [${SECRETS.spare}]`, `values: [${SECRETS.spare}`),
  (text) => text.replace(`values: [${SECRETS.spare}]`, `values: ${SECRETS.spare}`),
  (text) => text.replace(`values: [${SECRETS.spare}]`, `value: a, values: [${SECRETS.spare}]`),
  (text) => text.replace(`[${SECRETS.spare}]`, `["${SECRETS.spare}\\u0001"]`),
  (text) => text.replace('name: literal', 'name: env'),
  (text) => text.replace('name: literal', 'name: 7'),
  (text) => text.replace('{ name: literal, value:', '{ name: literal, weight: -1, value:'),
  (text) => text.replace('name: literal, value', 'name: literal, wert'),
  (text) => text.replace('initial: 1s', 'initial: soon'),
  (text) => text.replace(`value: Bearer ${SECRETS.literal}`, `value: { is: ${SECRETS.literal} }`),
  (text) => text.replace('- { name: literal', `- ${SECRETS.literal}\n        - { name: literal`),
];

it('no key and no credential of a client is ever printed, served or sent to the wrong upstream', async () => {
  const noQuota = respondJson(
    { error: { message: `no quota for ${SECRETS.env}`, code: 'insufficient_quota' } },
    { status: 429 },
  );
  await using first = await keyedUpstream({ [SECRETS.env]: noQuota });
  await using spare = await scriptedUpstream([respond({ body: 'spare' })]);
  const folder = temporaryDirectory();
  const config = join(folder, 'outrigger.yaml');
  const text = yaml(first.origin, spare.origin);
  writeFileSync(join(folder, 'key'), SECRETS.file);
  writeFileSync(config, text);
  const sets = ['server.listen=127.0.0.1:0', 'server.admin=127.0.0.1:0'];
  const input = { files: [config], env: { KEY: SECRETS.env }, sets };
  const logTo = join(folder, 'log');
  const sidecar = await Sidecar.start({ input, watch: false, logTo });
  let seen = '';
  sidecar.bus.onAny((name, event) => {
    if (name.startsWith('credential-')) seen += JSON.stringify({ ...event, exchange: undefined });
  });
  try {
    const port = sidecar.dataPlane.address()?.port ?? 0;
    const admin = sidecar.admin.address()?.port ?? 0;
    const call = async (): Promise<void> => {
      const answer = await ask(port, {
        method: 'POST',
        path: `/models/v1/chat/completions?key=${CLIENT[3]}&api_key=${CLIENT[3]}`,
        headers: {
          authorization: `Bearer ${CLIENT[0]}`,
          'x-api-key': `${CLIENT[1]}`,
          cookie: `session=${CLIENT[2]}`,
          'x-outrigger-debug': '1',
        },
        json: { model: 'm' },
      });
      const headers = ['proxy-status', 'x-outrigger-trail', 'x-outrigger-code'].map((name) =>
        answer.header(name),
      );
      seen += `${answer.status} ${answer.text} ${headers.join(' ')}\n`;
    };
    await call();
    await call();
    first.treat.set(SECRETS.file, respond({ status: 401 })).set(SECRETS.literal, resetBeforeResponse());
    await call();
    await call();
    first.treat.set(SECRETS.literal, respond({ status: 429, headers: { 'retry-after': '60' } }));
    await call();
    await call();
    for (const path of [
      '/metrics',
      '/ready',
      '/admin/upstreams',
      '/admin/config',
      '/admin/config?format=yaml',
      '/admin/events',
    ])
      seen += (await ask(admin, { path })).text;
    for (const mistake of MISTAKES) {
      expect(mistake(text)).not.toBe(text);
      writeFileSync(config, mistake(text));
      const authorization = `Bearer ${SECRETS.literal}-token`;
      const rejected = await ask(admin, {
        method: 'POST',
        path: '/admin/reload',
        headers: { authorization },
      });
      expect([rejected.status, mistake.toString()]).toEqual([422, mistake.toString()]);
      seen += rejected.text + (await ask(admin, { path: '/ready' })).text;
      const { stdout, stderr } = await inProcess([
        'validate',
        '-c',
        config,
        '--set',
        'upstreams.models.credentials.keys=null',
      ]);
      seen += stdout + stderr;
    }
    writeFileSync(config, text.replace('${KEY}', '${KEY:-none}'));
    for (const args of [
      ['print-config', '--origins'],
      ['print-config'],
      ['explain', 'models'],
      ['explain', 'spare'],
      ['validate'],
    ])
      seen += Object.values(await inProcess([...args, '-c', config])).join('\n');
  } finally {
    await sidecar.close();
  }
  seen += readFileSync(logTo, 'utf8');
  for (const word of [
    'credential is out',
    'credential cools down',
    'credentials_cooling',
    '"credential":"file"',
    'spare',
  ])
    expect(seen).toContain(word);
  const leaks = all.filter((secret) => seen.includes(secret)).map((secret) => around(seen, secret));
  expect(leaks).toEqual([]);
  const toFirst = JSON.stringify(
    first.upstream.requests.map(({ rawHeaders, target }) => [rawHeaders, target]),
  );
  const toSpare = JSON.stringify(spare.requests.map(({ rawHeaders, target }) => [rawHeaders, target]));
  expect([...CLIENT, SECRETS.spare].filter((secret) => toFirst.includes(secret))).toEqual([]);
  const others = all.filter((secret) => secret !== SECRETS.spare);
  expect(spare.requests.length).toBeGreaterThan(0);
  expect(others.filter((secret) => toSpare.includes(secret))).toEqual([]);
}, 30_000);

const around = (text: string, secret: string): string => {
  const at = text.indexOf(secret);
  return text.slice(Math.max(0, at - 150), at + 60);
};
