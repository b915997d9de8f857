import { describe, expect, it } from 'vitest';
import { Inventory } from '../../src/runtime/inventory.ts';

interface Thing {
  readonly made: number;
  readonly after: Thing | undefined;
}

function maker() {
  let made = 0;
  return (after: Thing | undefined): Thing => ({ made: ++made, after });
}

describe('Inventory', () => {
  it('keeps the very same part where its description did not change', () => {
    const make = maker();
    const first = new Inventory();
    const part = first.keep('a', { x: [1, { y: 2 }] }, make);
    const second = new Inventory(first);
    expect(second.keep('a', { x: [1, { y: 2 }] }, make)).toBe(part);
    expect(second.dropped()).toEqual([]);
  });

  it('gives whoever asks for the same part again the same object, also where it had to be built anew', () => {
    const make = maker();
    const first = new Inventory();
    const part = first.keep('a', 1, make);
    expect(first.keep('a', 1, make)).toBe(part);
    const second = new Inventory(first);
    const next = second.keep('a', 2, make);
    expect(next).not.toBe(part);
    expect(second.keep('a', 2, make)).toBe(next);
  });

  it('builds a part anew where its description changed, and shows it its predecessor', () => {
    const make = maker();
    const first = new Inventory();
    const part = first.keep('a', { x: 1 }, make);
    const second = new Inventory(first);
    const next = second.keep('a', { x: 2 }, make);
    expect(next).toEqual({ made: 2, after: part });
    expect(second.dropped()).toEqual([part]);
  });

  it('builds a part without predecessor where there was none of that name', () => {
    const make = maker();
    const first = new Inventory();
    first.keep('a', 1, make);
    expect(new Inventory(first).keep('b', 1, make)).toMatchObject({ after: undefined });
  });

  it('names what the next one did not take', () => {
    const make = maker();
    const first = new Inventory();
    const [a, b] = [first.keep('a', 1, make), first.keep('b', 1, make)];
    const second = new Inventory(first);
    second.keep('b', 1, make);
    expect(second.dropped()).toEqual([a]);
    expect(new Inventory(second).dropped()).toEqual([b]);
  });

  it('leaves the previous one as it was, so that a refused configuration costs nothing', () => {
    const make = maker();
    const first = new Inventory();
    const part = first.keep('a', 1, make);
    const refused = new Inventory(first);
    refused.keep('a', 2, make);
    const third = new Inventory(first);
    expect(third.keep('a', 1, make)).toBe(part);
  });

  it('can keep a part that needs no description', () => {
    const make = maker();
    const first = new Inventory();
    const part = first.keep('a', undefined, make);
    expect(new Inventory(first).keep('a', undefined, make)).toBe(part);
  });
});

describe('release', () => {
  it('takes out parts by name and by prefix, and builds them anew when they are asked for again', () => {
    const before = new Inventory();
    before.keep('a/one', 1, () => 'old one');
    const inventory = new Inventory(before);
    inventory.keep('a/one', 1, () => 'never built');
    inventory.keep('a/two', 2, () => 'two');
    inventory.keep('ab', 3, () => 'other');
    expect(inventory.release(['a/'])).toEqual(['old one', 'two']);
    expect(inventory.keep('a/one', 1, () => 'new one')).toBe('new one');
    expect(inventory.keep('ab', 3, () => 'never built')).toBe('other');
  });
});
