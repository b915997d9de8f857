import { expect, test } from 'vitest';
import { adminWith, IDLE_UPSTREAM } from './fixture.ts';
import type { AdminFixture } from './fixture.ts';

interface Page {
  readonly events: readonly { readonly id: number; readonly event: string; readonly time: string }[];
  readonly lastId: number;
}

const page = async (admin: AdminFixture, query = ''): Promise<Page> =>
  (await admin.get(`/admin/events${query}`)).json as unknown as Page;

/** Makes `count` entries. */
async function toggle(admin: AdminFixture, count: number): Promise<void> {
  for (let n = 0; n < count; n++)
    await admin.post('/admin/upstreams/models/breaker', { json: { state: n % 2 === 0 ? 'open' : 'auto' } });
}

test('/admin/events is the journal, oldest first, with the id to go on from', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  await toggle(admin, 3);
  const { events, lastId } = await page(admin);
  const ids = events.map(({ id }) => id);
  expect(ids).toEqual(ids.toSorted((a, b) => a - b));
  expect(lastId).toBe(ids.at(-1));
  expect(events.slice(-3).map(({ event }) => event)).toEqual(Array(3).fill('breaker-changed'));
});

test('pages join without a gap and without a repetition', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  await toggle(admin, 5);
  const whole = await page(admin);
  const joined: number[] = [];
  for (let after = 0; ;) {
    const { events, lastId } = await page(admin, `?after=${after}&limit=2`);
    if (events.length === 0) break;
    joined.push(...events.map(({ id }) => id));
    after = lastId;
  }
  expect(joined).toEqual(whole.events.map(({ id }) => id));
});

test('when there is nothing new, the id to go on from stays', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  await toggle(admin, 1);
  const { lastId } = await page(admin);
  expect(await page(admin, `?after=${lastId}`)).toEqual({ events: [], lastId });
});

test('an id from before a restart starts over instead of waiting for its turn', async () => {
  await using admin = await adminWith(IDLE_UPSTREAM);
  await toggle(admin, 2);
  expect(await page(admin, '?after=4711')).toEqual(await page(admin));
});

test.each(['after=-1', 'after=x', 'after=', 'limit=0', 'limit=1001', 'limit=1.5', 'since=3'])(
  '?%s is refused',
  async (query) => {
    await using admin = await adminWith(IDLE_UPSTREAM);
    const answer = await admin.get(`/admin/events?${query}`);
    expect([answer.status, answer.json['code']]).toEqual([400, 'invalid_request']);
  },
);
