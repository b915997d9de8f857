/** Everything that the registry says no with: problem details (RFC 9457) with a code to branch on. */
import { STATUS_CODES } from 'node:http';
import type { Misfit } from './read-registration.ts';

/** An answer before it is written. */
export interface Answer {
  readonly status: number;
  /** Written as JSON; undefined: none. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ProblemInit {
  readonly status: number;
  /** Stable, in snake case. */
  readonly code: string;
  /** One sentence for people. */
  readonly detail: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly misfit?: Misfit;
}

export const PROBLEM_TYPE = 'application/problem+json';

export function problem({ status, code, detail, headers, misfit }: ProblemInit): Answer {
  return {
    status,
    headers: { ...headers, 'content-type': PROBLEM_TYPE },
    body: { title: STATUS_CODES[status] ?? 'Error', status, code, detail, ...misfit },
  };
}

/** Something of the request is not as it must be. */
export const misfitProblem = (misfit: Misfit): Answer =>
  problem({
    ...{ status: 400, code: 'invalid_request', misfit },
    detail: `${misfit.where}: expected ${misfit.expected}, got ${misfit.got}`,
  });
