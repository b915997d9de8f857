/** Small JSON requests over keep-alive connections, each sending the next as soon as the answer is complete. */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { startMeter } from '../lab/proc.ts';
import { percentile } from '../statistics.ts';
import { JSON_BYTES, jsonOf, jsonPost } from './content.ts';
import { FailureCount, foreignOf, type JobResult, type JsonJob, type Target } from './jobs.ts';
import { MessageReader, statusOf } from './wire.ts';

/** Left out of the measurement, so that opening the connections is. */
const SETTLE_MS = 200;

const usual = jsonPost('/json', jsonOf(JSON_BYTES));
const UNIQUE_DIGITS = 12;

/** The usual request, with a number in place of the last characters of its text. */
function numbered(number: number): Buffer {
  const request = Buffer.from(usual);
  const end = request.lastIndexOf('"}');
  request.write(String(number).padStart(UNIQUE_DIGITS, '0'), end - UNIQUE_DIGITS, 'latin1');
  return request;
}

/** A set of connections that keep the proxy busy until told to stop. */
export class JsonTraffic {
  readonly failures = new FailureCount();
  answers = 0;
  /** Milliseconds of each answer since the last call of `reset`. */
  latencies: number[] = [];
  readonly #sockets: Socket[];
  #stopping = false;
  readonly #unique: boolean;
  #sent = Math.floor(Math.random() * 1e6) * 1e6;

  constructor(port: number, { connections, unique = false }: Pick<JsonJob, 'connections' | 'unique'>) {
    this.#unique = unique;
    this.#sockets = Array.from({ length: connections }, () => this.#open(port));
  }

  #open(port: number): Socket {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let sentAt = 0;
    let bytes = 0;
    const send = (): void => {
      sentAt = performance.now();
      bytes = 0;
      socket.write(this.#unique ? numbered(++this.#sent) : usual);
    };
    const reader = new MessageReader('response', {
      onHead: (head) => this.failures.status(statusOf(head)),
      onBody: (count) => {
        bytes += count;
      },
      onEnd: () => {
        this.answers += 1;
        this.latencies.push(performance.now() - sentAt);
        if (bytes !== JSON_BYTES) this.failures.incomplete += 1;
        if (!this.#stopping) send();
      },
    });
    socket.once('connect', send);
    socket.on('data', (data) => reader.feed(data));
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      if (!this.#stopping) this.failures.socketErrors += 1;
    });
    return socket;
  }

  reset(): void {
    this.answers = 0;
    this.latencies = [];
  }

  stop(): void {
    this.#stopping = true;
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** The stand-in for wrk, for machines without it. */
export async function runJson(job: JsonJob, target: Target): Promise<JobResult> {
  const traffic = new JsonTraffic(target.port, job);
  await delay(SETTLE_MS);
  traffic.reset();
  const stop = startMeter(target.pids, target.core);
  await delay(job.durationMs);
  const reading = stop();
  const { answers, latencies, failures } = traffic;
  traffic.stop();
  const figures = {
    requests: answers,
    cpuSeconds: reading.cpuSeconds,
    wallSeconds: reading.wallSeconds,
    p50Ms: percentile(latencies, 50),
    p99Ms: percentile(latencies, 99),
  };
  return { figures, failures: failures.toJSON(), ...foreignOf(reading) };
}
