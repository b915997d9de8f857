/** All dialects, by the names that the configuration gives them. */
import type { Dialect } from '../core/dialect.ts';
import { a2a, a2aDialect } from './a2a.ts';
import type { A2aOptions } from './a2a-options.ts';
import { anthropic } from './anthropic.ts';
import { gemini } from './gemini.ts';
import { generic } from './generic.ts';
import { LearntTools } from './learnt-tools.ts';
import { mcp, mcpDialect } from './mcp.ts';
import type { McpOptions } from './mcp-options.ts';
import { openai } from './openai.ts';

/** As they are without options. */
export const DIALECTS = { generic, openai, anthropic, gemini, mcp, a2a } as const satisfies Readonly<
  Record<string, Dialect>
>;

export type DialectName = keyof typeof DIALECTS;

export const DIALECT_NAMES = Object.keys(DIALECTS) as [DialectName, ...DialectName[]];

/** What the configuration says about an upstream's protocol. */
export interface DialectConfig {
  readonly dialect: DialectName;
  readonly mcp?: McpOptions | undefined;
  readonly a2a?: A2aOptions | undefined;
}

/** Keeps what an upstream's dialect has learnt from one configuration to the next. */
export type KeepLearnt = <T>(what: string, create: () => T) => T;

/** The dialect of one upstream, with its options and with what was learnt of that upstream. */
export function dialectOf(config: DialectConfig, keep: KeepLearnt): Dialect {
  if (config.dialect === 'mcp')
    return mcpDialect(
      config.mcp,
      keep('tools', () => new LearntTools()),
    );
  if (config.dialect === 'a2a') return a2aDialect(config.a2a);
  return DIALECTS[config.dialect];
}
