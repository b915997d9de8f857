/** Health checks that might cost something need the operator's word; those that can never succeed are a mistake. */
import type { HttpCheckOptions } from '../schema/health-check.ts';
import type { CheckProblem } from './load.ts';
import type { Path } from './path.ts';
import type { Config, UpstreamConfig } from './schema.ts';

/** Whoever speaks these sells what it answers. */
const MODEL_APIS: readonly UpstreamConfig['dialect'][] = ['openai', 'anthropic', 'gemini'];

/** Where the usual model APIs compute something, whatever dialect they are said to have. */
const MODEL_CALL =
  /\/(chat\/completions|completions|responses|messages|embeddings|rerank|moderations|audio\/\w+|images\/\w+)\/?(\?|$)|:\w*(generateContent|embedContents?|predict)(\?|$)|\/api\/(chat|generate|embed)\/?(\?|$)/i;

const SAFE_METHODS: readonly HttpCheckOptions['method'][] = ['GET', 'HEAD', 'OPTIONS'];

export function checkHealth({ upstreams }: Config): CheckProblem[] {
  return Object.entries(upstreams).flatMap(([name, upstream]) => {
    const path = ['upstreams', name, 'healthCheck'];
    return [...mayCost(path, upstream), ...cannotSucceed(path, upstream)];
  });
}

function mayCost(path: Path, { healthCheck, dialect }: UpstreamConfig): CheckProblem[] {
  if (!healthCheck || healthCheck.mayCost || healthCheck.http === undefined) return [];
  const { http } = healthCheck;
  if (MODEL_APIS.includes(dialect))
    return [unsaid([...path, 'http'], `${dialect} is the dialect of model APIs`)];
  const problems: CheckProblem[] = [];
  if (!SAFE_METHODS.includes(http.method))
    problems.push(unsaid([...path, 'http', 'method'], `a ${http.method} may have an effect`));
  if (MODEL_CALL.test(http.path))
    problems.push(unsaid([...path, 'http', 'path'], `a model is called at ${http.path}`));
  return problems;
}

const unsaid = (path: Path, why: string): CheckProblem => ({
  path,
  message: `expected tcp, tls or mayCost: true: ${why}, and checks go out day and night`,
});

function cannotSucceed(path: Path, { healthCheck, endpoints }: UpstreamConfig): CheckProblem[] {
  if (!healthCheck || healthCheck.tls === undefined || healthCheck.port !== undefined) return [];
  const plain = endpoints.find(({ url }) => url.startsWith('http:'));
  if (plain === undefined) return [];
  return [{ path: [...path, 'tls'], message: `expected https endpoints to check, got ${plain.url}` }];
}
