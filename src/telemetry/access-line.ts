/**
 * The one line that every exchange leaves. Built by hand: a general serialiser costs about ten times as much, and this
 * is the dearest thing that happens to every request. Never holds bodies, header values or query strings.
 */
import type { Attempt } from '../core/exchange.ts';
import type { ExchangeEnding } from '../core/exchange-ending.ts';

/** Strings that need no escaping in JSON. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

const quoted = (text: string): string => (PLAIN.test(text) ? `"${text}"` : JSON.stringify(text));

/** Milliseconds to a tenth: enough to read, short to write. */
const ms = (value: number): number => Math.round(value * 10) / 10;

function attemptJson(attempt: Attempt): string {
  let json = `{"n":${attempt.number},"upstream":${quoted(attempt.exchange.upstream.name)},"endpoint":${quoted(attempt.endpoint.name)}`;
  if (attempt.status !== undefined) json += `,"status":${attempt.status}`;
  if (attempt.reason !== undefined) json += `,"reason":"${attempt.reason}"`;
  if (attempt.verdict) json += `,"class":"${attempt.verdict.class}"`;
  if (attempt.backoffMs > 0) json += `,"backoffMs":${ms(attempt.backoffMs)}`;
  return `${json},"durationMs":${ms(attempt.durationMs ?? 0)}}`;
}

/**
 * @param endedAt milliseconds since 1970 */
export function accessLine(level: 'info' | 'warn', endedAt: number, ending: ExchangeEnding): string {
  const { exchange } = ending;
  const last = exchange.attempts.at(-1);
  let line = `{"level":"${level}","time":${endedAt},"requestId":${quoted(exchange.id)},"traceId":"${exchange.traceId}"`;
  if (exchange.agentId !== undefined) line += `,"agentId":${quoted(exchange.agentId)}`;
  line += `,"upstream":${quoted(exchange.upstream.name)}`;
  if (last) line += `,"endpoint":${quoted(last.endpoint.name)}`;
  line += `,"method":${quoted(exchange.request.method)},"route":${quoted(exchange.route)},"status":${ending.status}`;
  line += `,"outcome":"${ending.result}","success":${ending.result === 'ok'}`;
  if (ending.reason !== undefined) line += `,"reason":"${ending.reason}"`;
  line += `,"startTime":${Math.round(endedAt - ending.durationMs)},"durationMs":${ms(ending.durationMs)},"bytes":${ending.bytes}`;
  if (ending.outcome.kind === 'response' && ending.outcome.from !== 'upstream')
    line += `,"source":"${ending.outcome.from}"`;
  if (exchange.clientRetries > 0) line += `,"clientRetries":${exchange.clientRetries}`;
  if (ending.replaySkipped) line += ',"replaySkipped":true';
  line += `,"attempts":${exchange.attempts.length}`;
  // One good attempt says nothing that the line does not say already.
  if (exchange.attempts.length > 1 || ending.result !== 'ok')
    line += `,"trail":[${exchange.attempts.map(attemptJson).join(',')}]`;
  return `${line},"msg":"exchange"}\n`;
}
