import { expect, test } from 'vitest';
import { ownSidecar } from '../incidents/own-sidecar.ts';
import { request } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';

const yamlFor = (origin: string, settings: string): string =>
  `upstreams: { api: { route: /api, endpoints: [{ url: "${origin}" }], ${settings} } }\n`;

const SCALING = 'scaling: { out: 2, in: 1, capacity: 8, window: 5s, outAfter: 5s }';

async function adminJson(port: number, path: string): Promise<Record<string, unknown>> {
  return JSON.parse(await (await request(port, { path, headers: { host: 'localhost' } })).text()) as Record<
    string,
    unknown
  >;
}

test('an upstream that has too much to do is advised to have more endpoints, wherever that is asked', async () => {
  const streams = Array.from({ length: 4 }, () => controlledStream());
  await using upstream = await scriptedUpstream(streams);
  await using own = await ownSidecar(yamlFor(upstream.origin, SCALING));
  const adminPort = own.sidecar.admin.address()?.port ?? 0;
  const answers = streams.map(() => own.send());
  await Promise.all(streams.map((stream) => stream.waitForRequest()));
  await own.clock.advance(15_000);
  expect(own.events.of('scaling-advised')).toMatchObject([{ upstream: 'api', advice: 'out', instances: 1 }]);

  expect(await adminJson(adminPort, '/admin/scaling')).toEqual({
    upstreams: [
      {
        name: 'api',
        advice: 'out',
        instances: 1,
        desiredInstances: 3,
        demand: 4,
        demandPerInstance: 4,
        saturation: 0.5,
      },
    ],
  });
  const statistics = await adminJson(adminPort, '/admin/upstreams/api/statistics');
  expect(statistics).toMatchObject({ name: 'api', active: 4, waiting: 0, capacity: 8, saturation: 0.5 });
  expect(statistics['scaling']).toMatchObject({ advice: 'out', desiredInstances: 3 });
  expect(statistics['endpoints']).toMatchObject([
    { name: upstream.origin, state: 'available', active: 4, total: 4, failuresPerSecond: 0, connections: 4 },
  ]);
  expect(await adminJson(adminPort, '/admin/upstreams/api')).toMatchObject({ scaling: { advice: 'out' } });

  expect(await own.series('outrigger_scaling_')).toEqual([
    'outrigger_scaling_advised_total{upstream="api",advice="out"} 1',
    'outrigger_scaling_demand{upstream="api"} 4',
    'outrigger_scaling_instances{upstream="api"} 1',
    'outrigger_scaling_desired_instances{upstream="api"} 3',
    'outrigger_scaling_advice{upstream="api",advice="hold"} 0',
    'outrigger_scaling_advice{upstream="api",advice="out"} 1',
    'outrigger_scaling_advice{upstream="api",advice="in"} 0',
  ]);
  expect(await own.series('outrigger_upstream_saturation_ratio{')).toEqual([
    'outrigger_upstream_saturation_ratio{upstream="api"} 0.5',
  ]);
  for (const stream of streams) {
    await stream.head();
    await stream.end();
  }
  for (const answer of answers) await (await answer).text();
});

test('what was seen lives through reloads that leave the section as it is, and nothing looks on for one that is gone', async () => {
  const stream = controlledStream();
  await using upstream = await scriptedUpstream([stream]);
  const tight = SCALING.replace('out: 2', 'out: 0.5').replace('in: 1', 'in: 0.1');
  await using own = await ownSidecar(yamlFor(upstream.origin, tight));
  const answer = own.send();
  await stream.waitForRequest();
  await own.clock.advance(10_000);
  await own.edit(yamlFor(upstream.origin, `${tight}, idempotent: true`));
  expect(own.sidecar.supervisor.runtime.upstreams.get('api')?.scaling?.view.advice).toBe('out');
  await own.edit(yamlFor(upstream.origin, 'idempotent: true'));
  expect(own.sidecar.supervisor.runtime.upstreams.get('api')?.scaling).toBeUndefined();
  await own.clock.advance(60_000);
  expect(own.events.of('scaling-advised')).toHaveLength(1);
  await stream.head();
  await stream.end();
  await (await answer).text();
});

test('rates and latencies are told of every upstream, and the bulkhead’s limit is the capacity where nothing else is said', async () => {
  await using upstream = await scriptedUpstream([respond({ status: 500 }), respond({ body: 'fine' })]);
  const policies = 'policies: { retry: false, bulkhead: { maxConcurrent: 5 } }';
  await using own = await ownSidecar(yamlFor(upstream.origin, policies));
  const adminPort = own.sidecar.admin.address()?.port ?? 0;
  for (let n = 0; n < 6; n++) await (await own.send()).text();
  await own.clock.advance(10_000);
  const statistics = await adminJson(adminPort, '/admin/upstreams/api/statistics');
  expect(statistics).toMatchObject({
    capacity: 5,
    saturation: 0,
    callsPerSecond: 0.6,
    failuresPerSecond: 0.1,
  });
  expect(statistics).not.toHaveProperty('scaling');
  expect(statistics['endpoints']).toMatchObject([{ total: 6, callsPerSecond: 0.6, meanLatencyMs: 0 }]);
  expect(await adminJson(adminPort, '/admin/scaling')).toEqual({ upstreams: [] });
  expect(
    (await request(adminPort, { path: '/admin/upstreams/none/statistics', headers: { host: 'localhost' } }))
      .status,
  ).toBe(404);
});
