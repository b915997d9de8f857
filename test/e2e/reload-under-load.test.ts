/**
 * A reload that adds, removes and reweights endpoints while calls are under way: none of them is dropped, streams at
 * endpoints that go come to their end, and what did not change keeps all that it has: connections, open breakers,
 * latencies, ejections, operators' decisions, calls under way.
 */
import { describe, expect, it } from 'vitest';
import { ownSidecar } from '../incidents/own-sidecar.ts';
import type { OwnSidecar } from '../incidents/own-sidecar.ts';
import type { Member } from '../../src/endpoints/member.ts';
import { rawClient } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import type { ScriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import type { ControlledStream } from '../support/steps/controlled-stream.ts';

interface Listed {
  readonly at: ScriptedUpstream;
  readonly weight?: number;
}

const POLICIES = 'policies: { retry: false, circuitBreaker: { consecutiveFailures: 2 } }';

const listing = (all: readonly Listed[], settings = POLICIES): string => {
  const endpoints = all.map(({ at, weight = 1 }) => `{ url: "${at.origin}", weight: ${weight} }`);
  return `upstreams: { api: { route: /api, endpoints: [${endpoints.join(', ')}], ${settings} } }\n`;
};

const memberOf = (own: OwnSidecar, { origin }: ScriptedUpstream): Member =>
  own.sidecar.supervisor.runtime.upstreams.get('api')?.endpoints.members.find(({ name }) => name === origin)
    ?.member as Member;

/** Callers that call again and again until they are told to stop; every answer is kept. */
class Callers {
  readonly statuses: number[] = [];
  readonly bodies: string[] = [];
  readonly #all: Promise<void>[];
  #isOver = false;

  constructor(own: OwnSidecar, count: number) {
    this.#all = Array.from({ length: count }, () => this.#call(own));
  }

  /** Until so many further calls have been answered. */
  async until(further: number): Promise<void> {
    const wanted = this.statuses.length + further;
    await expect
      .poll(() => this.statuses.length, { interval: 2, timeout: 10_000 })
      .toBeGreaterThanOrEqual(wanted);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#all);
  }

  async #call(own: OwnSidecar): Promise<void> {
    await using client = await rawClient(own.port);
    while (!this.#isOver) {
      const response = await client.request({ path: '/api/x' });
      this.bodies.push(await response.text());
      this.statuses.push(response.status);
    }
  }
}

const answering = (name: string): Promise<ScriptedUpstream> => scriptedUpstream([respond({ body: name })]);

describe('reloads of the list of endpoints, under load', () => {
  it('drop nothing, and leave the connections of those that stay alone', async () => {
    await using a = await answering('a');
    await using b = await answering('b');
    await using c = await answering('c');
    await using own = await ownSidecar(listing([{ at: a }, { at: b }]));
    const callers = new Callers(own, 8);
    await callers.until(40);
    const before = a.connections.opened;
    const lists: Listed[][] = [
      [{ at: a }, { at: b }, { at: c }],
      [{ at: a, weight: 3 }, { at: b }, { at: c }],
      [{ at: a, weight: 3 }, { at: c }],
      [{ at: c }, { at: a, weight: 1 }],
      [{ at: b, weight: 2 }, { at: a }, { at: c }],
    ];
    for (let round = 0; round < 2; round++)
      for (const list of lists) {
        expect(await own.edit(listing(list))).toMatchObject({ applied: true });
        await callers.until(20);
      }
    await callers.stop();
    expect(new Set(callers.statuses)).toEqual(new Set([200]));
    expect(new Set(callers.bodies)).toEqual(new Set(['a', 'b', 'c']));
    // Eight callers are eight connections at most; none was made anew for a reload.
    expect(before).toBeLessThanOrEqual(8);
    expect(a.connections.opened).toBeLessThanOrEqual(8);
    expect(a.connections.open).toBe(a.connections.opened);
    expect([a, b, c].flatMap(({ aborts }) => aborts)).toEqual([]);
    await b.waitForIdle();
  });

  it('let streams at endpoints that go come to their end, and then let go of them', async () => {
    const streams: ControlledStream[] = [controlledStream(), controlledStream()];
    await using going = await scriptedUpstream(streams);
    await using staying = await answering('staying');
    await using own = await ownSidecar(listing([{ at: going }]));
    const answers = streams.map(() => own.send());
    await Promise.all(streams.map((stream) => stream.waitForRequest()));
    for (const stream of streams) {
      await stream.head();
      await stream.write('data: 1\n\n');
    }
    expect(await own.edit(listing([{ at: staying }]))).toMatchObject({ applied: true });
    expect(await (await own.send()).text()).toBe('staying');
    for (const stream of streams) {
      await stream.write('data: 2\n\n');
      await stream.end();
    }
    for (const answer of answers) expect(await (await answer).text()).toBe('data: 1\n\ndata: 2\n\n');
    await going.waitForOpenConnections(0);
    expect(going.aborts).toEqual([]);
  });

  it('reset nothing of what stays: calls under way, latency, failures, ejection, an operator’s hand, the breaker', async () => {
    const stream = controlledStream();
    await using a = await scriptedUpstream([respond({ status: 503 }), stream]);
    await using b = await answering('b');
    await using c = await answering('c');
    await using own = await ownSidecar(listing([{ at: a }]));
    await (await own.send()).text();
    const streaming = own.send();
    await stream.waitForRequest();
    await stream.head();
    await own.edit(listing([{ at: a }, { at: b }]));
    const [memberA, memberB] = [memberOf(own, a), memberOf(own, b)];
    memberA.observe(4_000, false, own.clock.now());
    memberB.setEjected(true);
    memberB.observe(1, true, own.clock.now());
    memberA.operate('draining');
    const breaker = (): unknown =>
      own.sidecar.supervisor.runtime.upstreams.get('api')?.policies.get('circuit-breaker')?.snapshot();
    const counted = breaker();
    const opened = a.connections.opened;
    expect(counted).toMatchObject({ failures: 1 });
    for (const list of [
      [{ at: a, weight: 5 }, { at: b, weight: 2 }, { at: c }],
      [{ at: b, weight: 2 }, { at: a }],
      [{ at: c }, { at: a }, { at: b }],
    ]) {
      expect(await own.edit(listing(list))).toMatchObject({ applied: true });
      expect(memberOf(own, a)).toBe(memberA);
      expect(memberOf(own, b)).toBe(memberB);
      expect([memberA.active, memberA.total, memberA.state]).toEqual([1, 2, 'draining']);
      expect(memberA.latencyMs(own.clock.now())).toBe(4_000);
      expect([memberB.state, memberB.strain(own.clock.now())]).toEqual(['ejected', 1]);
      expect(breaker()).toEqual(counted);
      expect(a.connections.opened).toBe(opened);
    }
    await stream.end();
    await (await streaming).text();
    await expect.poll(() => memberA.active, { interval: 2 }).toBe(0);
  });

  it('forget what goes: should it come back, it is as good as new, and reached by new connections', async () => {
    await using a = await answering('a');
    await using b = await answering('b');
    await using own = await ownSidecar(listing([{ at: a }, { at: b }]));
    for (let n = 0; n < 4; n++) await (await own.send()).text();
    memberOf(own, a).setEjected(true);
    await own.edit(listing([{ at: b }]));
    await a.waitForOpenConnections(0);
    await own.edit(listing([{ at: a }, { at: b }]));
    expect([memberOf(own, a).state, memberOf(own, a).total]).toEqual(['available', 0]);
    const bodies = new Set<string>();
    for (let n = 0; n < 4; n++) bodies.add(await (await own.send()).text());
    expect(bodies).toEqual(new Set(['a', 'b']));
  });
});
