/** What a discoverer says of its list, and waiting for it. */
import type { EndpointDescription } from '../../src/core/endpoint.ts';
import { Conditions } from '../support/conditions.ts';

export class RecordingList {
  readonly #conditions = new Conditions();
  /** Every list that was told, the last one last. */
  readonly lists: (readonly EndpointDescription[])[] = [];
  readonly failures: string[] = [];

  readonly replace = (endpoints: readonly EndpointDescription[]): void => {
    this.lists.push(endpoints);
    this.#conditions.changed();
  };

  readonly failed = (message: string): void => {
    this.failures.push(message);
    this.#conditions.changed();
  };

  get last(): readonly EndpointDescription[] | undefined {
    return this.lists.at(-1);
  }

  get urls(): string[] | undefined {
    return this.last?.map(({ url }) => url);
  }

  /** Lists and failures so far. */
  get count(): number {
    return this.lists.length + this.failures.length;
  }

  /** Resolves when so many lists and failures have been told. */
  told(count: number): Promise<void> {
    return this.#conditions.untilTrue(
      () => this.count >= count,
      () => `${count} lists and failures; there are ${this.lists.length} and ${this.failures.join('; ')}`,
    );
  }

  /** Resolves when the last list has these URLs. */
  become(...urls: readonly string[]): Promise<void> {
    return this.#conditions.untilTrue(
      () => JSON.stringify(this.urls) === JSON.stringify(urls),
      () => `${urls.join(', ')}; there is ${this.urls?.join(', ') ?? 'nothing'}; ${this.failures.join('; ')}`,
    );
  }
}
