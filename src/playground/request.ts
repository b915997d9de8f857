/** What the requests of the APIs have in common, and what the user said last in them. */
import { z } from 'zod';

const part = z.looseObject({ text: z.string().optional() });

/** A message as both APIs write it: plain text, or parts of which some carry text. */
export const message = z.looseObject({
  role: z.string().optional(),
  content: z.union([z.string(), z.array(part)]).nullish(),
});

/** Any name will do. Bounded because every event repeats it. */
export const modelName = z.string().min(1).max(256);

export type Message = z.output<typeof message>;

/** The text of the last message whose role is `user`; empty where there is none. */
export function lastUserText(messages: readonly Message[]): string {
  const content = messages.findLast(({ role }) => role === 'user')?.content ?? '';
  if (typeof content === 'string') return content;
  return content
    .map(({ text }) => text ?? '')
    .join(' ')
    .trim();
}

/** A rough count, about four characters a token: enough for usage figures that nobody pays for. */
export function estimateTokens(text: string): number {
  return Math.ceil(text.length / 4);
}
