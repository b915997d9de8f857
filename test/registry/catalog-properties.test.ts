import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Instance, InstanceStatus } from '../../src/core/registry.ts';
import { INSTANCE_STATUSES } from '../../src/core/registry.ts';
import type { Catalog } from '../../src/registry/catalog.ts';
import { catalogWith, registration } from './fixture.ts';

const MAX = 5;
const TTL = 30_000;
const RETENTION = 60_000;

type Step =
  | { readonly do: 'register' | 'heartbeat'; readonly id: string; readonly status: InstanceStatus }
  | { readonly do: 'deregister'; readonly id: string }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'sweep' };

const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g');
const status = fc.constantFrom(...INSTANCE_STATUSES);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('register' as const), id, status }),
  fc.record({ do: fc.constant('heartbeat' as const), id, status }),
  fc.record({ do: fc.constant('deregister' as const), id }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 50_000 }) }),
  fc.record({ do: fc.constant('sweep' as const) }),
);

/** What follows the changes must come to what the catalog says. */
function replayed(catalog: Catalog): Map<string, Instance> {
  const known = new Map<string, Instance>();
  for (const { kind, instance } of catalog.changesAfter(0, 10_000) ?? []) {
    if (kind === 'left') known.delete(instance.id);
    else known.set(instance.id, instance);
  }
  return known;
}

describe('whatever instances do', () => {
  it('no lease outlives a sweep, nobody alive is down, bounds hold, and the changes tell all of it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { catalog, clock } = catalogWith({ maxInstances: MAX, retention: '1m' });
        const lastSign = new Map<string, number>();
        for (const one of steps) {
          if (one.do === 'wait') await clock.advance(one.ms);
          else if (one.do === 'sweep') catalog.sweep();
          else if (one.do === 'deregister') catalog.deregister('search', one.id);
          else {
            const done =
              one.do === 'register'
                ? catalog.register(registration(one.id, { status: one.status })).ok
                : catalog.heartbeat('search', one.id, { status: one.status }) !== undefined;
            if (done) {
              lastSign.set(one.id, clock.now());
              expect(catalog.entry('search', one.id)?.instance.status).toBe(one.status);
            }
          }
          expect(catalog.size).toBeLessThanOrEqual(MAX);
          expect(catalog.size).toBe(catalog.instancesOf('search').length);
          for (const instance of catalog.instancesOf('search')) {
            const silent = clock.now() - (lastSign.get(instance.id) ?? 0);
            if (instance.expired) expect(silent).toBeGreaterThanOrEqual(TTL);
            expect(instance.status).toBe(instance.expired ? 'down' : instance.reported);
            if (one.do !== 'sweep') continue;
            expect(instance.expired).toBe(silent >= TTL);
            expect(silent).toBeLessThan(50_000 * 60 + RETENTION);
          }
        }
        expect([...replayed(catalog).values()].sort(byId)).toEqual(catalog.instancesOf('search'));
        const counts = catalog.service('search')?.statistics(clock.now());
        const sum = Object.values(counts?.byStatus ?? {}).reduce((total, of) => total + of, 0);
        expect(sum).toBe(catalog.size);
      }),
      { numRuns: 150 },
    );
  });
});

const byId = (a: Instance, b: Instance): number => (a.id < b.id ? -1 : 1);
