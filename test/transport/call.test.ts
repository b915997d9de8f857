import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { Dispatcher } from 'undici';
import { afterAll, describe, expect, it } from 'vitest';
import type { CancelReason } from '../../src/core/cancellation.ts';
import type { Attempt } from '../../src/core/exchange.ts';
import { Call } from '../../src/transport/call.ts';
import { ConnectionWatch } from '../../src/transport/connection-watch.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { CollectingSink, attemptAt } from '../support/policy-kit.ts';

const watch = new ConnectionWatch();
afterAll(() => watch.dispose());

/** As much of the HTTP client's controller as a call uses. */
const controller = (rawHeaders: readonly string[] = []): Dispatcher.DispatchController =>
  ({
    rawHeaders: rawHeaders.map((text) => Buffer.from(text)),
    rawTrailers: null,
    pause: () => undefined,
    resume: () => undefined,
    abort: () => undefined,
  }) as unknown as Dispatcher.DispatchController;

interface Rig {
  readonly clock: FakeClock;
  readonly attempt: Attempt;
  readonly call: Call;
  /** The connection, with what it still has to write. */
  readonly socket: EventEmitter & { writableNeedDrain: boolean };
}

/** A call whose request is being written. */
function started(writableNeedDrain = false): Rig {
  const clock = new FakeClock();
  const attempt = attemptAt(clock);
  const call = new Call(attempt, clock, watch);
  const socket = Object.assign(new EventEmitter(), { writableNeedDrain });
  call.onRequestStart(controller());
  call.onConnection(socket as unknown as Socket, false);
  return { clock, attempt, call, socket };
}

/** The body of an answer whose head has come. */
async function answering({ call }: Rig) {
  const head = controller(['content-length', '10', 'content-type', 'application/json']);
  call.onResponseStart(head, 200, {}, 'OK');
  const outcome = await call.outcome;
  if (outcome.kind !== 'response') throw new Error('expected a response');
  return outcome;
}

describe('a call', () => {
  it('waits for the upstream from when its request was handed to the system', () => {
    const { attempt, call } = started();
    call.onRequestSent();
    expect(attempt.phase).toBe('waiting');
  });

  it('is still sending while the connection has not taken everything', async () => {
    const { attempt, call, clock, socket } = started(true);
    await clock.advance(100);
    call.onRequestSent();
    expect(attempt.phase).toBe('sending');
    await clock.advance(100);
    socket.emit('drain');
    expect(attempt.phase).toBe('waiting');
    expect(attempt.lastActivityAt).toBe(clock.now());
  });

  it('does not go back to waiting when the rest goes out after an early answer', async () => {
    const rig = started(true);
    rig.call.onRequestSent();
    await answering(rig);
    rig.socket.emit('drain');
    expect(rig.attempt.phase).toBe('receiving');
  });

  it.each<[CancelReason, string]>([
    ['client-aborted', 'client-aborted'],
    ['caller-deadline', 'client-aborted'],
    ['deadline', 'timed-out'],
    ['idle-timeout', 'timed-out'],
    ['superseded', 'discarded'],
    ['shutdown', 'discarded'],
  ])('whose body is ended by %s tells of it as %s', async (reason, end) => {
    const rig = started();
    const { body } = await answering(rig);
    rig.attempt.cancellation.cancel(reason);
    body.pipe(new CollectingSink());
    expect(await body.completion).toMatchObject({ end });
  });

  it('does not take the empty chunk after a pause for a sign of life, nor pass it on', async () => {
    const rig = started();
    const { body } = await answering(rig);
    const sink = new CollectingSink();
    body.pipe(sink);
    const before = rig.attempt.lastActivityAt;
    await rig.clock.advance(1_000);
    rig.call.onResponseData(controller(), Buffer.alloc(0));
    expect(sink.chunks).toEqual([]);
    expect(rig.attempt.lastActivityAt).toBe(before);
    rig.call.onResponseData(controller(), Buffer.from('data'));
    expect(sink.text).toBe('data');
    expect(rig.attempt.lastActivityAt).toBe(rig.clock.now());
  });

  it('says which attempt brought the answer, and which one failed', async () => {
    const good = started();
    expect(await answering(good)).toMatchObject({ attempt: 1 });
    const bad = started();
    bad.call.onResponseError(controller(), new Error('read ECONNRESET'));
    expect(await bad.call.outcome).toMatchObject({ kind: 'failure', attempt: 1 });
  });
});
