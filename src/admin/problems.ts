/** Everything that goes wrong on the admin plane, as problem details (RFC 9457) with a code to branch on. */
import { STATUS_CODES } from 'node:http';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';

/** What an operator may hold in hand after an answer: never a cached one, never one read as another type. */
export const PROTECTIVE_HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

export interface ProblemInit {
  readonly status: number;
  /** Stable, in snake case. */
  readonly code: string;
  /** One sentence for people, about this very request. */
  readonly detail: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Further members of the problem. */
  readonly members?: Readonly<Record<string, unknown>>;
}

/** Thrown by hooks and handlers; ends the request with this answer. */
export class AdminProblem extends Error {
  override readonly name = 'AdminProblem';
  readonly problem: ProblemInit;

  constructor(problem: ProblemInit) {
    super(problem.detail);
    this.problem = problem;
  }
}

export const problemSchema = {
  type: 'object',
  required: ['title', 'status', 'detail', 'code'],
  properties: {
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    code: { type: 'string' },
  },
  additionalProperties: true,
} as const;

/** For the `response` of every route. */
export const problemResponses = { '4xx': problemSchema, '5xx': problemSchema } as const;

function sendProblem(reply: FastifyReply, { status, code, detail, headers, members }: ProblemInit): void {
  void reply
    .code(status)
    .headers({ ...PROTECTIVE_HEADERS, ...headers })
    .type('application/problem+json')
    .send({ title: STATUS_CODES[status] ?? 'Error', status, detail, code, ...members });
}

/** The one error handler: ours, the framework's and the unexpected. */
export function answerError(error: FastifyError, _request: FastifyRequest, reply: FastifyReply): void {
  sendProblem(reply, error instanceof AdminProblem ? error.problem : problemOf(error));
}

const CODE_OF_STATUS: Readonly<Record<number, string>> = {
  413: 'body_too_large',
  415: 'unsupported_media_type',
};

function problemOf(error: FastifyError): ProblemInit {
  const status = error.statusCode ?? 500;
  if (error.validation)
    return { status: 400, code: 'invalid_request', detail: validationDetail(error, error.validation) };
  if (status >= 400 && status < 500)
    return { status, code: CODE_OF_STATUS[status] ?? 'bad_request', detail: error.message };
  // The message of an unknown error may quote anything, a secret included; its code never does.
  return { status: 500, code: 'internal_error', detail: `unexpected error (${error.code ?? error.name})` };
}

function validationDetail(error: FastifyError, validation: NonNullable<FastifyError['validation']>): string {
  const allowed = validation[0]?.params['allowedValues'];
  return Array.isArray(allowed) ? `${error.message}: ${allowed.join(', ')}` : error.message;
}
