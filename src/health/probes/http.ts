/** Asks a question over HTTP and looks at the answer: its status and, where told, its fields and the start of its body. */
import { statusMatcher } from '../../algorithms/status-ranges.ts';
import type { Clock } from '../../core/clock.ts';
import type { HttpClient, HttpStream } from '../../transport/http-client.ts';
import { failed, passed, probeFrom } from './probe.ts';
import type { Finding, Probe } from './probe.ts';

type Statuses = readonly (number | string)[];

export interface HttpQuestion {
  /** Default: GET. */
  readonly method?: string;
  /** Whole, with path and query. Redirects are not followed. */
  readonly url: string;
  /** Name for SNI, and the one that the certificate must have. Default: the URL's host. */
  readonly serverName?: string | undefined;
  /** Names in lower case. `host` is sent instead of the URL's host. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface HttpExpectation {
  /** Such as `204`, `"2xx"`, `"200-399"`. Default: 2xx. */
  readonly status?: Statuses;
  /** What the body must hold. Without it, the body is not read. */
  readonly body?: BodyMatch | undefined;
  /** What tells that the server is not quite well. Any of them will do; a status here need not be in `status`. */
  readonly degraded?: DegradedMatch | undefined;
}

export interface BodyMatch {
  readonly contains?: string | undefined;
  /** A regular expression, unanchored; case does not matter. */
  readonly matches?: string | undefined;
  /** How much of the body is looked at, in bytes; what comes after is not read. */
  readonly withinBytes: number;
}

export interface DegradedMatch {
  readonly status?: Statuses | undefined;
  /** Fields that are there, with a value that the regular expression fits: unanchored; case does not matter. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export interface HttpProbeDeps {
  readonly clock: Clock;
  /** Disposed by whoever made it. */
  readonly client: Pick<HttpClient, 'stream'>;
}

const OK: Statuses = ['2xx'];
/** Who asks, for the server's own logs. */
const USER_AGENT = 'outrigger-health-check';

export function httpProbe(question: HttpQuestion, expected: HttpExpectation, deps: HttpProbeDeps): Probe {
  const judge = judgeOf(expected);
  const headers = { 'user-agent': USER_AGENT, ...question.headers, connection: 'close' };
  return probeFrom(deps.clock, async (signal) => {
    // Whoever runs the probe has the timer.
    const call = { ...question, headers, signal, timeoutMs: Number.MAX_SAFE_INTEGER };
    const stream = await deps.client.stream(call);
    try {
      return await judge(stream);
    } finally {
      stream.close();
    }
  });
}

function judgeOf({ status = OK, body, degraded }: HttpExpectation): (answer: HttpStream) => Promise<Finding> {
  const isExpected = statusMatcher(status);
  const holds = body && bodyMatcher(body);
  const isDegraded = degradedMatcher(degraded);
  return async (answer) => {
    const told = `status ${answer.status}`;
    const sign = isDegraded(answer);
    if (!isExpected(answer.status) && sign === undefined)
      return failed(`${told}, expected ${status.join(', ')}`);
    if (holds && !(await holds(answer.chunks)))
      return failed(`${told}, and the body is not what is expected`);
    return sign === undefined
      ? passed(told)
      : { ok: true, degraded: true, detail: `${told}: degraded by ${sign}` };
  };
}

/** @returns what shows that the server is not quite well; undefined when nothing does */
function degradedMatcher({ status = [], headers = {} }: DegradedMatch = {}): (
  answer: Pick<HttpStream, 'status' | 'headers'>,
) => string | undefined {
  const isDegraded = statusMatcher(status);
  const patterns = Object.entries(headers).map(([name, text]) => ({ name, pattern: new RegExp(text, 'i') }));
  return (answer) => {
    if (isDegraded(answer.status)) return 'its status';
    return patterns.find(({ name, pattern }) => {
      const value = answer.headers[name];
      return value !== undefined && pattern.test(value);
    })?.name;
  };
}

function bodyMatcher({
  contains,
  matches,
  withinBytes,
}: BodyMatch): (chunks: AsyncIterable<Buffer>) => Promise<boolean> {
  const pattern = matches === undefined ? undefined : new RegExp(matches, 'i');
  return async (chunks) => {
    const text = await beginning(chunks, withinBytes);
    return (
      (contains === undefined || text.includes(contains)) && (pattern === undefined || pattern.test(text))
    );
  };
}

async function beginning(chunks: AsyncIterable<Buffer>, maxBytes: number): Promise<string> {
  const kept: Buffer[] = [];
  let left = maxBytes;
  for await (const chunk of chunks) {
    kept.push(chunk.subarray(0, left));
    left -= chunk.length;
    if (left <= 0) break;
  }
  return Buffer.concat(kept).toString('utf8');
}
