/** What a client asks for: a head, and a body that every attempt opens anew. */
import type { Readable } from 'node:stream';
import type { HeaderList } from './header-list.ts';

export interface RequestHead {
  readonly method: string;
  /** Path and query for the upstream, byte for byte as the client sent them, without the route's prefix. */
  readonly target: string;
  /** End-to-end fields only; without host and content-length, which belong to each attempt. */
  readonly headers: HeaderList;
  /** The client's Host field. */
  readonly host: string;
  /** Set when the client asks to switch protocols, such as `websocket`. */
  readonly upgrade?: string;
}

/** The request body, which every attempt opens anew. */
export interface RequestBody {
  /** True while a further attempt can send the very same bytes. */
  readonly replayable: boolean;
  /** True when all of it is here and kept, so that attempts can send it side by side. */
  readonly shareable: boolean;
  /** Length in bytes; undefined when the client did not say and its body has not come to its end. */
  readonly length: number | undefined;
  /** True while an attempt's upload stands still because the client sends nothing. */
  readonly waitingForClient: boolean;
  /** The bytes for one attempt: all of them, none, or a stream. A stream is destroyed with an error when the client leaves. */
  open(): Uint8Array | null | Readable;
  /** All bytes where they are here already, or null where there is no body; undefined where they are not. */
  peek(): Uint8Array | null | undefined;
  /**
   * All bytes, once they are here, or null where there is no body; undefined when they cannot be kept. Reads on without
   * waiting for an upstream, within the bounds for replay. Never rejects.
   */
  whole(): Promise<Uint8Array | null | undefined>;
}
