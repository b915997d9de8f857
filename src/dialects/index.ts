/** All dialects, by the names that the configuration gives them. */
import type { Dialect } from '../core/dialect.ts';
import { anthropic } from './anthropic.ts';
import { gemini } from './gemini.ts';
import { generic } from './generic.ts';
import { openai } from './openai.ts';

export const DIALECTS = { generic, openai, anthropic, gemini } as const satisfies Readonly<
  Record<string, Dialect>
>;

export type DialectName = keyof typeof DIALECTS;

export const DIALECT_NAMES = Object.keys(DIALECTS) as [DialectName, ...DialectName[]];
