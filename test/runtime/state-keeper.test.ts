/** The keeper with real files, parts that say what the test wants, and a clock that the test moves. */
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Instants, Persistent, PersistentState } from '../../src/core/persistence.ts';
import { configSchema } from '../../src/config/schema.ts';
import { StateKeeper } from '../../src/runtime/state-keeper.ts';
import { temporaryDirectory } from '../cli/fixture.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { EventLog } from '../support/policy-kit.ts';

/** Remembers one instant. */
class Part implements Persistent {
  until = Number.NEGATIVE_INFINITY;
  given: unknown;

  capture(instants: Instants): PersistentState | undefined {
    const until = instants.toSaved(this.until);
    return until === null ? undefined : { until };
  }

  restore(saved: unknown, instants: Instants): boolean {
    this.given = saved;
    const { until } = (saved ?? {}) as { until?: number };
    if (typeof until !== 'number') return false;
    this.until = instants.fromSaved(until, 0);
    return true;
  }
}

const keepers: StateKeeper[] = [];

afterEach(async () => {
  for (const keeper of keepers.splice(0)) await keeper.release();
});

const FILE = 'outrigger-state.json';

/** One process. */
class Life {
  readonly clock = new FakeClock();
  readonly events = new EventLog();
  readonly part = new Part();
  readonly parts = new Map<string, unknown>([
    ['a/breaker', this.part],
    ['a/other', { run: () => undefined }],
  ]);
  readonly keeper = new StateKeeper({ clock: this.clock, emit: this.events.emit });
  readonly dir: string;
  readonly #options: object;

  constructor(dir: string, options: object = {}) {
    this.dir = dir;
    this.#options = options;
    keepers.push(this.keeper);
  }

  get path(): string {
    return join(this.dir, FILE);
  }

  get text(): string {
    return readFileSync(this.path, 'utf8');
  }

  async begin(): Promise<this> {
    await this.restore();
    this.keeper.start(() => this.parts);
    await this.keeper.write();
    return this;
  }

  restore(): Promise<void> {
    const { state } = configSchema.parse({ state: { dir: this.dir, ...this.#options } });
    return this.keeper.restore(state, this.parts);
  }

  /** As the end of a drain. */
  async end(): Promise<void> {
    await this.keeper.write();
    await this.keeper.release();
  }

  /** The next process in the same place, `downMs` later by the wall clock. */
  next(downMs = 0, options = this.#options): Life {
    const life = new Life(this.dir, options);
    life.clock.wallOffsetMs += this.clock.wallMs() + downMs - life.clock.wallMs();
    return life;
  }

  /** Waits for the files, which no test's clock moves. */
  async until(name: Parameters<EventLog['of']>[0], count: number): Promise<void> {
    await expect.poll(() => this.events.of(name).length, { interval: 2 }).toBeGreaterThanOrEqual(count);
  }
}

const first = (options: object = {}): Life => new Life(temporaryDirectory(), options);

describe('what was learnt', () => {
  it('is known to the next process, less the time between', async () => {
    const before = await first().begin();
    before.part.until = before.clock.now() + 60_000;
    await before.end();
    const after = await before.next(20_000).begin();
    expect(after.part.until - after.clock.now()).toBe(40_000);
    expect(after.events.of('state-restored')).toEqual([
      { file: after.path, ageMs: 20_000, restored: ['a/breaker'], ignored: [] },
    ]);
  });

  it('is known although the process was killed, as of the last writing', async () => {
    const before = await first({ interval: '5s' }).begin();
    before.part.until = before.clock.now() + 60_000;
    await before.clock.advance(5_000);
    await before.until('state-written', 2);
    const killed = before.next(1_000);
    // What a kill leaves behind, on another machine.
    writeFileSync(
      join(killed.dir, 'outrigger-state.lock'),
      '{"pid":1,"host":"gone","token":"x","since":null}',
    );
    await killed.begin();
    expect(killed.part.until - killed.clock.now()).toBe(54_000);
    expect(killed.events.of('state-locked')).toEqual([]);
  });

  it('is written soon where it must not be lost, and once for all that comes together', async () => {
    const before = await first({ interval: '1h' }).begin();
    before.part.until = before.clock.now() + 60_000;
    before.keeper.writeSoon();
    await before.clock.advance(100);
    before.keeper.writeSoon();
    before.part.until += 1_000;
    await before.clock.advance(100);
    await before.until('state-written', 2);
    await before.clock.advance(1_000);
    await before.keeper.write();
    expect(before.events.of('state-written')).toHaveLength(2);
    await before.keeper.release();
    before.keeper.writeSoon();
    expect(before.clock.pendingTimers).toBe(0);
    expect((await before.next().begin()).part.until).toBeGreaterThan(0);
  });

  it('is stretched by no wall clock that was put back', async () => {
    const before = await first().begin();
    before.part.until = before.clock.now() + 60_000;
    await before.end();
    const after = await before.next(-3_600_000).begin();
    expect(after.part.until - after.clock.now()).toBe(60_000);
    expect(after.events.of('state-restored')).toMatchObject([{ ageMs: 0 }]);
  });

  it('is forgotten where it is older than it may be', async () => {
    const before = await first({ maxAge: '10m' }).begin();
    before.part.until = before.clock.now() + 60_000_000;
    await before.end();
    const after = await before.next(600_001).begin();
    expect(after.part.given).toBeUndefined();
    expect(after.events.of('state-too-old')).toEqual([{ file: after.path, ageMs: 600_001 }]);
    expect((await before.next(600_000, { maxAge: '11m' }).begin()).events.names).toContain('state-locked');
  });

  it('is given to parts of the same name only, and what is not understood is told of', async () => {
    const before = await first().begin();
    before.parts.set('gone/breaker', before.part);
    before.parts.set('a/retry', Object.assign(new Part(), { capture: () => ({ foreign: true }) }));
    before.part.until = before.clock.now() + 60_000;
    await before.end();
    const after = before.next();
    const careless = {
      capture: () => undefined,
      restore: () => {
        throw new Error('a bug');
      },
    };
    after.parts.set('a/retry', new Part()).set('new/breaker', new Part());
    after.parts.set('gone/breaker', careless);
    await after.begin();
    expect(after.events.of('state-restored')).toMatchObject([
      { restored: ['a/breaker'], ignored: ['a/retry', 'gone/breaker'] },
    ]);
    expect(after.events.of('internal-error')).toMatchObject([{ where: 'restore' }]);
  });

  it('is not told of before anybody can hear it', async () => {
    await first()
      .begin()
      .then((life) => life.end());
    const before = await first().begin();
    await before.end();
    const after = before.next();
    await after.restore();
    expect(after.events.names).toEqual([]);
    after.keeper.start(() => after.parts);
    expect(after.events.names[0]).toBe('state-restored');
  });

  it('is kept nowhere without a directory, and nothing waits', async () => {
    const life = first();
    await life.keeper.restore(configSchema.parse({}).state, life.parts);
    life.keeper.start(() => life.parts);
    await life.end();
    expect([life.events.names, life.clock.pendingTimers]).toEqual([[], 0]);
  });
});

describe('the snapshot', () => {
  it('is written at the start, so that a place that is no good is known at once', async () => {
    const life = await first().begin();
    expect(JSON.parse(life.text)).toMatchObject({ format: 'outrigger-state', version: 1, parts: {} });
  });

  it('is written at every interval in which something changed, and else is left alone', async () => {
    const life = await first({ interval: '2s' }).begin();
    const before = life.text;
    await life.clock.advance(60_000);
    await life.keeper.write();
    expect(life.text).toBe(before);
    life.part.until = 100_000;
    await life.clock.advance(2_000);
    await life.until('state-written', 2);
    expect(life.events.of('state-written')).toMatchObject([
      { parts: 0, recovered: false },
      { parts: 1, recovered: false, bytes: Buffer.byteLength(life.text) },
    ]);
  });

  it('is written anew before it seems too old, although nothing changed', async () => {
    const life = await first({ maxAge: '40s' }).begin();
    await life.clock.advance(9_000);
    await life.keeper.write();
    expect(life.events.of('state-written')).toHaveLength(1);
    await life.clock.advance(1_000);
    await life.keeper.write();
    expect(life.events.of('state-written')).toHaveLength(2);
  });

  it('follows another interval at a reload, and another directory at the next start', async () => {
    const life = await first({ interval: '1h' }).begin();
    const configure = (state: object): void => life.keeper.configure(configSchema.parse({ state }).state);
    configure({ dir: life.dir, interval: '1s' });
    expect(life.events.of('restart-needed')).toEqual([]);
    configure({ dir: '/elsewhere' });
    configure({});
    expect(life.events.of('restart-needed')).toEqual([{ setting: 'state.dir' }, { setting: 'state.dir' }]);
    life.part.until = 1;
    await life.end();
    expect(life.text).toContain('until');
  });

  it('is not touched any more once the directory is given back', async () => {
    const life = await first().begin();
    await life.end();
    const text = life.text;
    life.part.until = 5;
    await life.keeper.write();
    await life.clock.advance(60_000);
    expect([life.text, life.clock.pendingTimers]).toEqual([text, 0]);
    expect(readdirSync(life.dir)).toEqual([FILE]);
  });
});

describe('a snapshot that is of no use', () => {
  const WHOLE = '{"format":"outrigger-state","version":1,"wallMs":1,"instant":1,"parts":{}}';

  it.each([
    ['half-written', WHOLE.slice(0, 40), 'corrupt'],
    ['empty', '', 'corrupt'],
    ['of another version', WHOLE.replace('"version":1', '"version":9'), 'version'],
  ])('because it is %s is set aside', async (_, text, why) => {
    const life = first();
    writeFileSync(life.path, text);
    await life.begin();
    const to = `${life.path}.aside-${life.clock.wallMs()}`;
    expect(life.events.of('state-set-aside')).toMatchObject([{ file: life.path, why, to }]);
    expect(readFileSync(to, 'utf8')).toBe(text);
    expect(JSON.parse(life.text)).toMatchObject({ version: 1 });
  });

  it('because it cannot be read is set aside, whatever it is', async () => {
    const life = first();
    mkdirSync(life.path);
    await life.begin();
    expect(life.events.of('state-set-aside')).toMatchObject([
      { why: 'unreadable', message: 'it is not a regular file' },
    ]);
    expect(JSON.parse(life.text)).toMatchObject({ version: 1 });
  });
});

describe('a directory', () => {
  it('that cannot be made is told of once, counted each time, and used as soon as it can be', async () => {
    const above = temporaryDirectory();
    writeFileSync(join(above, 'file'), '');
    const life = await new Life(join(above, 'file', 'state'), { interval: '1s' }).begin();
    expect(life.events.of('state-set-aside')).toEqual([]);
    await life.keeper.write();
    const again = life.events.of('state-failed').map((event) => event.again);
    expect(again).toEqual([false, ...again.slice(1).map(() => true)]);
    expect(life.events.of('state-failed')[0]?.message).toMatch(/ENOTDIR|EEXIST/);
    rmSync(join(above, 'file'));
    await life.keeper.write();
    await life.keeper.write();
    expect(life.events.of('state-written')).toMatchObject([{ recovered: true }]);
    life.part.until = 5;
    await life.keeper.write();
    expect(life.events.of('state-written')).toMatchObject([{ recovered: true }, { recovered: false }]);
  });

  it('that is removed while it is used is made anew', async () => {
    const life = await first().begin();
    rmSync(life.dir, { recursive: true });
    life.part.until = 5;
    await life.keeper.write();
    expect(existsSync(life.path)).toBe(true);
    expect(life.events.of('state-failed')).toEqual([]);
  });

  it('is the snapshot as it was where it cannot be replaced', async () => {
    const life = await first().begin();
    renameSync(life.path, `${life.path}.kept`);
    mkdirSync(life.path);
    life.part.until = 5;
    await life.keeper.write();
    expect(life.events.of('state-failed')).toHaveLength(1);
    expect(readdirSync(life.dir).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('that another process has is not written to, but read, and taken over once that is gone', async () => {
    const before = await first().begin();
    before.part.until = before.clock.now() + 60_000;
    await before.keeper.write();
    const later = await before.next(1_000).begin();
    expect(later.part.until - later.clock.now()).toBe(59_000);
    expect(later.events.of('state-locked')).toEqual([{ dir: later.dir, pid: process.pid, host: hostname() }]);
    const text = later.text;
    later.part.until += 1;
    await later.keeper.write();
    expect(later.text).toBe(text);
    expect(later.events.of('state-locked')).toHaveLength(1);
    await before.end();
    await later.keeper.write();
    expect(later.text).not.toBe(text);
  });

  it('that another process has is not tidied up', async () => {
    const before = await first().begin();
    writeFileSync(before.path, '{');
    const later = await before.next().begin();
    expect(later.events.of('state-set-aside')).toMatchObject([{ why: 'corrupt', to: undefined }]);
    expect(later.text).toBe('{');
  });

  it('that another process took is left to it', async () => {
    const life = await first().begin();
    writeFileSync(
      join(life.dir, 'outrigger-state.lock'),
      '{"pid":7,"host":"other","token":"x","since":null}',
    );
    life.part.until = 5;
    const text = life.text;
    await life.end();
    expect(life.text).toBe(text);
    expect(life.events.of('state-locked')).toMatchObject([{ pid: 7, host: 'other' }]);
  });
});
