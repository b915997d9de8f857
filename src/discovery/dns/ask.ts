/** One question to one DNS server: over UDP, and over TCP where the answer does not fit. */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import type { Clock } from '../../core/clock.ts';
import { MalformedAnswer, decodeAnswer, encodeQuestion } from './message.ts';
import type { DnsAnswer, Question } from './message.ts';

export interface DnsServer {
  /** An IP address. */
  readonly address: string;
  readonly port: number;
}

/** Why there is no answer. The message is fit for a log line. */
export class DnsError extends Error {}

export interface AskOptions {
  readonly clock: Clock;
  /** For all of it. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Offer longer answers over UDP. */
  readonly edns: boolean;
}

/** @throws DnsError when no answer to this question comes in time */
export async function ask(question: Question, server: DnsServer, options: AskOptions): Promise<DnsAnswer> {
  const dueAt = options.clock.now() + options.timeoutMs;
  const overUdp = await once(question, options, askOverUdp(server));
  if (!overUdp.truncated) return overUdp;
  const timeoutMs = Math.max(0, dueAt - options.clock.now());
  const overTcp = await once(question, { ...options, timeoutMs }, askOverTcp(server));
  // What is in it is not all there is, and that it is empty does not mean that there is nothing.
  if (overTcp.truncated) throw new DnsError('the answer is cut off also over TCP');
  return overTcp;
}

interface Wire {
  /** Sends; whatever comes back goes to `heard`. */
  send(bytes: Buffer): void;
  close(): void;
}

interface Ears {
  readonly heard: (message: Buffer) => void;
  readonly failed: (error: Error) => void;
}

type Opener = (ears: Ears) => Wire;

function once(question: Question, options: AskOptions, open: Opener): Promise<DnsAnswer> {
  const { clock, timeoutMs, signal, edns } = options;
  return new Promise((resolve, reject) => {
    const id = randomInt(0x1_0000);
    const settle = (fn: () => void): void => {
      clock.clearTimer(timer);
      signal.removeEventListener('abort', aborted);
      wire.close();
      fn();
    };
    const failed = (why: string): void => settle(() => reject(new DnsError(why)));
    const aborted = (): void => failed('not wanted any more');
    const timer = clock.setTimer(timeoutMs, () => failed('no answer in time'));
    const wire = open({
      heard: (message) => {
        const answer = understood(message, id, question);
        // What answers nothing that was asked may be an old answer, or a forged one: the right one may still come.
        if (answer) settle(() => resolve(answer));
      },
      failed: (error) => failed((error as NodeJS.ErrnoException).code ?? error.message),
    });
    signal.addEventListener('abort', aborted);
    if (signal.aborted) aborted();
    else wire.send(encodeQuestion(id, question, edns));
  });
}

function understood(message: Buffer, id: number, question: Question): DnsAnswer | undefined {
  try {
    return decodeAnswer(message, id, question);
  } catch (error) {
    if (error instanceof MalformedAnswer) return undefined;
    throw error;
  }
}

/** A socket, and with it a port, of its own for each question: both must be guessed to forge an answer (RFC 5452). */
const askOverUdp =
  ({ address, port }: DnsServer): Opener =>
  ({ heard, failed }) => {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    let open = true;
    socket.on('message', heard);
    socket.on('error', failed);
    return {
      // Connected, so that only the server is heard, and that a closed port is noticed.
      send: (bytes) => {
        socket.once('connect', () => {
          if (open) socket.send(bytes);
        });
        socket.connect(port, address);
      },
      close: () => {
        if (open) socket.close();
        open = false;
      },
    };
  };

const askOverTcp =
  ({ address, port }: DnsServer): Opener =>
  ({ heard, failed }) => {
    const socket = connect({ host: address, port });
    // Bounded by the two bytes that say how long a message is.
    let received = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const end = received.length < 2 ? Number.POSITIVE_INFINITY : 2 + received.readUInt16BE();
      if (received.length < end) return;
      socket.pause();
      heard(received.subarray(2, end));
      failed(new Error('not an answer'));
    });
    socket.on('end', () => failed(new Error('closed without an answer')));
    socket.on('error', failed);
    return {
      send: (bytes) => {
        const length = Buffer.alloc(2);
        length.writeUInt16BE(bytes.length);
        socket.write(Buffer.concat([length, bytes]));
      },
      close: () => void socket.destroy(),
    };
  };
