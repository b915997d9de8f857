/** What a failure mode must look like from outside, for all four kinds of requests at once. */
import type { Kind, Observed, Outcomes } from './failure-mode.ts';

const forEachKind = (of: (kind: Kind) => Observed): Outcomes => ({
  get: of('get'),
  post: of('post'),
  keyed: of('keyed'),
  declared: of('declared'),
});

/** The same whatever the request. */
export const always = (one: Observed): Outcomes => forEachKind(() => one);

export const delivered = (body: string): Outcomes =>
  always({ status: 200, end: 'complete', body, attempts: { ok: 1 } });

export interface GivingUp {
  readonly status: number;
  readonly code: string;
  readonly proxyError: string;
  /** The timer that ends every attempt, where one does. */
  readonly timer?: string;
}

/**
 * No attempt brings an answer, and two retries are allowed.
 * @param replayed `always`: nothing was sent, so every request may go again; `safe`: only where repeating does no harm
 */
export function givenUp(
  { status, code, proxyError, timer }: GivingUp,
  replayed: 'always' | 'safe' = 'safe',
): Outcomes {
  return forEachKind((kind) => {
    const series = seriesOf('transient', replayed === 'safe' && kind === 'post');
    const timeouts = timer === undefined ? {} : { timeouts: { [timer]: series.attempts['transient'] ?? 0 } };
    return { status, end: 'complete', code, proxyError, ...series, ...timeouts };
  });
}

/** Every attempt brings this status, which is passed on in the end, and two retries are allowed. */
export function passedOn(status: number, verdict: string, replayed: 'always' | 'safe' | 'never'): Outcomes {
  return forEachKind((kind) => ({
    status,
    end: 'complete',
    body: 'from upstream',
    ...(replayed === 'never'
      ? { attempts: { [verdict]: 1 } }
      : seriesOf(verdict, replayed === 'safe' && kind === 'post')),
  }));
}

/** A 200 that breaks off after it began: never tried again, never clean. */
export function brokenOff(body: string, reason: string, seen: Partial<Observed> = {}): Outcomes {
  return always({ status: 200, end: 'cut', body, attempts: { ok: 1 }, broken: { [reason]: 1 }, ...seen });
}

function seriesOf(verdict: string, unsafe: boolean): Pick<Observed, 'attempts' | 'retries' | 'refused'> {
  if (unsafe) return { attempts: { [verdict]: 1 }, refused: { unsafe: 1 } };
  return { attempts: { [verdict]: 3 }, retries: { [verdict]: 2 }, refused: { exhausted: 1 } };
}
