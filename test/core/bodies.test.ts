import { describe, expect, it } from 'vitest';
import { BodyEnd } from '../../src/core/body-end.ts';
import { BytesBody } from '../../src/core/bytes-body.ts';
import type { Completion } from '../../src/core/outcome.ts';
import { discard, whenOver } from '../../src/core/outcome.ts';
import { settle } from '../support/fake-clock.ts';
import { CollectingSink, bodyOf, fail, refuse, respond } from '../support/policy-kit.ts';

class Ending extends BodyEnd {
  end(completion: Completion): void {
    this.settleEnd(completion);
  }
}

describe('BodyEnd', () => {
  const COMPLETE = { end: 'complete', bytes: 1 } as const;

  it('tells everyone who asked, at once and in order, and only the first end', () => {
    const body = new Ending();
    const heard: string[] = [];
    body.onEnd(({ end }) => heard.push(`1 ${end}`));
    body.onEnd(({ end }) => heard.push(`2 ${end}`));
    body.end({ end: 'upstream-aborted', bytes: 0 });
    body.end(COMPLETE);
    expect(heard).toEqual(['1 upstream-aborted', '2 upstream-aborted']);
  });

  it('tells those who ask late at once, and those who wait', async () => {
    const body = new Ending();
    const early = body.completion;
    body.end(COMPLETE);
    const heard: Completion[] = [];
    body.onEnd((completion) => heard.push(completion));
    expect(heard).toEqual([COMPLETE]);
    expect([await early, await body.completion]).toEqual([COMPLETE, COMPLETE]);
  });

  it('may be asked while it tells', () => {
    const body = new Ending();
    const heard: string[] = [];
    body.onEnd(() => body.onEnd(() => heard.push('inner')));
    body.onEnd(() => heard.push('second'));
    body.end(COMPLETE);
    expect(heard).toEqual(['inner', 'second']);
  });
});

describe('BytesBody', () => {
  it('delivers itself at once, and is complete', async () => {
    const body = new BytesBody(Buffer.from('hello'));
    const sink = new CollectingSink();
    body.pipe(sink);
    expect([sink.text, sink.ended]).toEqual(['hello', true]);
    expect(await body.completion).toEqual({ end: 'complete', bytes: 5 });
  });

  it('writes no empty chunk: some sinks take one for an end', async () => {
    const body = new BytesBody(new Uint8Array(0));
    const sink = new CollectingSink();
    body.pipe(sink);
    expect([sink.chunks, sink.ended]).toEqual([[], true]);
    expect(await body.completion).toEqual({ end: 'complete', bytes: 0 });
  });

  it('does not mind a sink that is full', async () => {
    const body = new BytesBody(Buffer.from('hello'));
    const sink = new CollectingSink();
    sink.write = () => false;
    body.pipe(sink);
    body.resume();
    expect(await body.completion).toMatchObject({ end: 'complete' });
  });

  it('can be discarded', async () => {
    const body = new BytesBody(Buffer.from('hello'));
    body.discard();
    expect(await body.completion).toEqual({ end: 'discarded', bytes: 0 });
  });
});

describe('discard', () => {
  it('releases an answer, and has nothing to do for what has no body', () => {
    const answer = respond();
    discard(answer);
    discard(fail());
    discard(refuse());
    expect(bodyOf(answer).discards).toBe(1);
  });
});

describe('whenOver', () => {
  it('waits for the end of a body', async () => {
    const answer = respond();
    let over = false;
    whenOver(answer, () => (over = true));
    await settle();
    expect(over).toBe(false);
    bodyOf(answer).breakOff();
    await settle();
    expect(over).toBe(true);
  });

  it('does not wait where there is no body', () => {
    const over: string[] = [];
    whenOver(fail(), () => over.push('failure'));
    whenOver(refuse(), () => over.push('rejection'));
    expect(over).toEqual(['failure', 'rejection']);
  });
});
