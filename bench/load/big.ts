/** Bodies of 64 MiB: down to slow readers, down to a fast one, and up. */
import { connect, type Socket } from 'node:net';
import { peakRssKb, resetPeak, rssKb, startMeter } from '../lab/proc.ts';
import { BIG_BYTES } from './content.ts';
import { FailureCount, foreignOf, type BigJob, type JobResult, type Target } from './jobs.ts';
import { writePaced } from './upstream.ts';
import { MessageReader, statusOf } from './wire.ts';

const TRANSFER_TIMEOUT_MS = 15_000;
const PACE_MS = 10;
const GIB = 2 ** 30;

interface Transfer {
  readonly target: Target;
  readonly failures: FailureCount;
  /** Bytes the answer must have; undefined when it does not matter. */
  readonly expected?: number;
  /** How fast the answer is read; undefined for as fast as it comes. */
  readonly bytesPerSecond?: number;
  readonly send: (socket: Socket) => void;
}

/** One request on a connection of its own. Resolves when it has ended, well or not; failures are counted. */
function transfer({ target, failures, expected, bytesPerSecond, send }: Transfer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ port: target.port, host: '127.0.0.1', noDelay: true });
    let bytes = 0;
    let complete = false;
    const reader = new MessageReader('response', {
      onHead: (head) => failures.status(statusOf(head)),
      onBody: (count) => {
        bytes += count;
      },
      onEnd: () => {
        complete = true;
        socket.destroy();
      },
    });
    const timer = setTimeout(() => socket.destroy(), TRANSFER_TIMEOUT_MS);
    const unpace = bytesPerSecond === undefined ? undefined : readSlowly(socket, bytesPerSecond);
    socket.once('connect', () => send(socket));
    socket.on('data', (data) => reader.feed(data));
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      clearTimeout(timer);
      unpace?.();
      reader.eof();
      if (!complete || (expected !== undefined && bytes !== expected)) failures.incomplete += 1;
      resolve();
    });
  });
}

/** Lets `bytesPerSecond` through, in portions; the socket is paused in between. Call the result to stop. */
function readSlowly(socket: Socket, bytesPerSecond: number): () => void {
  const portion = (bytesPerSecond * PACE_MS) / 1_000;
  let allowance = portion;
  socket.on('data', (data) => {
    allowance -= data.length;
    if (allowance <= 0) socket.pause();
  });
  const timer = setInterval(() => {
    allowance = Math.min(portion, allowance + portion);
    if (allowance > 0 && socket.isPaused()) socket.resume();
  }, PACE_MS);
  return () => clearInterval(timer);
}

function download(target: Target, failures: FailureCount, bytesPerSecond?: number): Promise<void> {
  return transfer({
    target,
    failures,
    expected: BIG_BYTES,
    ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
    send: (socket) => socket.write(`GET /big/${BIG_BYTES} HTTP/1.1\r\nhost: bench.local\r\n\r\n`),
  });
}

/** The upstream answers with how much it received; the answer's length tells whether that was all. */
function upload(target: Target, failures: FailureCount): Promise<void> {
  return transfer({
    target,
    failures,
    expected: JSON.stringify({ received: BIG_BYTES }).length,
    send: (socket) => {
      socket.write(
        `POST /upload HTTP/1.1\r\nhost: bench.local\r\ncontent-type: application/octet-stream\r\ncontent-length: ${BIG_BYTES}\r\n\r\n`,
      );
      writePaced(socket, BIG_BYTES);
    },
  });
}

interface Phase {
  readonly cpuPerGib: number;
  readonly growthMb: number;
  readonly foreignShare?: number;
}

async function phase(target: Target, transfers: number, run: () => Promise<void>): Promise<Phase> {
  resetPeak(target.pids);
  const before = rssKb(target.pids);
  const stop = startMeter(target.pids, target.core);
  await run();
  const reading = stop();
  return {
    cpuPerGib: reading.cpuSeconds / ((transfers * BIG_BYTES) / GIB),
    growthMb: (peakRssKb(target.pids) - before) / 1_024,
    ...foreignOf(reading),
  };
}

async function times(count: number, run: () => Promise<void>): Promise<void> {
  for (let i = 0; i < count; i++) await run();
}

export async function runBig(job: BigJob, target: Target): Promise<JobResult> {
  const failures = new FailureCount();
  const slow = await phase(target, job.slowReaders, async () => {
    const readers = Array.from({ length: job.slowReaders }, () =>
      download(target, failures, job.slowBytesPerSecond),
    );
    await Promise.all(readers);
  });
  const down = await phase(target, job.transfers, () =>
    times(job.transfers, () => download(target, failures)),
  );
  const up = await phase(target, job.transfers, () => times(job.transfers, () => upload(target, failures)));
  const figures = {
    slowCpuPerGib: slow.cpuPerGib,
    slowGrowthMb: slow.growthMb,
    downCpuPerGib: down.cpuPerGib,
    downGrowthMb: down.growthMb,
    upCpuPerGib: up.cpuPerGib,
    upGrowthMb: up.growthMb,
  };
  return {
    figures,
    failures: failures.toJSON(),
    ...(down.foreignShare === undefined ? {} : { foreignShare: down.foreignShare }),
  };
}
