/**
 * A trial request ended in a way that nobody had thought of, kept its place for good, and the circuit stayed half-open
 * until a restart. However a probe ends, and also when it does not, another one gets its turn.
 */
import { expect, it } from 'vitest';
import { rawClient } from '../support/raw-client.ts';
import { scriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { closeBeforeResponse, cutMidBody, resetMidBody } from '../support/steps/cuts.ts';
import { garbage } from '../support/steps/malformed.ts';
import { stall, stallAfterHead } from '../support/steps/silence.ts';
import type { Step } from '../support/upstream/step.ts';
import { apiAt, ownSidecar, type OwnSidecar } from './own-sidecar.ts';

const POLICIES =
  'policies: { retry: false, attemptTimeout: false, deadline: {}, circuitBreaker: { consecutiveFailures: 1 } }';

async function openedAndDue(upstream: ScriptedUpstream): Promise<OwnSidecar> {
  const own = await ownSidecar(apiAt(upstream.origin, POLICIES));
  await own.send();
  await own.clock.advance(20_000);
  return own;
}

/** The probe gets a new connection: one that closes at its reuse would be nobody's failure. */
const scriptWith = (probe: Step): Step[] => [
  respond({ status: 500, headers: { connection: 'close' } }),
  probe,
  respond({ body: 'ok' }),
];

it.each<[string, Step]>([
  ['waits', stall()],
  ['reads a body', stallAfterHead({}, ['partial'])],
])('a probe whose client leaves while it %s makes room at once', async (_, step) => {
  await using upstream = await scriptedUpstream(scriptWith(step));
  await using own = await openedAndDue(upstream);
  await using client = await rawClient(own.port);
  client.request({ path: '/api/x' }).catch(() => undefined);
  await upstream.waitForRequest(2);
  client.destroy();
  await own.until('exchange-ended', 2);
  expect((await own.send()).status).toBe(200);
});

it('a probe whose caller gives too little time makes room, too', async () => {
  await using upstream = await scriptedUpstream(scriptWith(stall()));
  await using own = await openedAndDue(upstream);
  const probe = own.send({ headers: { 'x-request-timeout-ms': '100' } });
  await upstream.waitForRequest(2);
  await own.clock.advance(100);
  expect((await probe).status).toBe(504);
  expect((await own.send()).status).toBe(200);
});

it('a probe that is never answered holds the others up for probeTimeout only', async () => {
  await using upstream = await scriptedUpstream(scriptWith(stall()));
  await using own = await openedAndDue(upstream);
  own.send().catch(() => undefined);
  await upstream.waitForRequest(2);
  await own.clock.advance(9_999);
  expect((await own.send()).header('x-outrigger-code')).toBe('circuit_open');
  await own.clock.advance(1);
  expect((await own.send()).status).toBe(200);
  expect(own.events.of('breaker-changed').at(-1)).toMatchObject({ to: 'closed' });
});

it.each<[string, Step]>([
  ['a connection that closes', closeBeforeResponse()],
  ['nonsense', garbage()],
  ['a body that is cut', cutMidBody()],
  ['a body that is reset', resetMidBody()],
])('a probe that brings %s is followed by another when the time is over', async (_, step) => {
  await using upstream = await scriptedUpstream(scriptWith(step));
  await using own = await openedAndDue(upstream);
  await own.send().catch(() => undefined);
  await own.until('breaker-changed', 3);
  await own.clock.advance(40_000);
  const response = await own.send();
  expect(await response.text()).toBe('ok');
  await own.until('breaker-changed', 5);
  expect(own.events.of('breaker-changed').map(({ to }) => to)).toEqual([
    ...['open', 'half-open', 'open'],
    ...['half-open', 'closed'],
  ]);
});
