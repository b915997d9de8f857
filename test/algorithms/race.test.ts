import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Race } from '../../src/algorithms/race.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { settle } from '../support/fake-clock.ts';
import { bodyOf, fail, respond } from '../support/policy-kit.ts';

interface Racer {
  readonly name: number;
  readonly finish: (outcome: Outcome) => void;
  readonly fall: (error: Error) => void;
}

function raceOf(count: number) {
  const givenUp: number[] = [];
  const won: number[] = [];
  const seen: number[] = [];
  const race = new Race<Racer>({
    isGood: ({ verdict }) => verdict.result === 'success',
    rank: ({ kind }) => (kind === 'response' ? 1 : 0),
    giveUp: ({ name }) => void givenUp.push(name),
    onOutcome: ({ name }) => void seen.push(name),
    onWon: ({ name }) => void won.push(name),
  });
  const racers = Array.from({ length: count }, (_, name): Racer => {
    let [finish, fall]: [Racer['finish'], Racer['fall']] = [() => undefined, () => undefined];
    const pending = new Promise<Outcome>((resolve, reject) => {
      [finish, fall] = [resolve, reject];
    });
    const racer = { name, finish, fall };
    race.enter(racer, pending);
    return racer;
  });
  return { race, racers, givenUp, won, seen };
}

describe('Race', () => {
  it('has one outcome, the first good one or else the most telling, and releases every other, whatever the order', async () => {
    const kinds = fc.constantFrom('good', 'bad', 'failure');
    await fc.assert(
      fc.asyncProperty(
        fc.array(kinds, { minLength: 1, maxLength: 5 }),
        fc.infiniteStream(fc.nat()),
        async (all, order) => {
          const { race, racers, givenUp, won, seen } = raceOf(all.length);
          const made = all.map((kind) =>
            kind === 'failure' ? fail() : respond(kind === 'good' ? 200 : 503),
          );
          const waiting = [...racers];
          const finished: Outcome[] = [];
          let outcome: Outcome | undefined;
          void race.outcome.then((settled) => (outcome = settled));
          while (waiting.length > 0) {
            const [racer] = waiting.splice((order.next().value ?? 0) % waiting.length, 1);
            const result = made[racer?.name ?? 0] ?? fail();
            racer?.finish(result);
            finished.push(result);
            await settle();
            const isOver = result.verdict.result === 'success' || waiting.length === 0;
            if (isOver) expect(outcome).toBeDefined();
          }
          const good = finished.find(({ verdict }) => verdict.result === 'success');
          const last = finished.findLast(({ kind }) => kind === 'response') ?? finished.at(-1);
          expect(outcome).toBe(good ?? last);
          expect(won).toHaveLength(good ? 1 : 0);
          expect(givenUp).toHaveLength(good ? finished.length - 1 - finished.indexOf(good) : 0);
          expect(seen).toHaveLength(all.length);
          for (const one of made)
            if (one.kind === 'response') expect(bodyOf(one).discards).toBe(one === outcome ? 0 : 1);
        },
      ),
    );
  });

  it('gives the others up, and releases what is held, when one of them breaks', async () => {
    const { race, racers, givenUp } = raceOf(3);
    const held = respond(503);
    racers[0]?.finish(held);
    await settle();
    racers[1]?.fall(new Error('a bug'));
    await expect(race.outcome).rejects.toThrow('a bug');
    expect(givenUp).toEqual([2]);
    expect(bodyOf(held).discards).toBe(1);
    const late = respond();
    racers[2]?.finish(late);
    await settle();
    expect(bodyOf(late).discards).toBe(1);
  });

  it('takes no notice of one that breaks when it is over', async () => {
    const { race, racers } = raceOf(2);
    racers[0]?.finish(respond());
    await race.outcome;
    racers[1]?.fall(new Error('a bug'));
    await settle();
    expect(race.over).toBe(true);
  });
});
