import { expect, it, onTestFinished } from 'vitest';
import { seededRandom } from '../../src/core/random.ts';
import type { Registration } from '../../src/core/registry.ts';
import type { SharedAnswer } from '../../src/core/shared-instances.ts';
import { Sharing } from '../../src/registry/sharing.ts';
import { catalogWith, registration, statuses } from './fixture.ts';

it('what others wrote that no registry would take is left out: followers read its address', async () => {
  const { catalog, clock } = catalogWith({ shared: true });
  const strange = { ...registration('b'), url: 'nowhere' };
  const odd = { ...registration('c'), weight: 'much' } as unknown as Registration;
  const news = [registration('a'), strange, odd].map((said) => ({
    what: 'alive' as const,
    said,
    byUs: false,
  }));
  const answer: SharedAnswer = {
    ...{ epoch: 'e', created: false, revision: 3, whole: true, more: false },
    ...{ news, missing: [] },
  };
  const sharing = new Sharing({ exchange: async () => answer }, catalog, {
    clock,
    random: seededRandom(1),
  });
  onTestFinished(() => sharing.stop());
  sharing.start();
  await clock.advance(1);
  expect(statuses(catalog)).toEqual(['a up']);
});
