/**
 * What the line of an exchange says about the answers of models. Nothing, and at the price of one look, where there was
 * none.
 */
import type { Attempt } from '../core/exchange.ts';
import type { ExchangeEnding } from '../core/exchange-ending.ts';
import { costOfUsage } from './spending.ts';

/** Names come from the upstream: they are as long as it likes. */
const MAX_NAME_LENGTH = 128;

const name = (text: string): string => JSON.stringify(text.slice(0, MAX_NAME_LENGTH));

/** The model and how its answer went; then what all attempts together spent. */
export function answerFields(ending: ExchangeEnding): string {
  const { attempts } = ending.exchange;
  if (!attempts.some(hasAnswer)) return '';
  return answered(ending) + spent(attempts);
}

const hasAnswer = ({ answer }: Attempt): boolean => answer !== undefined;

function answered({ exchange, outcome }: ExchangeEnding): string {
  const number = outcome.kind === 'rejection' ? undefined : outcome.attempt;
  const answer = number === undefined ? undefined : exchange.attempts[number - 1]?.answer;
  if (!answer) return '';
  let text = '';
  if (answer.model !== undefined) text += `,"model":${name(answer.model)}`;
  if (answer.finishReason !== undefined) text += `,"finishReason":${name(answer.finishReason)}`;
  // A JSON answer comes all at once: its first token says nothing.
  if (answer.events > 0 && answer.firstTokenAt !== undefined)
    text += `,"firstTokenMs":${Math.round((answer.firstTokenAt - exchange.startedAt) * 10) / 10}`;
  return text;
}

class Sum {
  input = 0;
  cached = 0;
  output = 0;
  reasoning = 0;
  /** Undefined while no price was known. */
  cost: number | undefined;
  counted = 0;

  add(attempt: Attempt): void {
    const usage = attempt.answer?.usage;
    if (!usage) return;
    this.counted += 1;
    this.input += usage.input;
    this.cached += usage.cached;
    this.output += usage.output;
    this.reasoning += usage.reasoning;
    const cost = costOfUsage(attempt, usage);
    if (cost !== undefined) this.cost = (this.cost ?? 0) + cost;
  }
}

function spent(attempts: readonly Attempt[]): string {
  const all = new Sum();
  const wasted = new Sum();
  for (const attempt of attempts) {
    all.add(attempt);
    if (attempt.wasted) wasted.add(attempt);
  }
  if (all.counted === 0) return '';
  let text = `,"inputTokens":${all.input},"outputTokens":${all.output}`;
  if (all.cached > 0) text += `,"cachedTokens":${all.cached}`;
  if (all.reasoning > 0) text += `,"reasoningTokens":${all.reasoning}`;
  if (all.cost !== undefined) text += `,"cost":${money(all.cost)}`;
  if (wasted.counted > 0) text += `,"wastedTokens":${wasted.input + wasted.output}`;
  if (wasted.cost !== undefined) text += `,"wastedCost":${money(wasted.cost)}`;
  return text;
}

/** Without the dust of binary fractions. */
const money = (amount: number): number => Number(amount.toPrecision(9));
