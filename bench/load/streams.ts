/** Event streams: this process holds both ends, so it knows when an event that it sent has come out of the proxy. */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { footprintKb, rssKb, startMeter } from '../lab/proc.ts';
import { percentile } from '../statistics.ts';
import { CHAT_END_BYTES, CHAT_EVENT_BYTES, CHAT_PATH, EVENT_BYTES, jsonOf, jsonPost } from './content.ts';
import { FailureCount, foreignOf, type IdleJob, type JobResult, type SseJob, type Target } from './jobs.ts';
import type { StreamBoard, Upstream } from './upstream.ts';
import { MessageReader, statusOf } from './wire.ts';

const REQUEST_BYTES = 200;
const OPEN_TIMEOUT_MS = 5_000;
const END_TIMEOUT_MS = 3_000;
const HANG_UP_MS = 1_500;
/**
 * Opened before the baseline of the idle scenario is read, so that code, first buffers and the young generation's growth
 * are part of it: over a cold baseline they are counted as streams, and no two runs agree.
 */
const WARM_STREAMS = 1_000;
const OPEN_AT_ONCE = 50;

/** The client's side of one stream. */
class StreamClient {
  readonly id: number;
  ended = false;
  readonly #socket: Socket;
  readonly #reader: MessageReader;
  #bytes = 0;
  #hungUp = false;

  constructor(id: number, port: number, crowd: Crowd) {
    this.id = id;
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#reader = new MessageReader('response', {
      onHead: (head) => {
        crowd.failures.status(statusOf(head));
        crowd.onHead(this);
      },
      onBody: (bytes) => {
        this.#bytes += bytes;
        if (this.#bytes % crowd.eventBytes === 0) crowd.onEvent(this);
      },
      onEnd: () => {
        this.ended = true;
        if (this.#bytes % crowd.eventBytes !== crowd.endBytes) crowd.failures.incomplete += 1;
      },
    });
    this.#socket.once('connect', () =>
      this.#socket.write(jsonPost(`/sse/${id}${crowd.path}`, jsonOf(REQUEST_BYTES))),
    );
    this.#socket.on('data', (data) => this.#reader.feed(data));
    this.#socket.on('error', () => this.#socket.destroy());
    this.#socket.once('close', () => this.#closed(crowd));
  }

  #closed(crowd: Crowd): void {
    this.#reader.eof();
    if (!this.ended && !this.#hungUp) crowd.failures.socketErrors += 1;
  }

  hangUp(): void {
    this.#hungUp = true;
    this.#socket.destroy();
  }
}

/** Many clients, and what happens when one of them sees its head or a whole event. */
abstract class Crowd {
  readonly failures = new FailureCount();
  readonly clients: StreamClient[] = [];
  readonly board: StreamBoard;
  readonly eventBytes: number;
  /** Length of the end mark. */
  readonly endBytes: number;
  /** What the paths of the streams end with. */
  readonly path: string;
  readonly #port: number;

  constructor(port: number, board: StreamBoard, chat = false) {
    this.#port = port;
    this.board = board;
    this.eventBytes = chat ? CHAT_EVENT_BYTES : EVENT_BYTES;
    this.endBytes = chat ? CHAT_END_BYTES : 0;
    this.path = chat ? CHAT_PATH : '';
  }

  add(): void {
    this.clients.push(new StreamClient(this.clients.length, this.#port, this));
  }

  hangUp(): void {
    for (const client of this.clients) client.hangUp();
  }

  abstract onHead(client: StreamClient): void;
  abstract onEvent(client: StreamClient): void;
}

/** Exactly one event is under way on each stream: none are merged on the way, so all proxies handle the same number. */
class BusyCrowd extends Crowd {
  events = 0;
  latencies: number[] = [];
  stopping = false;
  readonly #sentAt: number[] = [];

  /** Streams that have had their head. */
  flowing = 0;

  onHead({ id }: StreamClient): void {
    this.flowing += 1;
    // Of a chat, the first event comes by itself.
    if (this.path === '') this.#send(id);
    else this.#sentAt[id] = performance.now();
  }

  onEvent({ id }: StreamClient): void {
    this.events += 1;
    this.latencies.push(performance.now() - (this.#sentAt[id] ?? 0));
    if (this.stopping) this.board.end(id);
    else this.#send(id);
  }

  #send(id: number): void {
    this.#sentAt[id] = performance.now();
    this.board.send(id);
  }
}

export async function runSse(job: SseJob, target: Target, upstream: Upstream): Promise<JobResult> {
  const crowd = new BusyCrowd(target.port, upstream.streams, job.chat);
  for (let i = 0; i < job.streams; i++) crowd.add();
  if (!(await until(() => crowd.flowing === job.streams, OPEN_TIMEOUT_MS))) crowd.failures.incomplete += 1;
  crowd.events = 0;
  crowd.latencies = [];
  const stop = startMeter(target.pids, target.core);
  await delay(job.durationMs);
  const reading = stop();
  const { events, latencies } = crowd;
  crowd.stopping = true;
  const allEnded = (): boolean => crowd.clients.every((client) => client.ended);
  if (!(await until(allEnded, END_TIMEOUT_MS))) {
    crowd.failures.incomplete += crowd.clients.filter((client) => !client.ended).length;
  }
  crowd.hangUp();
  const figures = {
    events,
    cpuSeconds: reading.cpuSeconds,
    wallSeconds: reading.wallSeconds,
    p50Ms: percentile(latencies, 50),
    p99Ms: percentile(latencies, 99),
  };
  return { figures, failures: crowd.failures.toJSON(), ...foreignOf(reading) };
}

/** One event each, then silence. */
class IdleCrowd extends Crowd {
  quiet = 0;

  onHead({ id }: StreamClient): void {
    this.board.send(id);
  }

  onEvent(): void {
    this.quiet += 1;
  }

  /** Opens streams, some at a time, until `count` have had their event. @returns whether all did */
  async grow(count: number): Promise<boolean> {
    while (this.clients.length < count) {
      const next = Math.min(count, this.clients.length + OPEN_AT_ONCE);
      while (this.clients.length < next) this.add();
      if (!(await until(() => this.quiet >= next, END_TIMEOUT_MS))) return false;
    }
    return true;
  }
}

export async function runIdle(job: IdleJob, target: Target, upstream: Upstream): Promise<JobResult> {
  const crowd = new IdleCrowd(target.port, upstream.streams);
  await crowd.grow(WARM_STREAMS);
  await delay(job.settleMs);
  const [before, rssBefore] = [footprintKb(target.pids), rssKb(target.pids)];
  const all = WARM_STREAMS + job.streams;
  if (!(await crowd.grow(all))) crowd.failures.incomplete += all - crowd.quiet;
  await delay(job.settleMs);
  const after = footprintKb(target.pids);
  crowd.hangUp();
  await until(() => upstream.streams.open === 0, HANG_UP_MS);
  const figures = {
    kbPerStream: (after - before) / job.streams,
    baselineMb: rssBefore / 1_024,
    leftUpstream: upstream.streams.open,
  };
  return { figures, failures: crowd.failures.toJSON() };
}

async function until(condition: () => boolean, timeoutMs: number): Promise<boolean> {
  const giveUpAt = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > giveUpAt) return false;
    await delay(5);
  }
  return true;
}
