/** What the core needs to know of an agent protocol. One implementation per protocol in `dialects/`. */
import type { HeaderList } from './header-list.ts';
import type { ResponseHead } from './outcome.ts';
import type { Reason } from './reasons.ts';
import type { Verdict } from './verdict.ts';

/** What a local answer has to say, before a dialect gives it a shape. */
export interface LocalError {
  readonly status: number;
  readonly reason: Reason;
  /** One sentence for people. */
  readonly title: string;
  /** More for people, where there is more. */
  readonly detail: string | undefined;
  readonly requestId: string;
  readonly retryAfterMs: number | undefined;
}

export interface Dialect {
  readonly name: string;
  /** Judges a response by its head. */
  classify(head: ResponseHead, wallTime: () => Date): Verdict;
  /** True for answers that are delivered bit by bit for as long as they like: these have no total deadline. */
  isStream(head: ResponseHead): boolean;
  /** The body, and the headers that describe it, of an answer that the sidecar makes itself. */
  renderError(error: LocalError): { readonly headers: HeaderList; readonly body: string };
}
