/**
 * The admin plane: health, metrics and administration on a port of its own, so that it answers while the data plane is
 * saturated or draining, and so that no proxied path can ever collide with it.
 */
import type { FastifyInstance } from 'fastify';
import { splitAddress } from '../server/address.ts';
import { boundTo, createAdminApp } from './admin-app.ts';
import type { AdminDeps } from './admin-deps.ts';

export class AdminPlane {
  readonly #deps: AdminDeps;
  #app: FastifyInstance | undefined;

  constructor(deps: AdminDeps) {
    this.#deps = deps;
  }

  /**
   * @param address `host:port`; port 0 asks the system for a free one
   * @throws Error with one message that names the address when it cannot be had
   */
  async listen(address: string): Promise<void> {
    const { host, port } = splitAddress(address);
    const app = createAdminApp(this.#deps, host);
    try {
      await app.listen({ host, port });
    } catch (error) {
      await app.close();
      throw listenError(error as NodeJS.ErrnoException, host, port);
    }
    this.#app = app;
  }

  /** The address and the port in use; undefined while it does not listen. */
  address(): { readonly host: string; readonly port: number } | undefined {
    return this.#app && boundTo(this.#app);
  }

  /** Stops listening and breaks off every connection, whether it is in use or not. May be called again. */
  async close(): Promise<void> {
    await this.#app?.close();
  }
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const why = error.code === 'EADDRINUSE' ? 'the address is in use' : error.message;
  return new Error(`cannot listen on ${host}:${port} (server.admin): ${why}`, { cause: error });
}
