/**
 * After a reload one proxy ran without a policy that it had started with, and replicas with the same file behaved
 * differently. Start and reload are the same way here, and metrics tell which configuration is in force.
 */
import { expect, it } from 'vitest';
import type { OwnSidecar } from './own-sidecar.ts';
import { apiAt, ownSidecar } from './own-sidecar.ts';

const ORIGIN = 'http://127.0.0.1:1';
const STATIC = 'fallback: [{ static: { body: sorry } }]';
const ONE = apiAt(ORIGIN, `policies: { ${STATIC}, retry: { maxRetries: 1 } }`);
const OTHER = apiAt(ORIGIN, `policies: { ${STATIC}, retry: { maxRetries: 3 }, deadline: { after: 5s } }`);

const policiesOf = ({ sidecar }: OwnSidecar): unknown =>
  sidecar.supervisor.runtime.upstreams.get('api')?.snapshots();

const namesOf = ({ sidecar }: OwnSidecar): string[] => [
  ...(sidecar.supervisor.runtime.upstreams.get('api')?.policies.keys() ?? []),
];

const hashOf = async (own: OwnSidecar): Promise<string[]> => own.series('outrigger_config_info{');

it('a sidecar that reloaded has the policies of one that started with the same file', async () => {
  await using reloaded = await ownSidecar(ONE);
  const atStart = namesOf(reloaded);
  await reloaded.edit(OTHER);
  await using started = await ownSidecar(OTHER);
  expect(namesOf(reloaded)).toEqual(atStart);
  expect(atStart).toEqual([
    ...['fallback', 'deadline', 'retry', 'circuit-breaker'],
    ...['outlier-detection', 'attempt-timeout'],
  ]);
  expect(policiesOf(reloaded)).toEqual(policiesOf(started));
  expect(await hashOf(reloaded)).toEqual(await hashOf(started));
});

it('generation and hash tell of every configuration that was put in force, and of no other', async () => {
  await using own = await ownSidecar(ONE);
  const generation = async (): Promise<string[]> => own.series('outrigger_config_generation ');
  const first = await hashOf(own);
  expect(await generation()).toEqual(['outrigger_config_generation 1']);

  await own.edit(OTHER);
  const second = await hashOf(own);
  expect(second).not.toEqual(first);
  expect(await generation()).toEqual(['outrigger_config_generation 2']);

  expect((await own.edit('upstreams: { api: { rout: /api } }')).applied).toBe(false);
  expect(await hashOf(own)).toEqual(second);
  expect(await generation()).toEqual(['outrigger_config_generation 2']);

  await own.edit(ONE);
  expect(await hashOf(own)).toEqual(first);
  expect(await generation()).toEqual(['outrigger_config_generation 3']);
});
