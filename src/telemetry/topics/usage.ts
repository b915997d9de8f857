/** What answers of models cost and how they flowed: tokens, money, waste, first tokens, gaps. */
import type { Registry } from 'prom-client';
import type { AnswerFacts, Usage } from '../../core/dialect.ts';
import type { Attempt } from '../../core/exchange.ts';
import { costOf } from '../../core/model-catalog.ts';
import type { ModelTerms } from '../../core/model-catalog.ts';
import { modelTermsOf } from '../spending.ts';
import type { Topic } from '../topic.ts';
import { CounterFamily, HistogramFamily } from '../cells.ts';

/** From a small model nearby to a long thought. */
const FLOW_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160];

const TYPES = ['input', 'cached', 'output', 'reasoning'] as const satisfies readonly (keyof Usage)[];

/** One answer that has ended. */
interface Reading {
  readonly attempt: Attempt;
  readonly answer: AnswerFacts;
  readonly upstream: string;
  readonly terms: ModelTerms;
}

type Recorder = (reading: Reading) => void;

export const usage: Topic = {
  metrics(bus, registry) {
    const recorders = [tokens, costs, unmeasured, streams].map((recorder) => recorder(registry));
    bus.on('answer-read', ({ attempt, upstream }) => {
      const { answer } = attempt;
      if (!answer) return;
      const reading = { attempt, answer, upstream, terms: modelTermsOf(attempt) };
      for (const record of recorders) record(reading);
    });
  },
};

function tokens(registry: Registry): Recorder {
  const total = new CounterFamily(registry, {
    name: 'outrigger_tokens_total',
    help: 'Tokens as the providers counted them, wasted ones included. Cached ones are a part of input, reasoning of output.',
    labels: ['upstream', 'model', 'type'],
  });
  const wasted = new CounterFamily(registry, {
    name: 'outrigger_wasted_tokens_total',
    help: 'Those of outrigger_tokens_total that were spent on answers which nobody got whole, by why.',
    labels: ['upstream', 'model', 'type', 'why'],
  });
  return ({ answer: { usage }, attempt, upstream, terms: { label } }) => {
    if (!usage) return;
    for (const type of TYPES) {
      const count = usage[type];
      if (count === 0) continue;
      total.add([upstream, label, type], count);
      if (attempt.wasted) wasted.add([upstream, label, type, attempt.wasted], count);
    }
  };
}

function costs(registry: Registry): Recorder {
  const total = new CounterFamily(registry, {
    name: 'outrigger_cost_total',
    help: 'What tokens cost by the configured prices, wasted ones included.',
    labels: ['upstream', 'model', 'currency'],
  });
  const wasted = new CounterFamily(registry, {
    name: 'outrigger_wasted_cost_total',
    help: 'What of outrigger_cost_total was spent on answers which nobody got whole, by why.',
    labels: ['upstream', 'model', 'currency', 'why'],
  });
  return ({ answer: { usage }, attempt, upstream, terms: { label, price } }) => {
    if (!usage || !price) return;
    const cost = costOf(usage, price);
    const currency = attempt.exchange.upstream.models?.currency ?? '';
    total.add([upstream, label, currency], cost);
    if (attempt.wasted) wasted.add([upstream, label, currency, attempt.wasted], cost);
  };
}

/** Nothing is made up for what a provider did not tell; that it did not is told. */
function unmeasured(registry: Registry): Recorder {
  const total = new CounterFamily(registry, {
    name: 'outrigger_unmeasured_answers_total',
    help: 'Answers of models whose tokens the provider did not tell, by how they ended.',
    labels: ['upstream', 'model', 'end'],
  });
  return ({ answer, attempt, upstream, terms: { label } }) => {
    if (!answer.usage && isOfModel(attempt)) total.add([upstream, label, attempt.wasted ?? 'delivered']);
  };
}

const isOfModel = ({ answer, exchange }: Attempt): boolean =>
  (answer?.model ?? exchange.call.model) !== undefined;

function streams(registry: Registry): Recorder {
  const firstTokens = new HistogramFamily(registry, {
    name: 'outrigger_first_token_seconds',
    help: 'Time from the start of an attempt to the first token of its stream.',
    labels: ['upstream', 'model'],
    buckets: FLOW_BUCKETS,
  });
  const gaps = new HistogramFamily(registry, {
    name: 'outrigger_stream_gap_seconds',
    help: 'Longest silence before an event of a stream.',
    labels: ['upstream', 'model'],
    buckets: FLOW_BUCKETS,
  });
  const malformed = new CounterFamily(registry, {
    name: 'outrigger_stream_malformed_events_total',
    help: 'Events of streams that could not be read; they were passed on all the same.',
    labels: ['upstream'],
  });
  return ({ answer, attempt, upstream, terms: { label } }) => {
    if (answer.events === 0) return;
    gaps.observe([upstream, label], answer.longestGapMs / 1_000);
    if (answer.firstTokenAt !== undefined)
      firstTokens.observe([upstream, label], (answer.firstTokenAt - attempt.startedAt) / 1_000);
    if (answer.malformed > 0) malformed.add([upstream], answer.malformed);
  };
}
