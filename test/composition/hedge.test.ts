import { describe, expect, it } from 'vitest';
import type { Attempt } from '../../src/core/exchange.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { reasonOfCancel } from '../../src/core/reasons.ts';
import { openai } from '../../src/dialects/openai.ts';
import { generic } from '../../src/dialects/generic.ts';
import { requestsLeft } from '../policies/pacing-rig.ts';
import { settle } from '../support/fake-clock.ts';
import { CollectingSink, after, bodyOf, bytesBody, fail, finish, respond } from '../support/policy-kit.ts';
import type { Step } from '../support/policy-kit.ts';
import { Source } from '../streams/watch-rig.ts';
import { PipelineRig, STREAM, answers, stalls } from './pipeline-rig.ts';

const HEDGE = { after: '800ms', budget: { floor: 100 } } as const;
const AT_ONCE = { initial: '0s', max: '0s' } as const;

const slowly =
  (rig: PipelineRig, ms: number, outcome: Outcome) =>
  (attempt: Attempt, cancellation: Attempt['cancellation']): Promise<Outcome> => {
    attempt.phase = 'waiting';
    return after(rig.clock, ms, outcome)(attempt, cancellation);
  };

const reasonsOf = (attempts: readonly Attempt[]): unknown[] =>
  attempts.map(({ endpoint, status, reason }) => `${endpoint.name.at(12)} ${status ?? reason}`);

describe('retry -> hedge', () => {
  it('a race is one try: both fail, then both try again, elsewhere than before', async () => {
    const rig = new PipelineRig();
    const steps: Step<Attempt>[] = [
      slowly(rig, 1_000, respond(503)),
      slowly(rig, 500, fail()),
      slowly(rig, 1_000, respond(502)),
      slowly(rig, 100, respond(200)),
    ];
    rig.upstream('main', { retry: { maxRetries: 1, backoff: AT_ONCE }, hedge: HEDGE }, ...steps);
    const { exchange, outcome } = rig.start();
    await rig.clock.advance(1_300);
    expect(rig.events.of('retry-scheduled')).toMatchObject([{ cause: 'transient' }]);
    await rig.clock.advance(10_000);
    expect(outcome()).toMatchObject({ head: { status: 200 } });
    expect(rig.attempts).toEqual(['main@0', 'main@800', 'main@1300', 'main@2100']);
    expect(exchange.attempts.map(({ spare }) => spare)).toEqual([false, true, false, true]);
    expect(exchange.attempts[3]?.endpoint).not.toBe(exchange.attempts[2]?.endpoint);
    expect(rig.events.of('retry-refused')).toEqual([]);
  });

  it('a spare has no backoff of the retry that it stands beside, nor its wish for a fresh connection', async () => {
    const rig = new PipelineRig();
    const backoff = { kind: 'constant', initial: '1s', jitter: 'none' } as const;
    const policies = { retry: { backoff }, hedge: HEDGE };
    rig.upstream('main', policies, fail('connection_reset'), stalls('waiting'), answers());
    const { exchange } = rig.start();
    await rig.clock.advance(2_000);
    expect(exchange.attempts.map(({ backoffMs }) => backoffMs)).toEqual([0, 1_000, 0]);
    const stale = new PipelineRig();
    const step = fail('connection_reset', { staleConnection: true });
    stale.upstream('main', { retry: {}, hedge: HEDGE }, step, stalls('waiting'), answers());
    const second = stale.start().exchange;
    await stale.clock.advance(2_000);
    expect(second.attempts.map(({ freshConnection }) => freshConnection)).toEqual([false, true, false]);
  });

  it('what is turned away for rate is retried after its time, as told by the answer that counts', async () => {
    const rig = new PipelineRig();
    const throttled = respond(429, { headers: ['retry-after', '5'] });
    rig.upstream(
      'main',
      { retry: { maxRetries: 1 }, hedge: HEDGE },
      slowly(rig, 900, fail()),
      slowly(rig, 200, throttled),
      answers(),
    );
    const { outcome } = rig.start();
    await rig.clock.advance(10_000);
    expect(rig.attempts).toEqual(['main@0', 'main@800', 'main@6000']);
    expect(bodyOf(throttled).discards).toBe(1);
    expect(outcome()).toMatchObject({ head: { status: 200 } });
  });
});

describe('hedge -> circuit-breaker', () => {
  it('the loser says nothing of its upstream’s health, the winner does', async () => {
    const rig = new PipelineRig();
    const policies = { hedge: HEDGE, circuitBreaker: { consecutiveFailures: 1 } };
    rig.upstream('main', policies, stalls('waiting'), slowly(rig, 10, respond()));
    const { outcome, exchange } = rig.start();
    await rig.clock.advance(1_000);
    finish(outcome() as Outcome);
    expect(reasonsOf(exchange.attempts)).toEqual(['1 superseded', '2 200']);
    expect(rig.breakerOf('main').state).toBe('closed');
    expect(rig.breakerOf('main').snapshot()).toMatchObject({ openings: 0 });
  });

  it('two that fail are two failures', async () => {
    const rig = new PipelineRig();
    const policies = { hedge: HEDGE, circuitBreaker: { consecutiveFailures: 2 } };
    rig.upstream('main', policies, slowly(rig, 1_000, fail()), slowly(rig, 100, fail()));
    rig.start();
    await rig.clock.advance(2_000);
    expect(rig.breakerOf('main').state).toBe('open');
  });

  it('no spare beside a probe, nor past a breaker that opened, was isolated or is degraded; nobody hears of a refusal', async () => {
    const rig = new PipelineRig();
    const policies = { hedge: HEDGE, circuitBreaker: { consecutiveFailures: 1, probes: 3 } };
    const main = rig.upstream('main', policies, slowly(rig, 1, fail()), slowly(rig, 5_000, respond()));
    rig.start();
    await rig.clock.advance(20_000);
    const probe = rig.start();
    await rig.clock.advance(5_000);
    expect(probe.exchange.attempts).toHaveLength(1);
    expect(rig.breakerOf('main').state).toBe('half-open');
    rig.breakerOf('main').setOverride('closed');
    const late = rig.start();
    await rig.clock.advance(500);
    rig.breakerOf('main').setOverride('open');
    await rig.clock.advance(5_000);
    expect(late.exchange.attempts).toHaveLength(1);
    expect(late.outcome()).toMatchObject({ head: { status: 200 } });
    expect(rig.events.of('breaker-refused')).toEqual([]);
    expect(rig.events.of('hedge-refused').map(({ why }) => why)).toEqual(['circuit_open', 'circuit_open']);
    expect(main.policies.get('hedge')?.snapshot()).toMatchObject({ budgetRemaining: 100 });
    rig.breakerOf('main').setOverride('auto');
    const spared = rig.start();
    await rig.clock.advance(5_000);
    expect(spared.exchange.attempts).toHaveLength(2);
  });
});

describe('hedge -> pacing', () => {
  it('a wait for room is not slowness: the delay counts from when the attempt begins', async () => {
    const rig = new PipelineRig();
    const policies = { hedge: HEDGE, pacing: { spread: '0s' } };
    rig.upstream('main', policies, answers(200, requestsLeft(0, '20s')), stalls('waiting'), answers());
    finish((await started(rig)).outcome() as Outcome);
    const { outcome } = rig.start();
    await rig.clock.advance(20_799);
    expect(rig.attempts).toEqual(['main@0', 'main@20000']);
    await rig.clock.advance(1);
    expect(rig.attempts).toEqual(['main@0', 'main@20000', 'main@20800']);
    expect(outcome()).toMatchObject({ head: { status: 200 } });
  });

  it('a spare never stands in the line, and takes no room from those who do', async () => {
    const rig = new PipelineRig();
    const policies = { hedge: HEDGE, pacing: { spread: '0s' } };
    const slow = slowly(rig, 5_000, respond());
    const main = rig.upstream('main', policies, answers(200, requestsLeft(1, '20s')), slow, answers());
    finish((await started(rig)).outcome() as Outcome);
    const { exchange, outcome } = rig.start();
    await rig.clock.advance(5_000);
    expect(exchange.attempts).toHaveLength(1);
    expect(outcome()).toMatchObject({ head: { status: 200 } });
    expect(main.policies.get('pacing')?.snapshot()).toMatchObject({ queued: 0 });
    expect(rig.events.of('hedge-refused')).toMatchObject([{ why: 'paced' }]);
    expect(rig.events.of('pacing-refused')).toEqual([]);
  });

  it('what each of the two was told is learnt, also of the one that lost', async () => {
    const rig = new PipelineRig();
    const policies = { hedge: HEDGE, pacing: {} };
    const told = respond(429, { headers: requestsLeft(0, '20s') });
    const main = rig.upstream('main', policies, slowly(rig, 2_000, respond()), slowly(rig, 100, told));
    rig.start();
    await rig.clock.advance(2_000);
    expect(main.policies.get('pacing')?.snapshot()).toMatchObject({ limits: [{ remaining: 0 }] });
  });
});

async function started(rig: PipelineRig): Promise<ReturnType<PipelineRig['start']>> {
  const call = rig.start();
  await settle();
  return call;
}

const event = (content: string): Buffer =>
  Buffer.from(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`);
const PREAMBLE = Buffer.from(
  `data: ${JSON.stringify({ choices: [{ index: 0, delta: { role: 'assistant' } }] })}\n\n`,
);
const CHAT = {
  request: { method: 'POST', target: '/v1/chat/completions' },
  upstream: { dialect: openai, idempotent: 'compute' },
  body: bytesBody(Buffer.from('{"model":"m","messages":[],"stream":true}')),
} as const;

/** A stream of which the head comes at once and the rest as the test says. */
function streaming(source: Source): Step<Attempt> {
  return (attempt, cancellation) => {
    attempt.phase = 'receiving';
    cancellation.onCancel((why) => source.cut('discarded', reasonOfCancel(why)));
    return respond(200, { headers: STREAM, body: source, attempt: attempt.number });
  };
}

describe('hedge -> commit-gate', () => {
  it('the first to say its first word wins, not the first to send a head or a preamble', async () => {
    const rig = new PipelineRig();
    const [first, spare] = [new Source(), new Source()];
    rig.upstream('main', { hedge: HEDGE, commitGate: {} }, streaming(first), streaming(spare));
    const { exchange, outcome } = rig.start(CHAT);
    await settle();
    first.write(PREAMBLE);
    await rig.clock.advance(800);
    expect(exchange.attempts).toHaveLength(2);
    spare.write(PREAMBLE);
    await settle();
    expect(outcome()).toBeUndefined();
    spare.write(event('Hello'));
    await settle();
    expect(outcome()).toMatchObject({ kind: 'response', attempt: 2 });
    expect(exchange.attempts[0]).toMatchObject({ reason: 'superseded', wasted: 'discarded' });
    expect(exchange.attempts[0]?.cancellation.reason).toBe('superseded');
    // It has begun: nothing can replace it any more, however long it is silent.
    await rig.clock.advance(60_000);
    expect(exchange.attempts).toHaveLength(2);
    const sink = new CollectingSink();
    (outcome() as Outcome & { kind: 'response' }).body.pipe(sink);
    spare.write(event(' you'));
    expect(sink.text).toBe([PREAMBLE, event('Hello'), event(' you')].join(''));
    expect(rig.events.of('answer-read').map(({ attempt }) => attempt.wasted)).toEqual(['discarded']);
    expect(rig.clock.pendingTimers).toBe(0);
  });

  it('a stream that has said its first word in time is never raced, also when it falls silent', async () => {
    const rig = new PipelineRig();
    const first = new Source();
    rig.upstream('main', { hedge: HEDGE, commitGate: {} }, streaming(first));
    const { exchange, outcome } = rig.start(CHAT);
    await settle();
    first.write(event('Hi'));
    await rig.clock.advance(60_000);
    expect(exchange.attempts).toHaveLength(1);
    expect(outcome()).toMatchObject({ attempt: 1 });
    expect(rig.clock.pendingTimers).toBe(0);
  });
});

describe('hedge -> resume', () => {
  it('the stream that won is the one that is continued, and what lost is not', async () => {
    const rig = new PipelineRig();
    const [spare, rest] = [new Source(), new Source()];
    const dialect = { ...generic, resumes: () => true };
    rig.upstream(
      'main',
      { hedge: HEDGE, resume: { tries: 1 } },
      stalls('waiting'),
      streaming(spare),
      streaming(rest),
    );
    const { exchange, outcome } = rig.start({ upstream: { dialect } });
    await rig.clock.advance(800);
    const sink = new CollectingSink();
    (outcome() as Outcome & { kind: 'response' }).body.pipe(sink);
    spare.write(event('one'));
    const [, second] = exchange.attempts;
    if (second) second.continuation = { request: { ...exchange.request, target: '/rest' } };
    spare.cut();
    await rig.clock.advance(0);
    rest.write(event('two'));
    rest.end();
    await settle();
    expect(sink.text).toBe([event('one'), event('two')].join(''));
    expect(exchange.attempts.map(({ endpoint }) => endpoint.name.at(12))).toEqual(['1', '2', '2']);
    expect(exchange.attempts.map(({ spare: isSpare }) => isSpare)).toEqual([false, true, false]);
    expect(exchange.attempts[0]).toMatchObject({ reason: 'superseded' });
  });
});

describe('deadline -> hedge', () => {
  it('cuts both off, and no spare begins where too little time is left', async () => {
    const rig = new PipelineRig();
    rig.upstream('main', { deadline: { after: '2s' }, hedge: { ...HEDGE, maxSpares: 5 } }, stalls('waiting'));
    const { outcome, exchange } = rig.start();
    await rig.clock.advance(2_000);
    expect(rig.attempts).toEqual(['main@0', 'main@800']);
    expect(rig.events.of('hedge-refused')).toMatchObject([{ why: 'deadline' }]);
    expect(outcome()).toMatchObject({ kind: 'failure', reason: 'deadline_exceeded' });
    expect(exchange.attempts.map(({ cancellation }) => cancellation.reason)).toEqual([
      'deadline',
      'deadline',
    ]);
    expect(rig.clock.pendingTimers).toBe(0);
  });
});

describe('fallback -> hedge', () => {
  it('the ladder is climbed when the whole race is lost, and its steps have races of their own', async () => {
    const rig = new PipelineRig();
    const policies = { fallback: { steps: [{ upstream: 'other' }] }, hedge: HEDGE };
    rig.upstream('main', policies, slowly(rig, 1_000, fail()), slowly(rig, 100, respond(503)));
    rig.upstream('other', { hedge: HEDGE }, stalls('waiting'), answers());
    const { outcome, exchange } = rig.start();
    await rig.clock.advance(2_000);
    expect(rig.attempts).toEqual(['main@0', 'main@800', 'other@1000', 'other@1800']);
    expect(outcome()).toMatchObject({ head: { status: 200 } });
    expect(exchange.attempts.map(({ number }) => number)).toEqual([1, 2, 3, 4]);
  });
});
