/** Which key an attempt gets, and what is learnt from how it ends. */
import { describe, expect, it } from 'vitest';
import type { Attempt, Exchange } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { verdictOf } from '../../src/core/verdict.ts';
import { Credentials, credentials } from '../../src/policies/credentials.ts';
import {
  ControlledBody,
  Script,
  attemptAt,
  exchangeAt,
  fail,
  finish,
  kit,
  refuse,
} from '../support/policy-kit.ts';
import { respond } from '../support/policy-kit.ts';
import type { Kit, Step } from '../support/policy-kit.ts';

/** A stream whose upstream says in the middle that nothing is left to pay with. */
class EndsForQuota extends ControlledBody {
  end(): void {
    this.settleEnd({ end: 'upstream-aborted', bytes: 1, verdict: verdictOf('quota') });
  }
}

class Rig {
  readonly kit: Kit = kit();
  policy: Credentials;

  constructor(options: object = {}) {
    this.policy = this.build({ values: ['sk-first', 'sk-second'], ...options });
  }

  build(options: object, previous?: Credentials): Credentials {
    const policy = credentials.build(credentials.schema.parse(options), this.kit.deps, previous);
    if (!(policy instanceof Credentials)) throw new Error('expected the policy');
    return policy;
  }

  exchange = (): Exchange => exchangeAt(this.kit.clock);

  /** One attempt of the exchange; does what endpoint selection does with its ending. */
  async attempt(
    step: Step<Attempt>,
    exchange = this.exchange(),
  ): Promise<{ outcome: Outcome; key: string | undefined }> {
    const attempt = attemptAt(this.kit.clock, exchange);
    const outcome = await this.policy.run(
      attempt,
      new Script(this.kit.clock, step).next,
      attempt.cancellation,
    );
    if (outcome.kind === 'rejection') exchange.attempts.pop();
    else attempt.judge(outcome);
    if (outcome.kind === 'response') attempt.status = outcome.head.status;
    return { outcome, key: attempt.credential };
  }

  pass = (ms: number): Promise<void> => this.kit.clock.advance(ms);

  get states(): string[] {
    return this.policy.keys.map(({ state }) => state);
  }
}

const quota = (): Outcome => respond(429, { verdict: verdictOf('quota') });

describe('the pool', () => {
  it('uses its keys in turn, over all exchanges', async () => {
    const rig = new Rig();
    const keys = [await rig.attempt(respond()), await rig.attempt(respond()), await rig.attempt(respond())];
    expect(keys.map(({ key }) => key)).toEqual(['key-1', 'key-2', 'key-1']);
  });

  it('gives a further try of the same exchange another key, whatever the first one met', async () => {
    const rig = new Rig();
    const exchange = rig.exchange();
    await rig.attempt(respond(500), exchange);
    await rig.attempt(respond(), rig.exchange());
    expect((await rig.attempt(respond(), exchange)).key).toBe('key-2');
  });

  it('does not take the keys of another upstream on the ladder for its own', async () => {
    const rig = new Rig();
    const other = exchangeAt(rig.kit.clock, { upstream: { name: 'other' } });
    attemptAt(rig.kit.clock, other).credential = 'key-1';
    const { request, body } = other;
    const exchange = other.redirectedTo(rig.exchange().upstream, request, body);
    expect((await rig.attempt(respond(), exchange)).key).toBe('key-1');
  });

  it('lets a throttled key rest, tells of it, and says that another try goes elsewhere', async () => {
    const rig = new Rig();
    const { outcome } = await rig.attempt(respond(429, { headers: ['retry-after', '20'] }));
    expect(outcome).toMatchObject({ otherCredential: true, verdict: { class: 'throttled' } });
    expect(rig.states).toEqual(['cooling', 'ready']);
    expect(rig.kit.events.of('credential-cooling')).toEqual([
      { upstream: 'main', credential: 'key-1', forMs: 20_000, hinted: false },
    ]);
    await rig.pass(20_000);
    await rig.attempt(respond());
    expect(rig.kit.events.of('credential-back')).toEqual([
      { upstream: 'main', credential: 'key-1', after: 'cooling' },
    ]);
  });

  it.each([
    ['auth', () => respond(401)],
    ['quota', quota],
    ['quota', () => fail('upstream_error', { verdict: verdictOf('quota') })],
  ])('takes a key out that met %s, and tells of it', async (cause, make) => {
    const rig = new Rig();
    const { outcome } = await rig.attempt(make());
    expect(outcome).toMatchObject({ otherCredential: true });
    expect(rig.states).toEqual(['out', 'ready']);
    expect(rig.kit.events.of('credential-out')).toEqual([
      { upstream: 'main', credential: 'key-1', cause, forMs: 900_000 },
    ]);
  });

  it('keeps a key out until somebody resets it where no time is to bring it back', async () => {
    const rig = new Rig({ retryOutAfter: false });
    await rig.attempt(respond(401));
    await rig.pass(1_000_000_000);
    const keys = [await rig.attempt(respond()), await rig.attempt(respond())].map(({ key }) => key);
    expect(keys).toEqual(['key-2', 'key-2']);
    expect(rig.policy.snapshot()['keys']).toMatchObject([{ state: 'out', usableInMs: null }, {}]);
    rig.policy.reset('key-1');
    expect(rig.states).toEqual(['ready', 'ready']);
  });

  it.each([
    ['a failure of the network', () => fail('connection_reset')],
    ['an error of the upstream', () => respond(503)],
    ['an error of the client', () => respond(404)],
    ['a refusal below', () => refuse('connection_limit')],
    ['a client that left', () => fail('client_aborted')],
  ])('thinks no worse of a key for %s', async (_, make) => {
    const rig = new Rig();
    const { outcome } = await rig.attempt(make());
    expect(rig.states).toEqual(['ready', 'ready']);
    expect(outcome).not.toHaveProperty('otherCredential');
  });

  it('hears of a quota that ran out in the middle of a stream', async () => {
    const rig = new Rig();
    const body = new EndsForQuota();
    await rig.attempt(respond(200, { body }));
    expect(rig.states).toEqual(['ready', 'ready']);
    body.end();
    expect(rig.states).toEqual(['out', 'ready']);
  });
});

describe('a 402 or 403, which may be about what was asked for', () => {
  it('puts no key out by itself: one bad request could put them all out', async () => {
    const rig = new Rig();
    const exchange = rig.exchange();
    expect((await rig.attempt(respond(403), exchange)).outcome).toMatchObject({ otherCredential: true });
    expect((await rig.attempt(respond(403), exchange)).outcome).not.toHaveProperty('otherCredential');
    expect(rig.states).toEqual(['ready', 'ready']);
  });

  it.each([402, 403])('puts a key out once another is accepted for the same call (%i)', async (status) => {
    const rig = new Rig();
    const exchange = rig.exchange();
    await rig.attempt(respond(status), exchange);
    await rig.pass(5);
    await rig.attempt(respond(200), exchange);
    expect(rig.states).toEqual(['out', 'ready']);
  });
});

describe('where no key can be used', () => {
  it('sends nothing, and says when the first of them can be', async () => {
    const rig = new Rig();
    await rig.attempt(respond(429, { headers: ['retry-after', '20'] }));
    await rig.attempt(respond(429, { headers: ['retry-after', '7'] }));
    await rig.pass(1_000);
    const { outcome, key } = await rig.attempt(respond());
    expect(key).toBeUndefined();
    expect(outcome).toMatchObject({
      kind: 'rejection',
      reason: 'credentials_cooling',
      verdict: { class: 'throttled', retryAfterMs: 6_000 },
      retryAfterMs: 6_000,
    });
    expect(rig.kit.events.of('credential-missing')).toMatchObject([{ reason: 'credentials_cooling' }]);
  });

  it('has the last attempt come back as soon as one can be used, and not before', async () => {
    const rig = new Rig();
    await rig.attempt(respond(429, { headers: ['retry-after', '3'] }));
    const { outcome } = await rig.attempt(respond(429, { headers: ['retry-after', '20'] }));
    expect(outcome).toMatchObject({ verdict: { class: 'throttled', retryAfterMs: 3_000 } });
  });

  it.each([
    ['auth', () => respond(401)],
    ['quota', quota],
  ])('is of the class that put the keys out, so that a ladder is taken (%s)', async (kind, make) => {
    const rig = new Rig();
    await rig.attempt(make());
    await rig.attempt(make());
    const { outcome } = await rig.attempt(respond());
    expect(outcome).toMatchObject({
      kind: 'rejection',
      reason: 'no_credential',
      verdict: { class: kind, result: 'neutral' },
      retryAfterMs: 900_000,
    });
  });

  it('still sends with a lone key: the upstream’s own answer says more than a refusal', async () => {
    const rig = new Rig({ values: undefined, value: 'sk-only' });
    for (const answer of [respond(429), respond(401), quota()]) {
      const { outcome } = await rig.attempt(answer);
      expect(outcome).toBe(answer);
    }
    expect(rig.states).toEqual(['out']);
  });
});

describe('many calls at once', () => {
  it('find a key bad together, and that is one event and one cool-down', async () => {
    const rig = new Rig();
    const exchanges = Array.from({ length: 50 }, rig.exchange);
    const attempts = exchanges.map((exchange) => attemptAt(rig.kit.clock, exchange));
    const answered = attempts.map(
      (attempt) =>
        new Promise<void>((resolve) => {
          const slow: Step<Attempt> = async () => {
            await rig.kit.clock.advance(0);
            return attempt.credential === 'key-1' ? respond(429) : respond(200);
          };
          void rig.policy
            .run(attempt, new Script(rig.kit.clock, slow).next, attempt.cancellation)
            .then((outcome) => (finish(outcome), resolve()));
        }),
    );
    await Promise.all(answered);
    expect(rig.kit.events.names).toEqual(['credential-cooling']);
    expect(rig.policy.keys[0]?.waitMs).toBeLessThanOrEqual(1_100);
  });

  it('try a key again whose time out is over with one of them only', async () => {
    const rig = new Rig();
    await rig.attempt(respond(401));
    await rig.pass(900_000);
    const attempts = Array.from({ length: 20 }, () => attemptAt(rig.kit.clock));
    for (const attempt of attempts)
      void rig.policy.run(attempt, () => new Promise(() => undefined), attempt.cancellation);
    expect(attempts.filter(({ credential }) => credential === 'key-1')).toHaveLength(1);
  });
});

it('a reload keeps what was learnt of the values that stay, whatever else changed', async () => {
  const rig = new Rig();
  await rig.attempt(respond(429, { headers: ['retry-after', '20'] }));
  await rig.attempt(respond(401));
  rig.policy = rig.build(
    { header: 'x-api-key', values: ['sk-first', 'sk-new'], retryOutAfter: '1h' },
    rig.policy,
  );
  expect(rig.states).toEqual(['cooling', 'ready']);
});
