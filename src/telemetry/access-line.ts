/**
 * The one line that every exchange leaves. Built by hand: a general serialiser costs about ten times as much, and this
 * is the dearest thing that happens to every request. Never holds bodies, header values or query strings.
 */
import type { Endpoint } from '../core/endpoint.ts';
import type { Attempt, Exchange } from '../core/exchange.ts';
import type { ExchangeEnding } from '../core/exchange-ending.ts';
import { reasonOfCancel } from '../core/reasons.ts';
import type { Reason } from '../core/reasons.ts';
import { answerFields } from './answer-fields.ts';

/** Strings that need no escaping in JSON. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

const quoted = (text: string): string => (PLAIN.test(text) ? `"${text}"` : JSON.stringify(text));

/**
 * Milliseconds to a tenth: enough to read, short to write. Put together from small whole numbers, like the instants below:
 * a line whose three times are written as fractions or with thirteen digits takes a quarter longer.
 */
function ms(value: number): string {
  const tenths = Math.round(value * 10);
  const whole = Math.floor(tenths / 10);
  const tenth = tenths - whole * 10;
  return tenth === 0 ? `${whole}` : `${whole}.${tenth}`;
}

const THOUSANDTHS = Array.from({ length: 1_000 }, (_, n) => String(n).padStart(3, '0'));

/** @param at milliseconds since 1970, of which whole ones are written */
function instant(at: number): string {
  if (at < 1_000) return String(at);
  const second = Math.floor(at / 1_000);
  return `${second}${THOUSANDTHS[Math.floor(at - second * 1_000)] as string}`;
}

function attemptJson(attempt: Attempt): string {
  let json = `{"n":${attempt.number},"upstream":${quoted(attempt.exchange.upstream.name)},"endpoint":${quoted(attempt.endpoint.name)}`;
  if (attempt.credential !== undefined) json += `,"credential":"${attempt.credential}"`;
  if (attempt.status !== undefined) json += `,"status":${attempt.status}`;
  const reason = attempt.reason ?? whyPending(attempt);
  if (reason !== undefined) json += `,"reason":"${reason}"`;
  if (attempt.verdict) json += `,"class":"${attempt.verdict.class}"`;
  if (attempt.spare) json += ',"spare":true';
  if (attempt.backoffMs > 0) json += `,"backoffMs":${ms(attempt.backoffMs)}`;
  if (attempt.wasted) json += `,"wasted":"${attempt.wasted}"`;
  return `${json},"durationMs":${ms(attempt.durationMs ?? 0)}}`;
}

/** Of one that was cancelled, and has not come to its end when it is told of. */
const whyPending = ({ status, cancellation }: Attempt): Reason | undefined =>
  status === undefined && cancellation.reason !== undefined ? reasonOfCancel(cancellation.reason) : undefined;

/** Names that come again with every line, ready to be written. */
const written = new WeakMap<object, string>();

function nameOf(named: { readonly name: string }): string {
  let text = written.get(named);
  if (text === undefined) {
    text = quoted(named.name);
    written.set(named, text);
  }
  return text;
}

/** What stands in the middle of the lines of one endpoint; nearly always the same as in the line before. */
interface Middle {
  readonly upstream: object;
  readonly method: string;
  readonly route: string;
  readonly text: string;
}

const middles = new WeakMap<object, Middle>();

/** From the upstream to the route: a ninth of what a line costs, unless it is kept. */
function middleOf({ upstream, request, route }: Exchange, endpoint: Endpoint | undefined): string {
  const { method } = request;
  const known = middles.get(endpoint ?? upstream);
  if (known?.upstream === upstream && known.method === method && known.route === route) return known.text;
  const where = endpoint ? `,"endpoint":${nameOf(endpoint)}` : '';
  const text = `,"upstream":${nameOf(upstream)}${where},"method":"${method}","route":${quoted(route)},"status":`;
  middles.set(endpoint ?? upstream, { upstream, method, route, text });
  return text;
}

/** @param endedAt milliseconds since 1970 */
export function accessLine(level: 'info' | 'warn', endedAt: number, ending: ExchangeEnding): string {
  const { exchange, durationMs } = ending;
  const decisive = decisiveAttempt(ending);
  const agent = exchange.agentId === undefined ? '' : `,"agentId":${quoted(exchange.agentId)}`;
  const reason = ending.reason === undefined ? '' : `,"reason":"${ending.reason}"`;
  const ok = ending.result === 'ok';
  const startedAt = Math.round(endedAt - durationMs);
  return `{"level":"${level}","time":${instant(endedAt)},"requestId":${quoted(exchange.id)},"traceId":"${exchange.traceId}"${agent}${middleOf(exchange, decisive?.endpoint)}${ending.status},"outcome":"${ending.result}","success":${ok}${reason},"startTime":${instant(startedAt)},"durationMs":${ms(durationMs)},"bytes":${ending.bytes}${answerFields(ending)}${remarks(ending)},"attempts":${exchange.attempts.length}${trail(ending)},"msg":"exchange"}\n`;
}

/** The one whose outcome it is; the newest where it is nobody's. */
function decisiveAttempt({ exchange, outcome }: ExchangeEnding): Attempt | undefined {
  const { attempts } = exchange;
  const number = outcome.kind === 'rejection' ? undefined : outcome.attempt;
  return number === undefined ? attempts.at(-1) : attempts[number - 1];
}

/** What is out of the ordinary; most lines have nothing of it. */
function remarks({ outcome, exchange, replaySkipped }: ExchangeEnding): string {
  let text = '';
  if (outcome.kind === 'response' && outcome.from !== 'upstream') text += `,"source":"${outcome.from}"`;
  if (exchange.clientRetries > 0) text += `,"clientRetries":${exchange.clientRetries}`;
  if (replaySkipped) text += ',"replaySkipped":true';
  return text;
}

/** One good attempt says nothing that the line does not say already. */
function trail({ exchange, result }: ExchangeEnding): string {
  const { attempts } = exchange;
  return attempts.length > 1 || result !== 'ok' ? `,"trail":[${attempts.map(attemptJson).join(',')}]` : '';
}
