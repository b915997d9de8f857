/** Rules of subsets that no call can fit, because the dialect reads nothing of calls. */
import type { CheckProblem } from './load.ts';
import type { Config } from './schema.ts';

const FROM_CALLS: ReadonlySet<string | undefined> = new Set(['tool', 'model', 'method', 'needs']);

/** No mistake, for `defaults` may hold rules for others, but a rule that does nothing. */
export function checkSubsets({ upstreams }: Config): CheckProblem[] {
  return Object.entries(upstreams).flatMap(([name, { dialect, subset }]) => {
    if (dialect !== 'generic' || !subset) return [];
    return subset.rules.flatMap(({ from, when }, index) => {
      const reads = [when?.method, when?.tool, when?.model].some((patterns) => patterns !== undefined);
      if (!reads && !FROM_CALLS.has(from)) return [];
      return [
        {
          path: ['upstreams', name, 'subset', 'rules', index],
          message: 'no call fits: the generic dialect does not know what is called',
          severity: 'warning' as const,
        },
      ];
    });
  });
}
