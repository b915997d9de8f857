/** Protocol switches that were asked for. */
import type { RequestStep } from '../upstream/step.ts';
import { headBytes, statusLine } from '../wire/serialize.ts';
import { respond, type Answer } from './answers.ts';

export interface Upgrade {
  /** Default `websocket`. */
  readonly protocol?: string;
  /** Sent in one write with the 101. Default nothing. */
  readonly firstBytes?: string;
  /** What to send back for each arrival. Default: the same bytes. */
  readonly answerTo?: (bytes: Buffer) => Buffer | undefined;
}

/** Answers 101, then talks raw bytes until the client leaves; they are recorded in `request.tunnel`. */
export function upgrade({
  protocol = 'websocket',
  firstBytes = '',
  answerTo = (bytes) => bytes,
}: Upgrade = {}): RequestStep {
  const head = headBytes(statusLine(101), { connection: 'Upgrade', upgrade: protocol });
  return {
    name: 'upgrade',
    startsAt: 'body',
    run: async (exchange) => {
      void exchange.write(Buffer.concat([head, Buffer.from(firstBytes)]));
      exchange.tunnel((bytes) => {
        const back = answerTo(bytes);
        if (back) void exchange.write(back);
      });
      await exchange.gone;
    },
  };
}

/** An ordinary answer to an upgrade request. Default 403. */
export function refuseUpgrade(answer: Answer = { status: 403, body: 'no upgrade here' }): RequestStep {
  return { ...respond(answer), name: 'refuseUpgrade' };
}
