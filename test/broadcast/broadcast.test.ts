import { describe, expect, it } from 'vitest';
import { Broadcast } from '../../src/broadcast/broadcast.ts';
import type { Instance } from '../../src/broadcast/result.ts';
import { BytesBody } from '../../src/core/bytes-body.ts';
import type { EndpointState } from '../../src/core/endpoint.ts';
import type { Exchange } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { broadcastSchema } from '../../src/schema/broadcast.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { CollectingSink, ControlledBody, EventLog, Script, after } from '../support/policy-kit.ts';
import {
  attemptAt,
  bytesBody,
  exchangeAt,
  fail,
  refuse,
  respond,
  silence,
  textOf,
} from '../support/policy-kit.ts';
import type { ExchangeParts, Step } from '../support/policy-kit.ts';

interface Collected {
  readonly instances: readonly Record<string, unknown>[];
  readonly leftOut: readonly unknown[];
  readonly summary: Record<string, unknown>;
}

const text = (body: string, status = 200): Outcome =>
  respond(status, {
    headers: ['content-type', 'text/plain'],
    body: new BytesBody(Buffer.from(body)),
  });

class Rig {
  readonly clock = new FakeClock();
  readonly events = new EventLog();
  readonly wire: Script<Exchange>;
  readonly exchange: Exchange;
  /** Shared by those that the test starts one after the other. */
  underWay = { count: 0 };
  outcome: Outcome | undefined;
  readonly #states: readonly EndpointState[];
  readonly #options: object;

  constructor(
    steps: (clock: FakeClock) => readonly Step<Exchange>[],
    {
      states,
      options = {},
      ...parts
    }: ExchangeParts & { states?: readonly EndpointState[]; options?: object } = {},
  ) {
    this.wire = new Script(this.clock, ...steps(this.clock));
    this.exchange = exchangeAt(this.clock, parts);
    this.#states = states ?? ['available', 'available', 'available'];
    this.#options = options;
  }

  async start(): Promise<this> {
    const broadcast = new Broadcast(broadcastSchema.parse(this.#options), {
      clock: this.clock,
      emit: this.events.emit,
      underWay: this.underWay,
    });
    const instances: Instance[] = this.#states.map((state, i) => ({ endpoint: 'abcdefgh'.charAt(i), state }));
    const audience = { instances: () => instances, send: this.wire.next };
    void broadcast.run(this.exchange, this.exchange.cancellation, audience).then((outcome) => {
      this.outcome = outcome;
    });
    await settle();
    return this;
  }

  get collected(): Collected {
    if (!this.outcome) throw new Error('there is no outcome yet');
    return JSON.parse(textOf(this.outcome)) as Collected;
  }

  get status(): number | undefined {
    return this.outcome?.kind === 'response' ? this.outcome.head.status : undefined;
  }
}

describe('a broadcast', () => {
  it('asks everybody, each by its name, and tells all in their order', async () => {
    const rig = await new Rig((clock) => [after(clock, 20, text('1')), text('2'), text('3')]).start();
    expect(rig.outcome).toBeUndefined();
    await rig.clock.advance(20);
    expect(rig.status).toBe(200);
    expect(rig.wire.calls.map(({ scope }) => scope.pinnedTo)).toEqual(['a', 'b', 'c']);
    expect(rig.collected).toMatchObject({
      instances: [
        { endpoint: 'a', status: 200, durationMs: 20, body: '1' },
        { endpoint: 'b', status: 200, durationMs: 0, body: '2' },
        { endpoint: 'c', status: 200, durationMs: 0, body: '3' },
      ],
      leftOut: [],
      summary: { total: 3, ok: 3, failed: 0, leftOut: 0, durationMs: 20 },
    });
  });

  it.each([
    [
      207,
      'partial',
      [text('1'), fail('connection_refused', { detail: 'nobody there' }), refuse('circuit_open')],
    ],
    [502, 'failed', [text('', 500), fail(), refuse()]],
    [200, 'ok', [text('1')]],
  ] as const)('is answered with %i when it went as %s', async (status, result, steps) => {
    const rig = await new Rig(() => steps).start();
    expect(rig.status).toBe(status);
    expect(rig.events.of('broadcast-ended')).toMatchObject([{ upstream: 'main', result }]);
  });

  it('tells why somebody has not answered', async () => {
    const rig = await new Rig(() => [
      text('1'),
      fail('connection_refused', { detail: 'nobody there' }),
      refuse('circuit_open'),
    ]).start();
    expect(rig.collected.instances.map(({ error }) => error)).toEqual([
      undefined,
      { reason: 'connection_refused', detail: 'nobody there', title: 'The upstream refused the connection.' },
      { reason: 'circuit_open', title: 'The circuit breaker of this upstream is open.' },
    ]);
  });

  it('leaves out who is not given calls, and says so', async () => {
    const states = [
      'draining',
      'degraded',
      'disabled',
      'unhealthy',
      'ejected',
      'starting',
      'available',
    ] as const;
    const rig = await new Rig(() => [text('1')], { states }).start();
    expect(rig.status).toBe(200);
    expect(rig.collected.instances.map(({ endpoint }) => endpoint)).toEqual(['b', 'g']);
    expect(rig.collected.leftOut).toEqual(
      [
        ['a', 'draining'],
        ['c', 'disabled'],
        ['d', 'unhealthy'],
        ['e', 'ejected'],
        ['f', 'starting'],
      ].map(([endpoint, why]) => ({ endpoint, why })),
    );
  });

  it('asks no more than it may, and is not whole then', async () => {
    const rig = await new Rig(() => [text('1')], { options: { maxInstances: 2 } }).start();
    expect(rig.status).toBe(207);
    expect(rig.wire.calls).toHaveLength(2);
    expect(rig.collected.leftOut).toEqual([{ endpoint: 'c', why: 'limit' }]);
  });

  it('puts all attempts on the trail of the request, each as soon as it is made', async () => {
    const rig = new Rig(() => [
      (scope) => {
        for (let n = 0; n < 2; n++) attemptAt(rig.clock, scope);
        return text('1');
      },
    ]);
    await rig.start();
    expect(rig.exchange.attempts.map(({ number }) => number)).toEqual([1, 2, 1, 2, 1, 2]);
    expect(rig.wire.calls.map(({ scope }) => scope.attempts.length)).toEqual([2, 2, 2]);
  });
});

describe('bounds', () => {
  it('keep calls under way at a time to what is allowed', async () => {
    let [active, peak] = [0, 0];
    const rig = new Rig(
      (clock) => [
        async (scope, cancellation) => {
          peak = Math.max(peak, ++active);
          const outcome = await after(clock, 10, text('1'))(scope, cancellation);
          active -= 1;
          return outcome;
        },
      ],
      { options: { maxConcurrent: 2 }, states: Array.from({ length: 5 }, () => 'available' as const) },
    );
    await rig.start();
    await rig.clock.advance(30);
    expect([rig.wire.calls.length, peak]).toEqual([5, 2]);
    expect(rig.wire.calls.map(({ at }) => at - 1_000)).toEqual([0, 0, 10, 10, 20]);
    expect(rig.status).toBe(200);
  });

  it('end it all at the deadline: what has come is told, who was not asked is told to be so', async () => {
    const options = { deadline: '1s', maxConcurrent: 2 };
    const rig = await new Rig(() => [text('quick'), silence], { options }).start();
    await rig.clock.advance(1_000);
    expect(rig.status).toBe(207);
    expect(rig.wire.calls).toHaveLength(3);
    expect(rig.collected.instances).toMatchObject([
      { body: 'quick' },
      { error: { reason: 'deadline_exceeded' }, durationMs: 1_000 },
      { error: { reason: 'deadline_exceeded' }, durationMs: 1_000 },
    ]);
    const late = await new Rig(() => [silence], { options: { deadline: '1s', maxConcurrent: 1 } }).start();
    await late.clock.advance(1_000);
    expect(late.wire.calls).toHaveLength(1);
    expect(late.status).toBe(502);
    expect(late.collected.instances[2]).toMatchObject({
      error: { reason: 'deadline_exceeded', detail: 'it was not asked' },
    });
    expect(late.clock.pendingTimers).toBe(0);
  });

  it('keep what has come of an answer when the time is over in its middle', async () => {
    const body = new ControlledBody();
    const rig = await new Rig(() => [respond(200, { body }), text('2'), text('3')], {
      options: { deadline: '1s' },
    }).start();
    await rig.clock.advance(1_000);
    expect(rig.collected.instances[0]).toMatchObject({
      status: 200,
      truncated: true,
      error: { reason: 'deadline_exceeded' },
    });
  });

  it('are the caller’s where it gives less time', async () => {
    const rig = await new Rig(() => [silence], { callerTimeoutMs: 100 }).start();
    await rig.clock.advance(99);
    expect(rig.status).toBeUndefined();
    await rig.clock.advance(1);
    expect(rig.status).toBe(502);
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('refuse further broadcasts while as many are under way as there may be, until an answer is delivered', async () => {
    const options = { maxBroadcasts: 1 };
    const first = await new Rig((clock) => [after(clock, 10, text('1'))], { options }).start();
    const begin = (
      steps: readonly Step<Exchange>[] = [text('2')],
      parts: ExchangeParts = {},
    ): Promise<Rig> => {
      const rig = new Rig(() => steps, { options, ...parts });
      rig.underWay = first.underWay;
      return rig.start();
    };
    const refused = await begin();
    expect(refused.outcome).toMatchObject({
      kind: 'rejection',
      reason: 'concurrency_limit',
      by: 'broadcast',
    });
    expect(refused.wire.calls).toEqual([]);
    expect(refused.events.of('broadcast-refused')).toMatchObject([{ exchange: refused.exchange }]);
    expect(refused.events.of('broadcast-ended')).toEqual([]);
    await first.clock.advance(10);
    expect((await begin()).outcome).toMatchObject({ kind: 'rejection' });
    expect(first.collected.summary).toMatchObject({ ok: 3 });

    const left = await begin([silence]);
    left.exchange.cancellation.cancel('client-aborted');
    await settle();
    expect((await begin([], { request: { method: 'POST' } })).outcome).toMatchObject({ kind: 'rejection' });
    const last = await begin();
    expect(last.collected.summary).toMatchObject({ ok: 3 });
    expect(first.underWay.count).toBe(0);
  });

  it('cut off what is longer than may be kept, and stop its upstream', async () => {
    const options = { maxBody: '4B' };
    const rig = await new Rig(() => [text('12345'), text('1234'), text('')], { options }).start();
    await settle();
    expect(rig.status).toBe(200);
    expect(rig.collected.instances).toMatchObject([
      { body: '1234', truncated: true },
      { body: '1234', truncated: false },
      { truncated: false },
    ]);
    expect(rig.wire.calls.map(({ cancellation }) => cancellation.reason)).toEqual([
      'superseded',
      undefined,
      undefined,
    ]);
  });
});

describe('a request that cannot go to all', () => {
  const POST = { method: 'POST' } as const;

  it('is one with a method that is not allowed; the answer says which are', async () => {
    const rig = await new Rig(() => [text('1')], { request: POST }).start();
    expect(rig.outcome).toMatchObject({ reason: 'method_not_supported', headers: ['allow', 'GET, HEAD'] });
    expect(rig.wire.calls).toEqual([]);
  });

  it('is one whose body is not kept', async () => {
    const body = { ...bytesBody(Buffer.from('x')), whole: () => Promise.resolve(undefined) };
    const rig = await new Rig(() => [text('1')], {
      request: POST,
      body,
      options: { methods: ['post'] },
    }).start();
    expect(rig.outcome).toMatchObject({ reason: 'request_too_large' });
  });

  it('is one to nobody', async () => {
    const rig = await new Rig(() => [text('1')], { states: ['draining'] }).start();
    expect(rig.outcome).toMatchObject({ reason: 'no_endpoint' });
  });

  it('is one for a tunnel', async () => {
    const rig = await new Rig(() => [text('1')], { request: { upgrade: 'websocket' } }).start();
    expect(rig.outcome).toMatchObject({ reason: 'bad_request' });
  });
});

describe('a client that leaves', () => {
  it('takes all calls with it, and nobody else is asked', async () => {
    const rig = await new Rig(() => [silence], { options: { maxConcurrent: 2 } }).start();
    rig.exchange.cancellation.cancel('client-aborted');
    await settle();
    expect(rig.outcome).toMatchObject({ kind: 'failure', reason: 'client_aborted', requestSent: 'maybe' });
    expect(rig.wire.calls).toHaveLength(2);
    expect(rig.events.of('broadcast-ended')).toMatchObject([{ result: 'abandoned' }]);
    expect(rig.clock.pendingTimers).toBe(0);
    expect(rig.exchange.cancellation.listenerCount).toBe(0);
  });

  it('while its body is on its way, lets nobody be asked', async () => {
    const body = { ...bytesBody(Buffer.from('x')), whole: () => new Promise<undefined>(() => undefined) };
    const rig = await new Rig(() => [text('1')], { body }).start();
    rig.exchange.cancellation.cancel('client-aborted');
    await settle();
    expect(rig.outcome).toMatchObject({ reason: 'client_aborted', requestSent: 'no' });
  });
});

describe('results as they come', () => {
  const streamed = (accept: string): ExchangeParts => ({ request: { headers: ['accept', accept] } });

  function piped(rig: Rig): CollectingSink {
    const sink = new CollectingSink();
    if (rig.outcome?.kind === 'response') rig.outcome.body.pipe(sink);
    return sink;
  }

  it('are lines, the quickest first, and a summary at the end', async () => {
    const rig = await new Rig((clock) => [after(clock, 20, text('1')), text('2'), after(clock, 10, fail())], {
      ...streamed('application/x-ndjson'),
      states: ['available', 'available', 'available', 'draining'],
    }).start();
    expect(rig.status).toBe(200);
    const sink = piped(rig);
    await rig.clock.advance(10);
    const lines = (): Record<string, unknown>[] =>
      sink.text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines()).toMatchObject([
      { type: 'left-out', endpoint: 'd', why: 'draining' },
      { type: 'instance', endpoint: 'b', body: '2' },
      { type: 'instance', endpoint: 'c', error: { reason: 'connection_reset' } },
    ]);
    expect(sink.ended).toBe(false);
    await rig.clock.advance(10);
    expect(lines().slice(3)).toMatchObject([
      { type: 'instance', endpoint: 'a', body: '1' },
      { type: 'summary', total: 3, ok: 2, failed: 1, leftOut: 1, durationMs: 20 },
    ]);
    expect(sink.ended).toBe(true);
    expect(rig.exchange.cancellation.listenerCount).toBe(0);
  });

  it('are events where these are asked for', async () => {
    const rig = await new Rig(() => [text('1')], {
      ...streamed('text/event-stream'),
      states: ['available'],
    }).start();
    const sink = piped(rig);
    expect(sink.text).toMatch(
      /^event: instance\ndata: \{"endpoint":"a".*\}\n\nevent: summary\ndata: \{.*\}\n\n$/,
    );
    expect(rig.wire.calls[0]?.scope.request.headers).not.toContain('text/event-stream');
  });

  it('wait for a client that does not read', async () => {
    const rig = await new Rig(() => [text('1')], streamed('application/x-ndjson')).start();
    const sink = new CollectingSink();
    let writes = 0;
    const slow = { ...sink, write: () => ++writes > 1, end: () => sink.end(), abort: () => undefined };
    if (rig.outcome?.kind !== 'response') throw new Error('expected a response');
    rig.outcome.body.pipe(slow);
    expect([writes, sink.ended]).toEqual([1, false]);
    rig.outcome.body.resume();
    expect([writes, sink.ended]).toEqual([4, true]);
  });

  it('break off with the client, and take all calls with them', async () => {
    const rig = await new Rig(() => [text('1'), silence], streamed('application/x-ndjson')).start();
    const sink = piped(rig);
    rig.exchange.cancellation.cancel('client-aborted');
    await settle();
    expect(sink.aborted).toMatchObject({ end: 'client-aborted', reason: 'client_aborted' });
    expect(rig.wire.calls.slice(1).every(({ cancellation }) => cancellation.cancelled)).toBe(true);
    expect(rig.events.of('broadcast-ended')).toMatchObject([{ result: 'abandoned' }]);
  });

  it('are not wanted any more when nobody takes them', async () => {
    const rig = await new Rig(() => [silence], streamed('application/x-ndjson')).start();
    if (rig.outcome?.kind === 'response') rig.outcome.body.discard();
    await settle();
    expect(rig.wire.calls.every(({ cancellation }) => cancellation.reason === 'superseded')).toBe(true);
    expect(rig.clock.pendingTimers).toBe(0);
  });
});
