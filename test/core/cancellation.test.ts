import { describe, expect, it } from 'vitest';
import { Cancellation, unlessCancelled } from '../../src/core/cancellation.ts';

describe('Cancellation', () => {
  it('has no reason until it is cancelled, and then the first one given', () => {
    const cancellation = new Cancellation();
    expect([cancellation.cancelled, cancellation.reason]).toEqual([false, undefined]);
    cancellation.cancel('idle-timeout');
    cancellation.cancel('client-aborted');
    expect([cancellation.cancelled, cancellation.reason]).toEqual([true, 'idle-timeout']);
  });

  it('tells its listeners at once, in order, and once', () => {
    const cancellation = new Cancellation();
    const heard: string[] = [];
    cancellation.onCancel((reason) => heard.push(`1 ${reason}`));
    cancellation.onCancel((reason) => heard.push(`2 ${reason}`));
    cancellation.cancel('deadline');
    cancellation.cancel('shutdown');
    expect(heard).toEqual(['1 deadline', '2 deadline']);
    expect(cancellation.listenerCount).toBe(0);
  });

  it('tells a listener that comes late at once', () => {
    const cancellation = new Cancellation();
    cancellation.cancel('shutdown');
    const heard: string[] = [];
    cancellation.onCancel((reason) => heard.push(reason));
    expect(heard).toEqual(['shutdown']);
    expect(cancellation.listenerCount).toBe(0);
  });

  it('forgets a listener that is taken off', () => {
    const cancellation = new Cancellation();
    const heard: string[] = [];
    const listener = (reason: string): unknown => heard.push(reason);
    cancellation.onCancel(listener);
    cancellation.off(listener);
    cancellation.off(() => undefined);
    expect(cancellation.listenerCount).toBe(0);
    cancellation.cancel('shutdown');
    expect(heard).toEqual([]);
  });

  it('lets listeners add and take off listeners while they are told', () => {
    const cancellation = new Cancellation();
    const heard: string[] = [];
    const second = (): void => void heard.push('second');
    cancellation.onCancel(() => {
      cancellation.off(second);
      cancellation.onCancel(() => heard.push('added'));
    });
    cancellation.onCancel(second);
    cancellation.cancel('shutdown');
    expect(heard).toEqual(['added', 'second']);
  });

  describe('with a parent', () => {
    it('follows it, with its reason', () => {
      const parent = new Cancellation();
      const child = new Cancellation(parent);
      parent.cancel('client-aborted');
      expect(child.reason).toBe('client-aborted');
    });

    it('is cancelled from the start where the parent is', () => {
      const parent = new Cancellation();
      parent.cancel('shutdown');
      expect(new Cancellation(parent).reason).toBe('shutdown');
    });

    it('keeps its own reason where it was cancelled before', () => {
      const parent = new Cancellation();
      const child = new Cancellation(parent);
      child.cancel('connect-timeout');
      parent.cancel('client-aborted');
      expect([parent.reason, child.reason]).toEqual(['client-aborted', 'connect-timeout']);
    });

    it('does not cancel the parent', () => {
      const parent = new Cancellation();
      new Cancellation(parent).cancel('superseded');
      expect(parent.cancelled).toBe(false);
    });

    it('leaves nothing on the parent once it is detached, and does not follow it any more', () => {
      const parent = new Cancellation();
      const child = new Cancellation(parent);
      expect(parent.listenerCount).toBe(1);
      child.detach();
      child.detach();
      expect(parent.listenerCount).toBe(0);
      parent.cancel('client-aborted');
      expect(child.cancelled).toBe(false);
    });

    it('can be cancelled itself after it was detached', () => {
      const child = new Cancellation(new Cancellation());
      child.detach();
      child.cancel('superseded');
      expect(child.reason).toBe('superseded');
    });
  });

  it('can be detached without a parent, and from one that was cancelled', () => {
    new Cancellation().detach();
    const parent = new Cancellation();
    const child = new Cancellation(parent);
    parent.cancel('deadline');
    child.detach();
    expect(child.reason).toBe('deadline');
  });
});

describe('unlessCancelled', () => {
  it('brings what was wanted, and leaves no listener', async () => {
    const cancellation = new Cancellation();
    expect(await unlessCancelled(Promise.resolve(7), cancellation)).toBe(7);
    expect(cancellation.listenerCount).toBe(0);
  });

  it('does not wait for what comes after the cancellation', async () => {
    const cancellation = new Cancellation();
    const never = unlessCancelled(new Promise(() => undefined), cancellation);
    cancellation.cancel('shutdown');
    expect(await never).toBeUndefined();
    expect(await unlessCancelled(new Promise(() => undefined), cancellation)).toBeUndefined();
  });
});
