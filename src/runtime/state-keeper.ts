/**
 * Keeps what the parts of a runtime have learnt in a file, and gives it back to those of the next process. Whatever goes
 * wrong with that file, the sidecar runs on without it, and says so.
 */
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Emit, EventMap, EventName } from '../core/events.ts';
import { Instants, isPersistent } from '../core/persistence.ts';
import type { PersistentState, Reading } from '../core/persistence.ts';
import type { StateConfig } from '../config/state-section.ts';
import { DirectoryLock } from '../stores/directory-lock.ts';
import { MAX_SNAPSHOT_BYTES, SnapshotFile } from '../stores/snapshot-file.ts';
import { decodeSnapshot, encodeParts, encodeSnapshot } from '../stores/snapshot-format.ts';
import type { Snapshot, Unreadable } from '../stores/snapshot-format.ts';

declare module '../core/events.ts' {
  interface EventMap {
    /** What an earlier process had learnt is known again. */
    'state-restored': {
      readonly file: string;
      /** Since it was taken, by the wall clock; 0 where that was put back. */
      readonly ageMs: number;
      /** Names of parts. */
      readonly restored: readonly string[];
      /** Names of parts that did not understand what was kept for them. */
      readonly ignored: readonly string[];
    };
    /** The snapshot is older than `state.maxAge`. */
    'state-too-old': { readonly file: string; readonly ageMs: number };
    /** The snapshot is of no use. `to` is where it is now; undefined: where it was. */
    'state-set-aside': {
      readonly file: string;
      readonly why: Unreadable | 'unreadable';
      readonly message: string;
      readonly to: string | undefined;
    };
    /** `recovered`: it failed the last time. */
    'state-written': { readonly bytes: number; readonly parts: number; readonly recovered: boolean };
    /** The directory cannot be used, or the snapshot not be written. `again`: as the last time. */
    'state-failed': { readonly dir: string; readonly message: string; readonly again: boolean };
    /** Another process has the directory: this one does not write there. */
    'state-locked': { readonly dir: string; readonly pid: number; readonly host: string };
  }
}

export interface StateKeeperDeps {
  readonly clock: Clock;
  readonly emit: Emit;
}

/** The parts there are, by name. */
export type Parts = ReadonlyMap<string, unknown>;

interface Place {
  readonly dir: string;
  readonly file: SnapshotFile;
  readonly lock: DirectoryLock;
}

const FILE = 'outrigger-state.json';
const LOCK = 'outrigger-state.lock';

const MESSAGES: Readonly<Record<Unreadable, string>> = {
  corrupt: 'it is no whole snapshot',
  version: 'another version of Outrigger wrote it',
};

/** What does not change is written anew before it seems old: so many times within `maxAge`. */
const REFRESHES = 4;

/** What must not be lost is written so soon; what happens meanwhile goes with it. */
const SOON_MS = 200;

export class StateKeeper {
  readonly #deps: StateKeeperDeps;
  readonly #instants: Instants;
  #config: StateConfig | undefined;
  #place: Place | undefined;
  #parts: () => Parts = () => new Map();
  #last: { readonly text: string; readonly at: number } | undefined;
  #failing = false;
  #lockedOut = false;
  #timer: TimerHandle | undefined;
  #soon: TimerHandle | undefined;
  #writing: Promise<void> = Promise.resolve();
  #released = false;
  /** What happens before anybody can hear of it; undefined from `start` on. */
  #untold: (() => void)[] | undefined = [];

  constructor(deps: StateKeeperDeps) {
    this.#deps = deps;
    this.#instants = Instants.of(this.#reading);
  }

  /** Gives the parts what was kept for them. To be called once, before the first exchange. Never rejects. */
  async restore(config: StateConfig, parts: Parts): Promise<void> {
    this.#config = config;
    const { dir } = config;
    if (dir === undefined) return;
    this.#place = { dir, file: new SnapshotFile(dir, FILE), lock: new DirectoryLock(dir, LOCK) };
    const ours = await this.#isOurs(this.#place).catch((error: unknown) => this.#tellFailure(error));
    const snapshot = await this.#read(this.#place, ours === true);
    if (snapshot) this.#revive(snapshot, parts, this.#place);
  }

  /** Begins to write. @param parts what there is to keep, whenever it is asked */
  start(parts: () => Parts): void {
    this.#parts = parts;
    const untold = this.#untold ?? [];
    this.#untold = undefined;
    for (const tell of untold) tell();
    if (this.#place) void this.#writeAndWait();
  }

  /** Another configuration is in force. The directory stays the one of the start. */
  configure(config: StateConfig): void {
    const dir = this.#place?.dir;
    this.#config = config;
    if (config.dir !== dir) this.#tell('restart-needed', { setting: 'state.dir' });
  }

  /** Writes what has changed since the last time. Never rejects. */
  write(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  /** Something has changed that a kill must not undo: an outage would begin anew. It is not left to the interval. */
  writeSoon(): void {
    if (!this.#place || this.#released) return;
    this.#soon ??= this.#deps.clock.setBackgroundTimer(SOON_MS, () => {
      this.#soon = undefined;
      void this.write();
    });
  }

  /** Gives the directory back, without another word about what there is now. Never rejects. */
  async release(): Promise<void> {
    this.#released = true;
    if (this.#timer) this.#deps.clock.clearTimer(this.#timer);
    if (this.#soon) this.#deps.clock.clearTimer(this.#soon);
    await this.#writing;
    await this.#place?.lock.release();
  }

  get #reading(): Reading {
    const { clock } = this.#deps;
    return { now: clock.now(), wallMs: clock.wallMs() };
  }

  async #writeAndWait(): Promise<void> {
    await this.write();
    if (this.#released || !this.#config) return;
    this.#timer = this.#deps.clock.setBackgroundTimer(this.#config.interval, () => void this.#writeAndWait());
  }

  async #write(): Promise<void> {
    if (!this.#place || !this.#config || this.#released) return;
    try {
      const { now, wallMs } = this.#reading;
      const parts = captured(this.#parts(), this.#instants);
      const text = encodeParts(parts);
      const { text: before, at } = this.#last ?? { at: Number.NEGATIVE_INFINITY };
      if (text === before && now - at < this.#config.maxAge / REFRESHES) return;
      if (!(await this.#isOurs(this.#place))) return;
      const whole = encodeSnapshot(text, { instant: this.#instants.toSaved(now) ?? 0, wallMs });
      const bytes = Buffer.byteLength(whole);
      if (bytes > MAX_SNAPSHOT_BYTES) throw new Error(`the snapshot has ${bytes} bytes, which is too much`);
      await this.#place.file.write(whole);
      this.#last = { text, at: now };
      this.#tell('state-written', { bytes, parts: parts.size, recovered: this.#failing });
      this.#failing = false;
    } catch (error) {
      this.#tellFailure(error);
    }
  }

  /** @throws a system error */
  async #isOurs({ dir, file, lock }: Place): Promise<boolean> {
    await file.prepare();
    const owner = await lock.hold();
    if (owner && !this.#lockedOut) this.#tell('state-locked', { dir, ...owner });
    this.#lockedOut = owner !== undefined;
    return !this.#lockedOut;
  }

  /** Also what another process is still writing: it is whole at any time. */
  async #read(place: Place, ours: boolean): Promise<Snapshot | undefined> {
    let text: string | undefined;
    try {
      text = await place.file.read();
    } catch (error) {
      await this.#setAside(place, { why: 'unreadable', message: (error as Error).message }, ours);
      return undefined;
    }
    if (text === undefined) return undefined;
    const snapshot = decodeSnapshot(text);
    if (typeof snapshot !== 'string') return snapshot;
    await this.#setAside(place, { why: snapshot, message: MESSAGES[snapshot] }, ours);
    return undefined;
  }

  async #setAside(
    { file }: Place,
    said: Pick<EventMap['state-set-aside'], 'why' | 'message'>,
    ours: boolean,
  ): Promise<void> {
    let to: string | undefined;
    try {
      if (ours) to = await file.setAside(this.#deps.clock.wallMs());
    } catch (error) {
      this.#tellFailure(error);
    }
    this.#tell('state-set-aside', { file: file.path, ...said, to });
  }

  #revive({ taken, parts: saved }: Snapshot, parts: Parts, { file: { path: file } }: Place): void {
    const reading = this.#reading;
    const ageMs = Math.max(0, reading.wallMs - taken.wallMs);
    if (ageMs > (this.#config?.maxAge ?? 0)) return this.#tell('state-too-old', { file, ageMs });
    const instants = Instants.since(taken, reading);
    const known = [...parts].filter(([name, part]) => isPersistent(part) && saved.has(name));
    const taking = known.map(([name, part]) => [name, this.#give(part, saved.get(name), instants)] as const);
    const namesOf = (took: boolean): string[] =>
      taking.filter((one) => one[1] === took).map(([name]) => name);
    this.#tell('state-restored', { file, ageMs, restored: namesOf(true), ignored: namesOf(false) });
  }

  #give(part: unknown, saved: unknown, instants: Instants): boolean {
    try {
      return isPersistent(part) && part.restore(saved, instants);
    } catch (error) {
      this.#tell('internal-error', { where: 'restore', error: error as Error });
      return false;
    }
  }

  #tellFailure(error: unknown): void {
    const { message } = error as Error;
    this.#tell('state-failed', { dir: this.#place?.dir ?? '', message, again: this.#failing });
    this.#failing = true;
  }

  #tell<N extends EventName>(name: N, event: EventMap[N]): void {
    if (this.#untold) this.#untold.push(() => this.#deps.emit(name, event));
    else this.#deps.emit(name, event);
  }
}

function captured(parts: Parts, instants: Instants): Map<string, PersistentState> {
  const states = new Map<string, PersistentState>();
  for (const [name, part] of parts) {
    const state = isPersistent(part) ? part.capture(instants) : undefined;
    if (state !== undefined) states.set(name, state);
  }
  return states;
}
