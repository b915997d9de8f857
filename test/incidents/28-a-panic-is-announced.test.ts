/**
 * So many endpoints had been taken out that the proxy silently used all of them again, the broken ones included, and nobody
 * could see why calls failed. A panic has a gauge, a log line and an event, at its beginning and at its end.
 */
import { expect, it } from 'vitest';
import type { OwnSidecar } from './own-sidecar.ts';
import { ownSidecar } from './own-sidecar.ts';

const CONFIG = `upstreams: { api: { route: /api, balance: { panicThreshold: 0.5 },
  endpoints: [{ url: "http://127.0.0.1:1" }, { url: "http://127.0.0.1:2" }, { url: "http://127.0.0.1:3" }] } }\n`;

const membersOf = ({ sidecar }: OwnSidecar) =>
  (sidecar.supervisor.runtime.upstreams.get('api')?.endpoints.members ?? []).map(({ member }) => member);

it('says so at once, without waiting for a call, and when it is over', async () => {
  await using own = await ownSidecar(CONFIG);
  const [first, second] = membersOf(own);
  const gauge = () => own.series('outrigger_upstream_panic{');
  first?.setHealth('unhealthy');
  expect(own.events.of('panic-changed')).toEqual([]);
  expect(await gauge()).toEqual(['outrigger_upstream_panic{upstream="api"} 0']);

  second?.setHealth('unhealthy');
  expect(own.events.of('panic-changed')).toMatchObject([{ upstream: 'api', panicking: true }]);
  expect(await gauge()).toEqual(['outrigger_upstream_panic{upstream="api"} 1']);

  first?.setHealth('healthy');
  expect(own.events.of('panic-changed').at(-1)).toMatchObject({ upstream: 'api', panicking: false });
  expect(await gauge()).toEqual(['outrigger_upstream_panic{upstream="api"} 0']);
  expect(own.events.of('panic-changed')).toHaveLength(2);
});

it('says so in the log and in the journal, with another threshold at the reload that brings it', async () => {
  await using own = await ownSidecar(CONFIG.replace('0.5', '0'));
  for (const member of membersOf(own).slice(0, 2)) member.setEjected(true);
  expect(own.events.of('panic-changed')).toEqual([]);
  await own.edit(CONFIG);
  expect(own.events.of('panic-changed')).toMatchObject([{ upstream: 'api', panicking: true }]);
  expect(own.sidecar.journal.entries().map(({ event }) => event)).toContain('panic-changed');
  await expect.poll(() => own.logText(), { interval: 5 }).toContain('panic: too few endpoints are well');
});
