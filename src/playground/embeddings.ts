/** `POST /v1/embeddings`: small unit vectors that follow from the input alone. */
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { seededRandom } from '../core/random.ts';
import { estimateTokens, modelName } from './request.ts';
import { operation } from './reply.ts';

const tokenIds = z.array(z.number().int().min(0)).min(1);

const DEFAULT_DIMENSIONS = 16;

const embeddingsRequest = z.looseObject({
  model: modelName,
  input: z.union([
    z.string().min(1),
    tokenIds,
    z.array(z.string().min(1)).min(1).max(2048),
    z.array(tokenIds).min(1).max(2048),
  ]),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z.number().int().min(1).max(1024).nullish(),
});

type Input = z.output<typeof embeddingsRequest>['input'];

export const createEmbeddings = operation(embeddingsRequest, (request) => {
  const texts = textsOf(request.input);
  const dimensions = request.dimensions ?? DEFAULT_DIMENSIONS;
  const data = texts.map((text, index) => {
    const vector = vectorOf(text, dimensions);
    const embedding = request.encoding_format === 'base64' ? base64Of(vector) : [...vector];
    return { object: 'embedding', index, embedding };
  });
  const prompt_tokens = texts.reduce((sum, text) => sum + estimateTokens(text), 0);
  const usage = { prompt_tokens, total_tokens: prompt_tokens };
  return { kind: 'json', body: { object: 'list', data, model: request.model, usage } };
});

/** One text per vector to make. A plain list of token ids is one input, not many. */
function textsOf(input: Input): string[] {
  if (typeof input === 'string') return [input];
  if (typeof input[0] === 'number') return [input.join(' ')];
  return input.map((each) => (Array.isArray(each) ? each.join(' ') : String(each)));
}

/** Of length 1, rounded to single precision so that both encodings carry the same numbers. */
function vectorOf(text: string, dimensions: number): Float32Array {
  const random = seededRandom(crc32(text));
  const raw = Array.from({ length: dimensions }, () => random.next() - 0.5);
  const norm = Math.hypot(...raw);
  return Float32Array.from(raw, (value) => (norm === 0 ? 0 : value / norm));
}

/** Little-endian, whatever this machine is. */
function base64Of(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * 4);
  vector.forEach((value, index) => bytes.writeFloatLE(value, index * 4));
  return bytes.toString('base64');
}
