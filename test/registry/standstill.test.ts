/** A process that is stopped (SIGSTOP, a sleeping laptop, a starved virtual machine) hears nobody meanwhile. */
import { expect, it, onTestFinished } from 'vitest';
import { seededRandom } from '../../src/core/random.ts';
import { RegistryHost } from '../../src/registry/host.ts';
import { registrySchema } from '../../src/schema/registry.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { EventLog } from '../support/policy-kit.ts';
import { registration, statuses } from './fixture.ts';

/** Time passes in which no timer fires. */
class StoppableClock extends FakeClock {
  #stoppedMs = 0;

  standStill(ms: number): void {
    this.#stoppedMs += ms;
  }

  override now(): number {
    return super.now() + this.#stoppedMs;
  }
}

it('takes nobody for down whom a registry that stood still could not hear, and still notices who stays silent', async () => {
  const clock = new StoppableClock();
  const host = new RegistryHost({ clock, random: seededRandom(3), emit: new EventLog().emit });
  onTestFinished(() => host.close());
  await host.configure(registrySchema.parse({ listen: '127.0.0.1:0', ttl: '10s', sweepInterval: '1s' }));
  for (const id of ['a', 'b']) host.catalog.register(registration(id, { ttlMs: 10_000 }));
  await clock.advance(5_000);
  clock.standStill(60_000);
  await clock.advance(1_000);
  expect(statuses(host.catalog)).toEqual(['a up', 'b up']);
  host.catalog.heartbeat('search', 'a');
  await clock.advance(6_000);
  expect(statuses(host.catalog)).toEqual(['a up', 'b down']);
});
