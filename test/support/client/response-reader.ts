/** Turns the bytes of one connection into responses, in the order of the requests they answer. */
import type { Conditions } from '../conditions.ts';
import { BodyDecoder } from '../wire/body-decoder.ts';
import { responseFraming } from '../wire/framing.ts';
import { takeHead } from '../wire/head.ts';
import type { Ending } from '../wire/peer.ts';
import { RawResponse, ResponseHead, type Interim } from './raw-response.ts';

/** One response somebody waits for. */
export interface Expected {
  /** Of the request: HEAD answers have no body. */
  readonly method: string;
  response?: RawResponse;
  /** Why there will be none. */
  failure?: Error;
}

export class ResponseReader {
  readonly #conditions: Conditions;
  readonly #expected: Expected[] = [];
  #buffered: Buffer = Buffer.alloc(0);
  #interim: Interim[] = [];
  #current: { readonly response: RawResponse; readonly body: BodyDecoder } | undefined;
  #ending: Ending | undefined;

  constructor(conditions: Conditions) {
    this.#conditions = conditions;
  }

  /** Bytes that belong to no response that was asked for. */
  get unread(): Buffer {
    return this.#buffered;
  }

  expect(method: string): Expected {
    const expected: Expected = { method };
    this.#expected.push(expected);
    this.#advance();
    return expected;
  }

  /** Takes everything out that belongs to no response. */
  takeUnread(): Buffer {
    const taken = this.#buffered;
    this.#buffered = Buffer.alloc(0);
    return taken;
  }

  push(bytes: Buffer): void {
    this.#buffered = this.#buffered.length > 0 ? Buffer.concat([this.#buffered, bytes]) : bytes;
    this.#advance();
    this.#conditions.changed();
  }

  /** The connection will bring nothing more. */
  close(how: Ending): void {
    this.#ending = how;
    this.#advance();
    this.#conditions.changed();
  }

  #advance(): void {
    try {
      while (this.#step());
      if (this.#ending !== undefined) this.#failExpected(new Error(this.#noResponse(this.#ending)));
    } catch (error) {
      this.#onMalformed(error as Error);
    }
  }

  /** @returns whether there may be more to do */
  #step(): boolean {
    if (this.#current) return this.#readBody(this.#current);
    const expected = this.#expected[0];
    const taken = expected && takeHead(this.#buffered);
    if (!taken) return false;
    const head = new ResponseHead(taken.head);
    const framing = responseFraming(taken.head, head.status, expected.method);
    this.#buffered = taken.rest;
    if (head.status < 200 && head.status !== 101) {
      this.#interim.push({ status: head.status, reason: head.reason, rawHeaders: head.rawHeaders });
      return true;
    }
    const response = new RawResponse({ head, interim: this.#interim, framing }, this.#conditions);
    this.#current = { response, body: new BodyDecoder(framing, (bytes) => response.add(bytes)) };
    this.#interim = [];
    this.#expected.shift();
    expected.response = response;
    return true;
  }

  #readBody({ response, body }: { readonly response: RawResponse; readonly body: BodyDecoder }): boolean {
    this.#buffered = body.push(this.#buffered);
    if (!body.done) return this.#endAtClose(response, body);
    response.trailers = body.trailers;
    response.finish('complete');
    this.#current = undefined;
    return true;
  }

  #endAtClose(response: RawResponse, body: BodyDecoder): boolean {
    if (this.#ending === undefined) return false;
    const complete = this.#ending === 'fin' && body.framing.kind === 'close';
    response.finish(complete ? 'complete' : this.#ending === 'fin' ? 'cut' : 'reset');
    this.#current = undefined;
    return true;
  }

  #onMalformed(error: Error): void {
    if (this.#current) this.#current.response.finish('malformed');
    else this.#failExpected(error);
    this.#current = undefined;
    this.#buffered = Buffer.alloc(0);
  }

  #failExpected(error: Error): void {
    for (const expected of this.#expected.splice(0)) expected.failure = error;
  }

  #noResponse(how: Ending): string {
    const said = { fin: 'closed', reset: 'reset', ours: 'closed by the test' }[how];
    return `the connection was ${said} before the response head; ${this.#buffered.length} bytes came`;
  }
}
