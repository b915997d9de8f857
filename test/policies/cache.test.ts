import { cache } from '../../src/policies/cache.ts';
import { exchangeAt } from '../support/policy-kit.ts';
import { policyContract } from './contract.ts';

policyContract({
  module: cache,
  options: { keepStale: '0s', coalesce: false },
  scope: (clock) => exchangeAt(clock),
  marksAnswers: true,
});
