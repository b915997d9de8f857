import { describe, expect, it } from 'vitest';
import type { Attempt } from '../../src/core/exchange.ts';
import type { Completion, Outcome, ResponseBody } from '../../src/core/outcome.ts';
import { generic } from '../../src/dialects/generic.ts';
import { resume } from '../../src/policies/resume.ts';
import { ControlledBody, Script, attemptAt, exchangeAt, fail, kit, respond } from '../support/policy-kit.ts';
import type { Kit, Step } from '../support/policy-kit.ts';
import { policyContract } from './contract.ts';

policyContract({ module: resume, options: {}, scope: (clock) => attemptAt(clock, exchangeAt(clock)) });

const REST = { request: { method: 'GET', target: '/rest', headers: [], host: 'one.test' } };

const stream = (body: ControlledBody): Step<Attempt> =>
  respond(200, { headers: ['content-type', 'text/event-stream'], body });

interface Playing {
  readonly kit: Kit;
  readonly script: Script<Attempt>;
  readonly attempt: Attempt;
  readonly ends: Completion[];
}

/** A stream that is being read, and what its parts do. */
async function play(...steps: Step<Attempt>[]): Promise<Playing> {
  const one = kit();
  const script = new Script<Attempt>(one.clock, ...steps);
  const policy = resume.build(
    resume.schema.parse({ tries: 2, initial: '1s', max: '4s' }),
    one.deps,
    undefined,
  );
  const upstream = { dialect: { ...generic, resumes: () => true } };
  const attempt = attemptAt(one.clock, exchangeAt(one.clock, { upstream }));
  const outcome = await policy.run(attempt, script.next, attempt.cancellation);
  const ends: Completion[] = [];
  const { body } = outcome as Outcome & { body: ResponseBody };
  body.onEnd((completion) => ends.push(completion));
  body.pipe({ write: () => true, end: () => undefined, abort: () => undefined });
  return { kit: one, script, attempt, ends };
}

const eventually = async ({ kit: { clock } }: Playing): Promise<void> => clock.advance(0);

describe('resume', () => {
  it('asks the same endpoint for the rest, with nothing of the first request but its exchange', async () => {
    const first = new ControlledBody();
    const second = new ControlledBody();
    const playing = await play(stream(first), stream(second));
    playing.attempt.continuation = REST;
    first.breakOff();
    await eventually(playing);
    const asked = playing.script.calls[1]?.scope;
    expect(asked?.exchange.request).toBe(REST.request);
    expect(asked?.exchange.body.open()).toBeNull();
    expect(asked?.endpoint).toBe(playing.attempt.endpoint);
    expect(asked?.number).toBe(2);
    second.complete(5);
    await eventually(playing);
    expect(playing.ends).toEqual([{ end: 'complete', bytes: 6 }]);
    expect(playing.kit.events.of('stream-resumed')).toMatchObject([{ result: 'resumed', tries: 1 }]);
  });

  it('waits between two tries, and gives up after the last', async () => {
    const first = new ControlledBody();
    const playing = await play(stream(first), fail(), fail());
    playing.attempt.continuation = REST;
    first.breakOff();
    await eventually(playing);
    expect(playing.script.calls.length).toBe(2);
    await playing.kit.clock.advance(1_000);
    expect(playing.script.calls.length).toBe(3);
    await playing.kit.clock.advance(10_000);
    expect(playing.script.calls.length).toBe(3);
    expect(playing.ends).toMatchObject([{ end: 'upstream-aborted', reason: 'response_incomplete' }]);
    expect(playing.kit.events.of('stream-resumed')).toMatchObject([{ result: 'failed', tries: 2 }]);
  });

  it.each([
    ['without a place to go on from', false, (body: ControlledBody) => body.breakOff()],
    ['after its client left', true, (body: ControlledBody) => body.failByClient()],
    ['when the sidecar stops', true, (body: ControlledBody) => body.failByCancel('shutdown')],
  ])('does nothing %s', async (_, continuable, end) => {
    const first = new ControlledBody();
    const playing = await play(stream(first));
    if (continuable) playing.attempt.continuation = REST;
    end(first);
    await eventually(playing);
    expect(playing.script.calls.length).toBe(1);
    expect(playing.ends.length).toBe(1);
  });

  it('stops waiting when the client leaves', async () => {
    const first = new ControlledBody();
    const playing = await play(stream(first), fail());
    playing.attempt.continuation = REST;
    first.breakOff();
    await eventually(playing);
    playing.attempt.exchange.cancellation.cancel('client-aborted');
    await eventually(playing);
    expect(playing.ends.length).toBe(1);
    expect(playing.kit.clock.pendingTimers).toBe(0);
  });
});
