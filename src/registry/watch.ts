/**
 * Those who follow changes (server-sent events). Each keeps only its place in the changes and reads on when its connection
 * takes more, so that a slow one costs no memory; one that takes nothing for too long is cut off.
 */
import type { ServerResponse } from 'node:http';
import type { Clock, TimerHandle } from '../core/clock.ts';
import type { Emit } from '../core/events.ts';
import type { Instance, InstanceChange } from '../core/registry.ts';
import type { Catalog } from './catalog.ts';
import { viewOf } from './instance.ts';

/** Silence is broken so often, for whoever takes silence for a dead connection. */
export const KEEP_ALIVE_MS = 15_000;
/** A connection that took nothing for so long is cut off. */
export const STALL_MS = 30_000;
/** How soon to come back, for clients of the standard's own kind. */
const RETRY_MS = 2_000;
/** Instances, or changes, in one piece. */
const PIECE = 100;

const HEAD = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
};

export interface WatchDeps {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly emit: Emit;
}

export interface Following {
  /** Undefined: all. */
  readonly service: string | undefined;
  /** `Last-Event-ID`: where an earlier connection ended. */
  readonly lastEventId: string | undefined;
}

/** All who follow. */
export class Watchers {
  readonly #deps: WatchDeps;
  readonly #open = new Set<Watcher>();
  readonly #unsubscribe: () => void;
  #timer: TimerHandle | undefined;

  constructor(deps: WatchDeps) {
    this.#deps = deps;
    this.#unsubscribe = deps.catalog.onChange(() => {
      for (const watcher of [...this.#open]) watcher.pump();
    });
  }

  get count(): number {
    return this.#open.size;
  }

  open(response: ServerResponse, following: Following): void {
    const watcher = new Watcher(response, following, this.#deps);
    this.#open.add(watcher);
    response.once('close', () => {
      this.#open.delete(watcher);
      this.#tell(watcher.isSlow ? 'slow' : 'closed');
    });
    this.#tell('opened');
    this.#arm();
    watcher.begin();
  }

  close(): void {
    this.#unsubscribe();
    if (this.#timer) this.#deps.clock.clearTimer(this.#timer);
    this.cutAll();
  }

  /** They may come again. */
  cutAll(): void {
    for (const watcher of [...this.#open]) watcher.cut();
  }

  #tell(change: 'opened' | 'closed' | 'slow'): void {
    this.#deps.emit('registry-watcher', { change, watchers: this.#open.size });
  }

  /** One timer for all of them, for as long as there are some. */
  #arm(): void {
    this.#timer ??= this.#deps.clock.setBackgroundTimer(KEEP_ALIVE_MS, () => {
      this.#timer = undefined;
      for (const watcher of [...this.#open]) watcher.keepAlive();
      if (this.#open.size > 0) this.#arm();
    });
  }
}

class Watcher {
  /** It was cut off because nothing got through. */
  isSlow = false;
  readonly #response: ServerResponse;
  readonly #service: string | undefined;
  readonly #deps: WatchDeps;
  /** Of the last change that was sent; undefined: all there is must be sent first. */
  #revision: number | undefined;
  /** What is left to send of all there is. */
  #rest: readonly Instance[] | undefined;
  #snapshotOf = 0;
  #blockedSince: number | undefined;

  constructor(response: ServerResponse, { service, lastEventId }: Following, deps: WatchDeps) {
    this.#response = response;
    this.#service = service;
    this.#deps = deps;
    const [epoch, revision = ''] = lastEventId?.split('-') ?? [];
    if (epoch === deps.catalog.epoch && /^\d{1,15}$/.test(revision)) this.#revision = Number(revision);
  }

  begin(): void {
    this.#response.on('drain', () => {
      this.#blockedSince = undefined;
      this.pump();
    });
    this.#response.writeHead(200, HEAD);
    this.#write(`retry: ${RETRY_MS}\n\n`);
    this.pump();
  }

  /** Sends what the connection takes. */
  pump(): void {
    while (this.#blockedSince === undefined && !this.#response.destroyed && this.#sendPiece());
  }

  keepAlive(): void {
    if (this.#blockedSince === undefined) this.#write(': alive\n\n');
    else if (this.#deps.clock.now() - this.#blockedSince >= STALL_MS) {
      this.isSlow = true;
      this.cut();
    }
  }

  cut(): void {
    this.#response.destroy();
  }

  /** @returns whether there may be more */
  #sendPiece(): boolean {
    if (this.#rest) return this.#sendRest(this.#rest);
    const changes =
      this.#revision === undefined ? undefined : this.#deps.catalog.changesAfter(this.#revision, PIECE);
    if (!changes) return this.#beginAnew();
    const last = changes.at(-1);
    if (!last) return false;
    this.#revision = last.revision;
    const text = changes.map((change) => this.#frame(change)).join('');
    if (text !== '') this.#write(text);
    return true;
  }

  /** It knows nothing yet, or has fallen behind too far. */
  #beginAnew(): true {
    const { catalog } = this.#deps;
    const names = this.#service === undefined ? catalog.services.map(({ name }) => name) : [this.#service];
    this.#snapshotOf = catalog.revision;
    this.#rest = names.flatMap((name) => catalog.instancesOf(name));
    return true;
  }

  #sendRest(rest: readonly Instance[]): true {
    const more = rest.length > PIECE;
    const data = {
      revision: this.#snapshotOf,
      settlesInMs: Math.ceil(this.#deps.catalog.settlesInMs),
      instances: rest.slice(0, PIECE).map(viewOf),
      more,
    };
    this.#rest = more ? rest.slice(PIECE) : undefined;
    // Only its end is a place to go on from.
    const id = more ? '' : this.#id(this.#snapshotOf);
    if (!more) this.#revision = this.#snapshotOf;
    this.#write(`${id}event: snapshot\ndata: ${JSON.stringify(data)}\n\n`);
    return true;
  }

  #frame({ revision, kind, instance }: InstanceChange): string {
    if (this.#service !== undefined && this.#service !== instance.service) return '';
    return `${this.#id(revision)}event: ${kind}\ndata: ${JSON.stringify(viewOf(instance))}\n\n`;
  }

  #id(revision: number): string {
    return `id: ${this.#deps.catalog.epoch}-${revision}\n`;
  }

  #write(text: string): void {
    if (!this.#response.write(text)) this.#blockedSince = this.#deps.clock.now();
  }
}
