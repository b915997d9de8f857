/** Tells calls apart by what their protocol says of them. */
import { namesLike } from '../algorithms/name-pattern.ts';
import type { CallFacts } from '../core/dialect.ts';

type Patterns = string | readonly string[];

/** Patterns in which `*` stands for any characters; all that are given must fit. */
export interface CallMatch {
  readonly method?: Patterns | undefined;
  readonly tool?: Patterns | undefined;
  readonly model?: Patterns | undefined;
}

/** What nobody knows of a call fits no pattern. */
export function callMatcher({ method, tool, model }: CallMatch): (call: CallFacts) => boolean {
  const isMethod = matcher(method);
  const isTool = matcher(tool);
  const isModel = matcher(model);
  return (call) => isMethod(call.operation) && isTool(call.tool) && isModel(call.model);
}

function matcher(patterns: Patterns | undefined): (name: string | undefined) => boolean {
  if (patterns === undefined) return () => true;
  const like = namesLike(typeof patterns === 'string' ? [patterns] : patterns);
  return (name) => name !== undefined && like(name);
}
