/** Holds answers back until the test says so, instead of for a time. */
import { Conditions, type WaitOptions } from '../conditions.ts';
import type { RequestStep } from '../upstream/step.ts';
import type { UpstreamExchange } from '../upstream/upstream-exchange.ts';

/** Runs `then` when the test opens the gate. It is a step itself: put it into the script. */
export interface HeldResponse extends RequestStep {
  /** Requests at the gate now; those whose client left are not counted. */
  readonly held: number;
  /** Until exactly `count` requests stand at the gate. */
  waitForHeld(count?: number, options?: WaitOptions): Promise<void>;
  /** Lets everyone through, also those who come later. */
  release(): void;
  /** Lets one through: the one that waits longest, or the next to come. */
  releaseOne(): void;
}

/** Holds requests until the test releases them. */
export function holdResponse(then: RequestStep): HeldResponse {
  return new Gate(then);
}

class Gate implements HeldResponse {
  readonly name: string;
  readonly startsAt: 'head' | 'body';
  readonly #then: RequestStep;
  readonly #conditions = new Conditions();
  readonly #waiting = new Set<() => void>();
  #tickets = 0;

  constructor(then: RequestStep) {
    this.#then = then;
    this.name = `held ${then.name}`;
    this.startsAt = then.startsAt;
  }

  get held(): number {
    return this.#waiting.size;
  }

  async run(exchange: UpstreamExchange): Promise<void> {
    if (this.#tickets > 0) this.#tickets -= 1;
    else await this.#pass(exchange);
    await this.#then.run(exchange);
  }

  waitForHeld(count = 1, options?: WaitOptions): Promise<void> {
    return this.#conditions.untilTrue(
      () => this.held === count,
      () => `${count} held requests; ${this.held} are`,
      options,
    );
  }

  release(): void {
    this.#tickets = Infinity;
    for (const pass of [...this.#waiting]) pass();
  }

  releaseOne(): void {
    const [first] = this.#waiting;
    if (first) first();
    else this.#tickets += 1;
  }

  async #pass(exchange: UpstreamExchange): Promise<void> {
    await new Promise<void>((resolve) => {
      const pass = (): void => {
        this.#waiting.delete(pass);
        this.#conditions.changed();
        resolve();
      };
      this.#waiting.add(pass);
      this.#conditions.changed();
      void exchange.gone.then(pass);
    });
  }
}
