/**
 * Requests above a size that no page mentioned lost their retries without a word. The limit is a setting with a known
 * default, and where it costs a retry the answer and a metric say so.
 */
import { expect, it } from 'vitest';
import { stage } from '../e2e/stage.ts';
import { respond } from '../support/steps/answers.ts';
import { closeBeforeResponse } from '../support/steps/cuts.ts';

const api = 'idempotent: true, policies: { retry: { backoff: { initial: 1ms, max: 1ms } } }';
const MIB = 1024 * 1024;

it.each([
  { bytes: 200_000, limit: '', attempts: '2', told: undefined, counted: 0 },
  { bytes: 200_000, limit: ', replayLimit: 100KB', attempts: '1', told: 'skipped', counted: 1 },
])(
  '$bytes bytes$limit: attempts $attempts, header $told',
  async ({ bytes, limit, attempts, told, counted }) => {
    await using on = await stage([closeBeforeResponse(), respond()], { api: `${api}${limit}` });
    const response = await on.send({ method: 'POST', body: Buffer.alloc(bytes) });
    expect(response.status).toBe(told === undefined ? 200 : 502);
    expect(response.header('x-outrigger-attempts')).toBe(attempts);
    expect(response.header('x-outrigger-replay')).toBe(told);
    await on.sidecar.waitForEvent('exchange-ended');
    expect(await on.sidecar.metric('outrigger_replay_skipped_total', { upstream: 'api' })).toBe(counted);
  },
);

it('the limit is 10 MiB unless it is set', async () => {
  await using on = await stage([respond()]);
  expect(on.sidecar.sidecar.supervisor.config.upstreams['api']?.replayLimit).toBe(10 * MIB);
});
