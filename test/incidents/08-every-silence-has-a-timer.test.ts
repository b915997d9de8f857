/**
 * An upstream accepted the connection and then said nothing, and no timer covered it. Every phase of an attempt has a
 * timer that ends it without help from the others, and all of them are on unless the operator says otherwise.
 */
import { expect, it } from 'vitest';
import { blackhole, tlsStall } from '../support/dead-ports.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import { silenceOnAccept } from '../support/steps/connections.ts';
import { sse } from '../support/steps/event-stream.ts';
import { stall, stallAfterHead, stallUpload } from '../support/steps/silence.ts';
import type { Step } from '../support/upstream/step.ts';
import { turns } from '../support/turns.ts';
import { apiAt, ownSidecar, type OwnSidecar } from './own-sidecar.ts';

const OFF = { connect: false, firstByte: false, idle: false, after: false } as const;
type Timers = Readonly<Record<keyof typeof OFF, string | false>>;

const only = (timers: Partial<Timers>): string => {
  const { connect, firstByte, idle, after } = { ...OFF, ...timers };
  return `policies: { retry: false, deadline: { after: ${after} }, attemptTimeout: { connect: ${connect}, firstByte: ${firstByte}, idle: ${idle} } }`;
};

const endings = (own: OwnSidecar): unknown[] =>
  own.events.of('exchange-ended').map(({ status, reason }) => [status, reason]);

/** Nothing ends a millisecond before `afterMs`; with it, the exchange ends, and `reason` is why. */
async function expectEnd(
  own: OwnSidecar,
  afterMs: number,
  [status, reason]: [number, string],
): Promise<void> {
  await own.clock.advance(afterMs - 1);
  await turns(5);
  expect(endings(own)).toEqual([]);
  await own.clock.advance(1);
  await own.until('exchange-ended');
  expect(endings(own)).toEqual([[status, reason]]);
  expect(own.sidecar.dataPlane.activeCount).toBe(0);
}

const DEFAULTS = 'policies: { retry: false }';
const unanswered = [
  ['firstByte alone', only({ firstByte: '3s' }), 3_000, 'first_byte_timeout'],
  ['the deadline alone', only({ after: '3s' }), 3_000, 'deadline_exceeded'],
  ['what is on by default', DEFAULTS, 60_000, 'first_byte_timeout'],
] as const;
const silences: readonly [string, Step][] = [
  ['accepts and is silent', silenceOnAccept()],
  ['reads the request and is silent', stall()],
];

it.each(silences.flatMap(([title, step]) => unanswered.map((row) => [title, row[0], step, row] as const)))(
  'an upstream that %s is ended by %s',
  async (...test) => {
    const [, , step, [, policies, afterMs, reason]] = test;
    await using upstream = await scriptedUpstream([step]);
    await using own = await ownSidecar(apiAt(upstream.origin, policies));
    const answer = own.send();
    await upstream.waitForOpenConnections(1);
    await turns(20);
    await expectEnd(own, afterMs, [504, reason]);
    expect((await answer).header('x-outrigger-code')).toBe(reason);
    await upstream.waitForOpenConnections(0);
  },
);

const unconnected = [
  [only({ connect: '3s' }), 3_000, 'connection_timeout'],
  [only({ after: '3s' }), 3_000, 'deadline_exceeded'],
  [DEFAULTS, 5_000, 'connection_timeout'],
] as const;

it('connecting and shaking hands are ended by connect, by the deadline, and by default', async () => {
  await using hole = await blackhole();
  await using silent = await tlsStall();
  for (const origin of [`http://127.0.0.1:${hole.port}`, `https://127.0.0.1:${silent.port}`]) {
    for (const [policies, afterMs, reason] of unconnected) {
      await using own = await ownSidecar(apiAt(origin, policies));
      const answer = own.send();
      await own.until('exchange-started');
      await turns(20);
      await expectEnd(own, afterMs, [504, reason]);
      expect((await answer).header('x-outrigger-code')).toBe(reason);
    }
  }
});

it.each([
  ['idle alone', only({ idle: '3s' }), 3_000, 'write_timeout'],
  ['the deadline alone', only({ after: '3s' }), 3_000, 'deadline_exceeded'],
  ['what is on by default', DEFAULTS, 120_000, 'write_timeout'],
])('an upstream that stops taking the request is ended by %s', async (_, policies, afterMs, reason) => {
  await using upstream = await scriptedUpstream([stallUpload()]);
  await using own = await ownSidecar(apiAt(upstream.origin, policies));
  const answer = own.send({ method: 'POST', body: Buffer.alloc(16_000_000) });
  await upstream.waitForRequestHead();
  await turns(100);
  await expectEnd(own, afterMs, [504, reason]);
  expect((await answer).header('x-outrigger-code')).toBe(reason);
});

it.each([
  ['before its first byte', 'idle alone', stallAfterHead(), only({ idle: '3s' }), 3_000, 'idle_timeout'],
  ['after some bytes', 'idle alone', stallAfterHead({}, ['a']), only({ idle: '3s' }), 3_000, 'idle_timeout'],
  [
    'after some bytes',
    'the deadline alone',
    stallAfterHead({}, ['a']),
    only({ after: '3s' }),
    3_000,
    'deadline_exceeded',
  ],
  ['after some bytes', 'what is on by default', stallAfterHead({}, ['a']), DEFAULTS, 120_000, 'idle_timeout'],
  [
    'that is a stream',
    'what is on by default',
    sse({ events: ['a'], end: 'stall' }),
    DEFAULTS,
    120_000,
    'idle_timeout',
  ],
] as const)('a body that stops %s is ended by %s', async (...row) => {
  const [, , step, policies, afterMs, reason] = row;
  await using upstream = await scriptedUpstream([step]);
  await using own = await ownSidecar(apiAt(upstream.origin, policies));
  const response = await own.send();
  await turns(20);
  await expectEnd(own, afterMs, [200, reason]);
  expect(await response.ended()).toBe('cut');
  await upstream.waitForOpenConnections(0);
});
