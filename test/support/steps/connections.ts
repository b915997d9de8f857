/** What happens to connections rather than to requests. */
import type { AcceptStep, RequestStep } from '../upstream/step.ts';
import { respond } from './answers.ts';

/** RST straight after accept. */
export function resetOnAccept(): AcceptStep {
  return { name: 'resetOnAccept', startsAt: 'accept', run: (tcp) => void tcp.resetAndDestroy() };
}

/** FIN straight after accept. What the client sends is read and thrown away. */
export function closeOnAccept(): AcceptStep {
  return {
    name: 'closeOnAccept',
    startsAt: 'accept',
    run: (tcp) => {
      tcp.end();
      tcp.resume();
    },
  };
}

/** Accepts, reads, says nothing. With TLS: a handshake that never ends. */
export function silenceOnAccept(): AcceptStep {
  return {
    name: 'silenceOnAccept',
    startsAt: 'accept',
    run: (tcp) => {
      tcp.on('end', () => tcp.destroy());
      tcp.resume();
    },
  };
}

export interface StaleKeepAlive {
  /** How the connection ends when it is used again. Default `reset`. */
  readonly by?: 'fin' | 'reset';
  /** The answer before that. Default an empty 200. */
  readonly first?: RequestStep;
}

/**
 * Answers one request and keeps the connection, then ends it at the first bytes of the next request on it. That next
 * request is neither parsed nor recorded, and takes no step of the script.
 */
export function staleKeepAlive({ by = 'reset', first = respond() }: StaleKeepAlive = {}): RequestStep {
  return {
    name: 'staleKeepAlive',
    startsAt: first.startsAt,
    run: async (exchange) => {
      exchange.interceptNext(() => {
        if (by === 'fin') exchange.finish();
        else exchange.reset();
      });
      await first.run(exchange);
    },
  };
}
