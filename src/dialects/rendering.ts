/** What the answers of the sidecar have in common, whatever the dialect. */
import type { LocalError } from '../core/dialect.ts';
import type { HeaderList } from '../core/header-list.ts';

export const JSON_BODY: HeaderList = ['content-type', 'application/json'];

export const SSE_BODY: HeaderList = ['content-type', 'text/event-stream; charset=utf-8'];

/** All that an error has to say to people. */
export const sentenceOf = ({ title, detail }: LocalError): string => (detail ? `${title} ${detail}` : title);
