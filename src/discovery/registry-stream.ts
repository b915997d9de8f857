/** Follows a registry elsewhere over one connection: all there is, then what changes, until that connection ends. */
import { z } from 'zod';
import type { Clock, TimerHandle } from '../core/clock.ts';
import { INSTANCE_STATUSES } from '../core/registry.ts';
import { foundEndpointSchema } from '../schema/endpoint.ts';
import { SseFrames } from '../streams/sse-frames.ts';
import { HttpClientError } from '../transport/http-client.ts';
import type { HttpClient } from '../transport/http-client.ts';
import type { KnownInstance } from './registry-endpoints.ts';

/** To the head of the answer. */
const TIMEOUT_MS = 5_000;
/** The registry says something every 15 s: after so long without, nobody is there. */
const SILENCE_MS = 45_000;
/** A registry that tells of more is none for one upstream. */
const MAX_INSTANCES = 10_000;

/** As for endpoints from elsewhere, so that what is kept of them can be read again. */
const { url, weight, priority, zone, metadata, instance } = foundEndpointSchema.shape;

const instanceSchema = z.object({
  ...{ url, weight, priority, zone, metadata },
  id: instance.unwrap(),
  status: z.enum(INSTANCE_STATUSES),
});

const snapshotSchema = z.object({
  instances: z.array(instanceSchema),
  more: z.boolean(),
  settlesInMs: z.number().min(0),
});

type Known = ReadonlyMap<string, KnownInstance>;

export interface Followed {
  /** Of the registry. */
  readonly url: string;
  readonly token: string | undefined;
  readonly service: string;
  /** What a connection before this one told. */
  readonly known: Known | undefined;
}

export interface FollowDeps {
  readonly http: HttpClient;
  readonly clock: Clock;
  /** All there is now; after every change. */
  readonly heard: (known: Known) => void;
  /** The same, once the registry has had time to hear of all who live. */
  readonly settle: (known: Known) => void;
}

/** Resolves when the registry ends it. @throws Error where it cannot be reached or understood */
export async function followRegistry(followed: Followed, deps: FollowDeps): Promise<void> {
  const { url, token, service } = followed;
  const stream = await deps.http.stream({
    url: `${url.replace(/\/+$/, '')}/v1/watch?service=${encodeURIComponent(service)}`,
    timeoutMs: TIMEOUT_MS,
    headers: {
      accept: 'text/event-stream',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
  });
  const reading = new Reading(followed, deps);
  let silence: TimerHandle | undefined;
  let silent = false;
  const listen = (): void => {
    if (silence) deps.clock.clearTimer(silence);
    silence = deps.clock.setBackgroundTimer(SILENCE_MS, () => {
      silent = true;
      stream.close();
    });
  };
  try {
    if (stream.status !== 200)
      throw new HttpClientError(`expected 200 from the registry, got ${stream.status}`);
    listen();
    for await (const chunk of stream.chunks) {
      listen();
      reading.push(chunk);
    }
  } finally {
    if (silence) deps.clock.clearTimer(silence);
    reading.end();
    stream.close();
  }
  throw new HttpClientError(
    silent ? `the registry was silent for ${SILENCE_MS} ms` : 'the registry ended the watch',
  );
}

class Reading {
  readonly #before: Known;
  readonly #deps: FollowDeps;
  readonly #frames = new SseFrames((event, data) => this.#take(event, data));
  readonly #instances = new Map<string, KnownInstance>();
  /** Those of before that the registry may only not have heard of yet. */
  #unsettled = new Map<string, KnownInstance>();
  #inSnapshot = false;
  #whole = false;
  #changed = false;
  #settling = false;
  #timer: TimerHandle | undefined;

  constructor({ known }: Followed, deps: FollowDeps) {
    this.#before = known ?? new Map();
    this.#deps = deps;
  }

  /** @throws Error where it is not understood */
  push(chunk: Buffer): void {
    this.#frames.push(chunk);
    if (!this.#changed || !this.#whole) return;
    // From a registry that has just begun, that nobody is there means nothing.
    if (this.#settling && this.#all.size === 0) return;
    this.#changed = false;
    this.#deps.heard(this.#all);
  }

  end(): void {
    if (this.#timer) this.#deps.clock.clearTimer(this.#timer);
  }

  get #all(): Known {
    return new Map([...this.#unsettled, ...this.#instances]);
  }

  #take(event: string, raw: string): void {
    const data: unknown = parsed(raw);
    if (event === 'snapshot') this.#snapshot(data);
    else if (['registered', 'changed', 'expired', 'left'].includes(event)) this.#change(event, data);
  }

  #snapshot(data: unknown): void {
    const { instances, more, settlesInMs } = understood(snapshotSchema, data);
    const before = this.#whole ? this.#all : this.#before;
    if (!this.#inSnapshot) this.#instances.clear();
    this.#inSnapshot = more;
    this.#whole = !more;
    for (const one of instances) this.#add(one);
    if (more) return;
    this.#changed = true;
    this.#settling = settlesInMs > 0;
    this.#unsettled = settlesInMs > 0 ? new Map(before) : new Map<string, KnownInstance>();
    if (settlesInMs > 0) this.#settleIn(settlesInMs);
  }

  #settleIn(ms: number): void {
    if (this.#timer) this.#deps.clock.clearTimer(this.#timer);
    this.#timer = this.#deps.clock.setBackgroundTimer(ms, () => {
      this.#unsettled = new Map();
      this.#settling = false;
      if (this.#whole) this.#deps.settle(this.#all);
    });
  }

  #change(event: string, data: unknown): void {
    const instance = understood(instanceSchema, data);
    this.#changed = true;
    if (event === 'left') {
      this.#instances.delete(instance.id);
      this.#unsettled.delete(instance.id);
    } else this.#add(instance);
  }

  #add(one: z.output<typeof instanceSchema>): void {
    if (this.#instances.size >= MAX_INSTANCES && !this.#instances.has(one.id))
      throw new HttpClientError(`expected at most ${MAX_INSTANCES} instances from the registry`);
    this.#instances.set(one.id, { ...one, zone: one.zone });
  }
}

/** Frames are bytes, each of them a character. */
function parsed(raw: string): unknown {
  try {
    return JSON.parse(Buffer.from(raw, 'latin1').toString('utf8'));
  } catch {
    throw new HttpClientError('expected JSON in the events of the registry');
  }
}

function understood<S extends z.ZodType>(shape: S, data: unknown): z.output<S> {
  const read = shape.safeParse(data);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw new HttpClientError(
    `not what a registry says: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`,
  );
}
