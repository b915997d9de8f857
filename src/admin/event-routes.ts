/** The journal, page by page: ask again with `after` set to the `lastId` of the answer before. */
import type { FastifyInstance } from 'fastify';
import type { JournalEntry } from '../telemetry/journal.ts';
import type { AdminDeps } from './admin-deps.ts';
import { problemResponses } from './problems.ts';

/** Entries in one answer: enough for a person, small enough to be made in one go. */
const PAGE = 1_000;

const querySchema = {
  type: 'object',
  properties: {
    after: { type: 'integer', minimum: 0, default: 0 },
    limit: { type: 'integer', minimum: 1, maximum: PAGE, default: PAGE },
  },
  additionalProperties: false,
} as const;

const eventsSchema = {
  type: 'object',
  required: ['events', 'lastId'],
  properties: {
    events: {
      type: 'array',
      items: {
        type: 'object',
        required: ['id', 'time', 'event', 'detail'],
        properties: {
          id: { type: 'integer' },
          time: { type: 'string' },
          event: { type: 'string' },
          upstream: { type: 'string' },
          detail: { type: 'object', additionalProperties: true },
        },
      },
    },
    lastId: { type: 'integer' },
  },
} as const;

export function eventRoutes(app: FastifyInstance, { journal }: AdminDeps): void {
  app.get<{ Querystring: { after: number; limit: number } }>(
    '/admin/events',
    { schema: { querystring: querySchema, response: { 200: eventsSchema, ...problemResponses } } },
    async ({ query }) => pageOf(journal.entries(), query),
  );
}

function pageOf(entries: readonly JournalEntry[], { after, limit }: { after: number; limit: number }) {
  const newest = entries.at(-1)?.id ?? 0;
  // An id beyond the newest is from before a restart of the sidecar: its ids began anew.
  const from = after > newest ? 0 : after;
  const events = entries.filter(({ id }) => id > from).slice(0, limit);
  return { events, lastId: events.at(-1)?.id ?? from };
}
