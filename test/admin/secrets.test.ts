/** Whatever a configuration holds in secret places, no answer of the admin plane ever shows it. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { adminWith } from './fixture.ts';
import type { AdminFixture } from './fixture.ts';

const READS = [
  '/health',
  '/livez',
  '/ready',
  '/readyz',
  '/metrics',
  '/admin/upstreams',
  '/admin/upstreams/models',
  '/admin/upstreams/none',
  '/admin/config',
  '/admin/config?format=yaml',
  '/admin/events',
  '/nowhere',
];

/** What a rejected configuration can show in. */
const AFTER_A_REJECTION = ['/ready', '/admin/events', '/admin/config?format=yaml'];

/** Every answer there is, the refusals of changes included. */
async function everyAnswer(admin: AdminFixture, token: string): Promise<string> {
  const answers = await Promise.all(READS.map((path) => admin.get(path)));
  const authorization = `Bearer ${token}`;
  for (const headers of [{}, { authorization: 'Bearer wrong-token' }, { authorization }]) {
    answers.push(await admin.post('/admin/reload', { headers }));
    answers.push(await admin.post('/admin/upstreams/models/breaker', { headers, json: { state: 'auto' } }));
    answers.push(await admin.post('/admin/upstreams/models/breaker', { headers, json: { state: 'wrong' } }));
  }
  return answers.map(({ text }) => text).join('\n');
}

/** Texts as keys look, made of what YAML, URLs and headers find hard. */
const secretText = fc
  .string({ unit: fc.constantFrom(...'abcXYZ019-_.~+/=!#%&*:@|<>'), minLength: 8, maxLength: 40 })
  // A marker makes sure that a find is a find.
  .map((text) => `k${randomBytes(6).toString('hex')}${text}`);

const quoted = (text: string): string => JSON.stringify(text);

interface Secrets {
  readonly token: string;
  readonly literal: string;
  readonly fromEnv: string;
  readonly fromFile: string;
  readonly fallbackKey: string;
}

const secretsArb = fc.record<Secrets>({
  token: secretText,
  literal: secretText,
  fromEnv: secretText,
  fromFile: secretText,
  fallbackKey: secretText,
});

const yamlOf = (secrets: Secrets, { origin, file }: { origin: string; file: string }): string => `
admin: { token: ${quoted(secrets.token)} }
defaults: { policies: { retry: false }, credentials: { header: x-api-key, value: ${quoted(secrets.literal)} } }
upstreams:
  models:
    route: /models
    endpoints: [{ url: "${origin}" }]
    policies: { circuitBreaker: { consecutiveFailures: 1 }, fallback: [{ upstream: from-file }] }
  from-env:
    route: /from-env
    endpoints: [{ url: "${origin}" }]
    credentials: { value: "Bearer \${OUTRIGGER_TEST_KEY:-${secrets.fallbackKey}}" }
  from-file:
    route: /from-file
    endpoints: [{ url: "${origin}" }]
    credentials: { header: x-goog-api-key, value: "\${file:${file}}" }
`;

/** Ways in which people break such a file; each leaves a secret where the messages have to look. */
const MISTAKES: readonly ((yaml: string, secrets: Secrets) => string)[] = [
  (yaml) => yaml.replace('{ token:', '{ tokne:'),
  (yaml) => yaml.replace('header: x-api-key,', 'headr: x-api-key,'),
  (yaml) => yaml.replace('value: "Bearer', 'valeu: "Bearer'),
  (yaml) => yaml.replace('admin: {', 'admin: ['),
  (yaml, { token }) => yaml.replace(`{ token: ${quoted(token)} }`, `{ token: [${quoted(token)}] }`),
  (yaml, { token }) => yaml.replace(quoted(token), quoted(token).slice(0, -1)),
  (yaml, { literal }) => yaml.replace(quoted(literal), `"${literal}\\u0001"`),
  (yaml, { literal }) =>
    `${yaml}\nserver: { name: ok }\nserver: { credentials: { value: ${quoted(literal)} } }\n`,
  (yaml, { fromEnv }) => yaml.replace('http://', `http://user:${encodeURIComponent(fromEnv)}@`),
];

test('a configuration full of secrets, good or broken, shows none of them', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 500 })]);
  const folder = await mkdtemp(join(tmpdir(), 'outrigger-secrets-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'key');
  const property = fc.asyncProperty(secretsArb, async (secrets) => {
    await writeFile(file, secrets.fromFile);
    const yaml = yamlOf(secrets, { origin: upstream.origin, file });
    await using admin = await adminWith(yaml, { env: { OUTRIGGER_TEST_KEY: secrets.fromEnv } });
    for (const path of ['/models/x', '/models/x', '/from-env/x', '/from-file/x']) await admin.call(path);
    let seen = await everyAnswer(admin, secrets.token);
    for (const mistake of MISTAKES) {
      const broken = mistake(yaml, secrets);
      expect(broken).not.toBe(yaml);
      await admin.rewrite(broken);
      const answer = await admin.post('/admin/reload', {
        headers: { authorization: `Bearer ${secrets.token}` },
      });
      expect(answer.status).toBe(422);
      const answers = await Promise.all(AFTER_A_REJECTION.map((path) => admin.get(path)));
      seen += [answer, ...answers].map(({ text }) => text).join('\n');
    }
    expect(seen).toContain('***');
    expectNone(seen, secrets);
  });
  await fc.assert(property, { numRuns: 2, endOnFailure: true });
  const received = upstream.requests.map((one) => one.header('x-api-key') ?? one.header('authorization'));
  expect(received.filter((value) => value !== undefined).length).toBeGreaterThan(0);
}, 60_000);

/** Neither a secret nor the recognisable part of it, in whatever spelling JSON and YAML give it. */
function expectNone(text: string, secrets: Secrets): void {
  for (const [place, value] of Object.entries(secrets) as [string, string][]) {
    const at = text.indexOf(value.slice(0, 13));
    expect(at === -1 ? 'hidden' : `${place}: …${text.slice(Math.max(0, at - 200), at + 60)}…`).toBe('hidden');
  }
}
