/**
 * Tells when the content of configuration files changed. Events of the file system are only hints: what counts is that
 * a content hash differs, so a touch, a rewrite of the same text or a burst of events is one change or none.
 */
import { createHash } from 'node:crypto';
import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { Clock, TimerHandle } from '../core/clock.ts';
import { readBytes } from '../schema/read-file.ts';
import { watchTargets } from './watch-targets.ts';

export interface WatchOptions {
  readonly paths: readonly string[];
  readonly clock: Clock;
  /** Called with the absolute paths whose content changed, appeared or disappeared. */
  readonly onChange: (changed: readonly string[]) => void;
  /** Quiet time after the last event before files are read. Default 200 ms; waits at most five times as long. */
  readonly debounceMs?: number;
  /** Interval of looking when the system cannot watch. Default 5 000 ms. */
  readonly pollMs?: number;
  /** Told once when watching fails and looking begins. */
  readonly onFallback?: (reason: string) => void;
  /** The system's watching, for tests. Default `fs.watch`. */
  readonly watchDirectory?: WatchDirectory;
}

/** Calls `onEvent` with the name that changed, or null. May throw. */
export type WatchDirectory = (
  directory: string,
  onEvent: (name: string | null) => void,
  onError: (error: Error) => void,
) => { close(): void };

export interface FileWatch {
  /** Watches these instead. Files already watched keep their known content; new ones start from now. */
  update(paths: readonly string[]): void;
  /** Idempotent. No call of `onChange` follows. */
  close(): void;
}

export function watchFiles(options: WatchOptions): FileWatch {
  return new Watch(options);
}

/** As large as any file that is read; changes of what is larger go unnoticed. */
const MAX_BYTES = 10 * 1024 * 1024;
const DEFAULT_DEBOUNCE_MS = 200;
const DEFAULT_POLL_MS = 5_000;
const MOST_DEBOUNCES = 5;

class Watch implements FileWatch {
  readonly #options: WatchOptions;
  readonly #debounceMs: number;
  readonly #watchDirectory: WatchDirectory;
  #hashes: Map<string, string>;
  #watchers: { close(): void }[] = [];
  #timer: TimerHandle | undefined;
  /** When the first event came that is not looked into yet. */
  #firstEventAt: number | undefined;
  #polling = false;
  #closed = false;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#debounceMs = options.debounceMs ?? DEFAULT_DEBOUNCE_MS;
    this.#watchDirectory = options.watchDirectory ?? watchWithFs;
    this.#hashes = hashAll(options.paths);
    this.#rewatch();
  }

  update(paths: readonly string[]): void {
    if (this.#closed) return;
    const fresh = hashAll(paths);
    for (const path of fresh.keys()) {
      const known = this.#hashes.get(path);
      if (known !== undefined) fresh.set(path, known);
    }
    this.#hashes = fresh;
    this.#rewatch();
    // Between the reading of a file and this call it may have changed already.
    this.#onEvent();
  }

  close(): void {
    this.#closed = true;
    this.#clearTimer();
    this.#closeWatchers();
  }

  /** Links and directories may lead elsewhere after every change, so watching starts anew: new before old. */
  #rewatch(): void {
    const old = this.#watchers;
    this.#watchers = [];
    if (!this.#polling) this.#openWatchers();
    for (const watcher of old) watcher.close();
    if (this.#polling) this.#schedulePoll();
  }

  #openWatchers(): void {
    for (const [directory, names] of watchTargets(this.#hashes.keys())) {
      try {
        const watcher = this.#watchDirectory(
          directory,
          (name) => {
            if (concerns(name, directory, names)) this.#onEvent();
          },
          (error) => this.#fallBack(error),
        );
        this.#watchers.push(watcher);
      } catch (error) {
        // Something went away while it was being opened: the event of its parent brings us back.
        if (!isMissing(error)) return this.#fallBack(error);
        this.#onEvent();
      }
    }
  }

  #fallBack(error: unknown): void {
    if (this.#polling || this.#closed) return;
    this.#polling = true;
    this.#closeWatchers();
    this.#schedulePoll();
    this.#options.onFallback?.(error instanceof Error ? error.message : String(error));
  }

  #onEvent(): void {
    if (this.#closed || this.#polling) return;
    const { clock } = this.#options;
    const now = clock.now();
    this.#firstEventAt ??= now;
    const latestAt = this.#firstEventAt + MOST_DEBOUNCES * this.#debounceMs;
    const waitMs = Math.max(0, Math.min(this.#debounceMs, latestAt - now));
    this.#clearTimer();
    this.#timer = clock.setBackgroundTimer(waitMs, () => {
      this.#firstEventAt = undefined;
      this.#rewatch();
      this.#compare();
    });
  }

  #schedulePoll(): void {
    this.#clearTimer();
    if (this.#closed) return;
    this.#timer = this.#options.clock.setBackgroundTimer(this.#options.pollMs ?? DEFAULT_POLL_MS, () => {
      this.#schedulePoll();
      this.#compare();
    });
  }

  #compare(): void {
    const current = hashAll(this.#hashes.keys());
    const changed = [...current]
      .filter(([path, hash]) => this.#hashes.get(path) !== hash)
      .map(([path]) => path);
    this.#hashes = current;
    if (changed.length > 0 && !this.#closed) this.#options.onChange(changed);
  }

  #closeWatchers(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
  }

  #clearTimer(): void {
    if (this.#timer) this.#options.clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }
}

/** A watched directory that goes away itself reports its own name. */
const concerns = (name: string | null, directory: string, names: ReadonlySet<string>): boolean =>
  name === null || names.has('') || names.has(name) || name === basename(directory);

const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');

function watchWithFs(
  directory: string,
  onEvent: (name: string | null) => void,
  onError: (error: Error) => void,
): FSWatcher {
  const watcher = watch(directory, { persistent: false }, (_event, name) => onEvent(name));
  watcher.on('error', onError);
  return watcher;
}

function hashAll(paths: Iterable<string>): Map<string, string> {
  const hashes = new Map<string, string>();
  for (const path of paths) hashes.set(resolve(path), hashOf(resolve(path)));
  return hashes;
}

/** Why a file cannot be read is part of its state: it appears, disappears or becomes readable. */
function hashOf(path: string): string {
  const file = readBytes(path, { regularOnly: true, maxBytes: MAX_BYTES });
  return file.ok ? createHash('sha256').update(file.bytes).digest('hex') : file.reason;
}
