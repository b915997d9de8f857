/** Lets parts that nobody uses any more finish by themselves. */
import { EndpointTransport } from '../transport/endpoint-transport.ts';

export function retire(parts: readonly unknown[]): void {
  for (const part of parts) {
    if (part instanceof EndpointTransport) void part.close();
    else if (isDisposable(part)) part.dispose();
  }
}

export const isDisposable = (part: unknown): part is { dispose(): void } =>
  typeof part === 'object' && part !== null && typeof (part as { dispose?: unknown }).dispose === 'function';
