/** `GET /v1/models`: the models it lists. Any other name is answered as well. */
import type { Operation } from './reply.ts';

const MODELS = ['playground-small', 'playground-large', 'playground-embedding'];

export const listModels: Operation = (_body, { createdAt }) => ({
  kind: 'json',
  body: {
    object: 'list',
    data: MODELS.map((id) => ({ id, object: 'model', created: createdAt, owned_by: 'playground' })),
  },
});
