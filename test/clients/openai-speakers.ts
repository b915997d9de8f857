/** Every SDK that speaks OpenAI's API, behind one shape: ask for an answer, whole or streamed, and get its text or an error. */
import { createOpenAI } from '@ai-sdk/openai';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, streamText } from 'ai';
import Groq from 'groq-sdk';
import OpenAI from 'openai';

export interface Speaker {
  readonly name: string;
  /** What its calls are answered with. */
  readonly api: 'chat' | 'responses';
  /** Text of a whole answer. */
  whole(base: string, settings?: SpeakerSettings): Promise<string>;
  /** Text of a stream; `seen` gets each piece as it comes. */
  streamed(base: string, seen?: (piece: string) => void, settings?: SpeakerSettings): Promise<string>;
}

export interface SpeakerSettings {
  /** Default 0: the sidecar's are enough. `undefined`: the SDK's own default. */
  readonly maxRetries?: number | undefined;
}

const PROMPT = 'hello there';
const messages = [{ role: 'user' as const, content: PROMPT }];

const retriesOf = (settings: SpeakerSettings = { maxRetries: 0 }): { maxRetries?: number } =>
  settings.maxRetries === undefined ? {} : { maxRetries: settings.maxRetries };

async function gathered(pieces: AsyncIterable<string>, seen: (piece: string) => void): Promise<string> {
  let text = '';
  for await (const piece of pieces) {
    text += piece;
    if (piece !== '') seen(piece);
  }
  return text;
}

const nobody = (): void => undefined;

const openaiAt = (base: string, settings?: SpeakerSettings): OpenAI =>
  new OpenAI({ apiKey: 'sk-client', baseURL: `${base}/v1`, logLevel: 'off', ...retriesOf(settings) });

const openaiChat: Speaker = {
  name: 'openai',
  api: 'chat',
  async whole(base, settings) {
    const { choices } = await openaiAt(base, settings).chat.completions.create({ model: 'm', messages });
    return choices[0]?.message.content ?? '';
  },
  async streamed(base, seen = nobody, settings) {
    const client = openaiAt(base, settings);
    const stream = await client.chat.completions.create({ model: 'm', messages, stream: true });
    return gathered(contents(stream), seen);
  },
};

async function* contents(
  chunks: AsyncIterable<{ choices: { delta: { content?: string | null } }[] }>,
): AsyncIterable<string> {
  for await (const { choices } of chunks) yield choices[0]?.delta.content ?? '';
}

const openaiResponses: Speaker = {
  name: 'openai (responses)',
  api: 'responses',
  async whole(base, settings) {
    const answer = await openaiAt(base, settings).responses.create({ model: 'm', input: PROMPT });
    return answer.output_text;
  },
  async streamed(base, seen = nobody, settings) {
    const stream = await openaiAt(base, settings).responses.create({
      model: 'm',
      input: PROMPT,
      stream: true,
    });
    return gathered(deltas(stream), seen);
  },
};

async function* deltas(events: AsyncIterable<OpenAI.Responses.ResponseStreamEvent>): AsyncIterable<string> {
  for await (const event of events) if (event.type === 'response.output_text.delta') yield event.delta;
}

/** It adds `/openai/v1` to its base URL. */
const groqAt = (base: string, settings?: SpeakerSettings): Groq =>
  new Groq({ apiKey: 'gsk-client', baseURL: base, logLevel: 'off', ...retriesOf(settings) });

const groq: Speaker = {
  name: 'groq-sdk',
  api: 'chat',
  async whole(base, settings) {
    const { choices } = await groqAt(base, settings).chat.completions.create({ model: 'm', messages });
    return choices[0]?.message.content ?? '';
  },
  async streamed(base, seen = nobody, settings) {
    const client = groqAt(base, settings);
    return gathered(
      contents(await client.chat.completions.create({ model: 'm', messages, stream: true })),
      seen,
    );
  },
};

function vercel(name: string, api: Speaker['api']): Speaker {
  const modelAt = (base: string) => {
    const provider = createOpenAI({ apiKey: 'sk-client', baseURL: `${base}/v1` });
    return api === 'chat' ? provider.chat('m') : provider.responses('m');
  };
  return {
    name,
    api,
    async whole(base, settings) {
      const { text } = await generateText({ model: modelAt(base), prompt: PROMPT, ...retriesOf(settings) });
      return text;
    },
    async streamed(base, seen = nobody, settings) {
      const run = streamText({
        model: modelAt(base),
        prompt: PROMPT,
        onError: nobody,
        ...retriesOf(settings),
      });
      return gathered(textParts(run.fullStream), seen);
    },
  };
}

/** Errors are parts of its stream, and so is an end that came too early. */
async function* textParts(parts: AsyncIterable<{ type: string }>): AsyncIterable<string> {
  for await (const part of parts) {
    if (part.type === 'error') throw (part as unknown as { error: Error }).error;
    if (part.type === 'text-delta') yield (part as unknown as { text: string }).text;
  }
}

const langchainAt = (base: string, settings?: SpeakerSettings): ChatOpenAI =>
  new ChatOpenAI({
    model: 'm',
    apiKey: 'sk-client',
    configuration: { baseURL: `${base}/v1`, logLevel: 'off' },
    ...retriesOf(settings),
  });

const langchain: Speaker = {
  name: '@langchain/openai',
  api: 'chat',
  async whole(base, settings) {
    return (await langchainAt(base, settings).invoke(PROMPT)).text;
  },
  async streamed(base, seen = nobody, settings) {
    const chunks = await langchainAt(base, settings).stream(PROMPT);
    const texts = async function* (): AsyncIterable<string> {
      for await (const chunk of chunks) yield chunk.text;
    };
    return gathered(texts(), seen);
  },
};

export const SPEAKERS: readonly Speaker[] = [
  openaiChat,
  openaiResponses,
  groq,
  vercel('ai (chat)', 'chat'),
  vercel('ai (responses)', 'responses'),
  langchain,
];

export const speakerNamed = (name: string): Speaker => {
  const found = SPEAKERS.find((one) => one.name === name);
  if (!found) throw new Error(`there is no ${name}`);
  return found;
};
