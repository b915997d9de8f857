import { describe, expect, it } from 'vitest';
import type { Dialect } from '../../src/core/dialect.ts';
import type { Exchange } from '../../src/core/exchange.ts';
import { generic } from '../../src/dialects/generic.ts';
import { openai } from '../../src/dialects/openai.ts';
import { after, bytesBody, fail, judged, respond, textOf } from '../support/policy-kit.ts';
import type { ExchangeParts, Step } from '../support/policy-kit.ts';
import { verdictOf } from '../../src/core/verdict.ts';
import { LadderRig } from './ladder-rig.ts';

const chat = (body: object, dialect: Dialect = openai): ExchangeParts => ({
  request: { method: 'POST', target: '/v1/chat/completions' },
  upstream: { dialect },
  body: bytesBody(Buffer.from(JSON.stringify(body))),
});

const tooLong: Step<Exchange> = respond(400, judged(verdictOf('context_length')));

describe('fallback: steps for some classes only', () => {
  const ladder = [{ upstream: 'small' }, { upstream: 'long', for: ['context_length'] }];

  it('are taken for these, although the ladder as a whole is not', async () => {
    const rig = new LadderRig(ladder);
    const small = rig.upstream('small', respond());
    const long = rig.upstream('long', respond());
    await rig.outcomeOf(tooLong, chat({}));
    expect([small.calls.length, long.calls.length]).toEqual([0, 1]);
  });

  it('are left out for everything else', async () => {
    const rig = new LadderRig([...ladder].reverse());
    const small = rig.upstream('small', respond());
    const long = rig.upstream('long', respond());
    await rig.outcomeOf(fail(), chat({}));
    expect([small.calls.length, long.calls.length]).toEqual([1, 0]);
  });

  it('are taken after a step that failed for their class', async () => {
    const rig = new LadderRig(ladder);
    rig.upstream('small', tooLong);
    const long = rig.upstream('long', respond());
    const outcome = await rig.outcomeOf(fail(), chat({}));
    expect(long.calls.length).toBe(1);
    expect(outcome).toMatchObject({ kind: 'response', head: { status: 200 } });
  });

  it('leave the upstream’s own answer when none is for it', async () => {
    const rig = new LadderRig([{ static: { text: 'sorry' }, for: ['quota'] }]);
    expect(await rig.outcomeOf(tooLong, chat({}))).toMatchObject({ from: 'upstream', head: { status: 400 } });
  });
});

describe('fallback: capabilities', () => {
  const picture = { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] };

  it.each([
    ['a picture', picture, ['vision'], 1],
    ['a picture', picture, ['tools'], 0],
    ['text', { messages: [{ role: 'user', content: 'x' }] }, [], 1],
    ['tools', { tools: [{ type: 'function' }], messages: [] }, ['vision'], 0],
    ['a schema', { response_format: { type: 'json_schema', json_schema: {} } }, ['json_schema'], 1],
  ])('of a call with %s, where the step has %j', async (_, body, capabilities, asked) => {
    const rig = new LadderRig([{ upstream: 'other', capabilities }]);
    const other = rig.upstream('other', respond());
    await rig.outcomeOf(fail(), chat(body));
    expect(other.calls.length).toBe(asked);
  });

  it('are not asked for where nobody can tell what a call needs', async () => {
    const rig = new LadderRig([{ upstream: 'other', capabilities: [] }]);
    const other = rig.upstream('other', respond());
    await rig.outcomeOf(fail(), chat(picture, generic));
    expect(other.calls.length).toBe(1);
  });
});

describe('fallback: a static text', () => {
  it('is said as the dialect says things, in the form that was asked for', async () => {
    const saying: Dialect = {
      ...openai,
      renderAnswer: (text, { stream }) => ({
        headers: ['content-type', stream ? 'text/event-stream' : 'application/json'],
        body: `${stream} ${text}`,
      }),
    };
    const rig = new LadderRig([{ static: { text: 'späť' } }]);
    const whole = await rig.outcomeOf(fail(), chat({}, saying));
    expect(whole).toMatchObject({
      from: 'fallback',
      head: { headers: ['content-type', 'application/json', 'content-length', '12'] },
    });
    expect(textOf(whole)).toBe('false späť');
    const stream = await rig.outcomeOf(fail(), chat({ stream: true }, saying));
    expect(stream).toMatchObject({
      head: { headers: ['content-type', 'text/event-stream', 'content-length', '11'] },
    });
    expect(textOf(stream)).toBe('true späť');
  });

  it('is plain where the dialect has no form for it', async () => {
    const rig = new LadderRig([{ static: { text: 'sorry', status: 503 } }]);
    const outcome = await rig.outcomeOf(fail(), chat({}, generic));
    expect(outcome).toMatchObject({
      head: { status: 503, headers: ['content-type', 'text/plain; charset=utf-8', 'content-length', '5'] },
    });
    expect(textOf(outcome)).toBe('sorry');
  });
});

describe('fallback: what a step must not do', () => {
  it('a slow answer is not given up for a ladder that is for something else', async () => {
    const rig = new LadderRig({
      after: '300ms',
      steps: [{ static: { text: 'x' }, for: ['context_length'] }],
    });
    const { outcome } = rig.start(chat({}), after(rig.clock, 900, respond()));
    await rig.clock.advance(1_000);
    expect(outcome()).toMatchObject({ kind: 'response', from: 'upstream' });
  });

  it('a field that one step set, a secret perhaps, is not sent on by the next upstream’s own ladder', async () => {
    const rig = new LadderRig([{ upstream: 'b', rewrite: { setHeaders: { 'x-team-key': 'secret-of-b' } } }]);
    const b = rig.upstream('b', respond());
    await rig.outcomeOf(fail(), chat({}));
    const atB = b.calls[0]?.scope;
    expect(atB?.request.headers).toContain('secret-of-b');
    const next = new LadderRig([{ upstream: 'c' }]);
    const c = next.upstream('c', respond());
    if (atB) await next.policy.run(atB, async () => fail(), atB.cancellation);
    expect(c.calls[0]?.scope.request.headers).not.toContain('secret-of-b');
  });
});
