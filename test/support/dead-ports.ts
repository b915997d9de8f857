/** Addresses on 127.0.0.1 that no connection can be made to, each in its own way. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import { scriptedUpstream, type ScriptedUpstream } from './scripted-upstream.ts';
import { silenceOnAccept } from './steps/connections.ts';

export interface DeadPort {
  readonly port: number;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * A port where connections are refused. It is the local end of a connection of ours, so that for as long as this is not
 * disposed nobody else can start to listen there.
 */
export async function closedPort(): Promise<DeadPort> {
  const server = createServer().listen({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const socket = connect({ port: portOf(server.address()), host: '127.0.0.1' });
  await once(socket, 'connect');
  const [other] = await accepted;
  server.close();
  return {
    port: socket.localPort ?? 0,
    [Symbol.asyncDispose]: async () => {
      socket.destroy();
      other.destroy();
      await Promise.all([once(socket, 'close'), once(other, 'close')]);
    },
  };
}

/**
 * A port where connecting neither succeeds nor fails: a listener with a full queue whose thread never accepts.
 * @throws Error where the system lets more than a handful of connections in nevertheless
 */
export async function blackhole(): Promise<DeadPort> {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(neverAccepting, { eval: true, workerData: gate });
  const [port] = (await once(worker, 'message')) as [number];
  const fillers: Socket[] = [];
  const dispose = async (): Promise<void> => {
    for (const filler of fillers) filler.destroy();
    const exited = once(worker, 'exit');
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
    await exited;
  };
  while (fillers.length < 8) {
    const filler = connect({ port, host: '127.0.0.1' });
    filler.on('error', () => undefined);
    fillers.push(filler);
    if (!(await connectsWithin(filler, 60))) return { port, [Symbol.asyncDispose]: dispose };
  }
  await dispose();
  throw new Error('the listen queue does not fill up on this system');
}

/** Accepts connections and reads, but says nothing: with a TLS client, a handshake that never ends. */
export function tlsStall(): Promise<ScriptedUpstream> {
  return scriptedUpstream([silenceOnAccept()]);
}

const neverAccepting = `
  const { parentPort, workerData } = require('node:worker_threads');
  const server = require('node:net').createServer();
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    Atomics.wait(workerData, 0, 0);
    process.exit();
  });
`;

function connectsWithin(socket: Socket, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), ms);
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new Error('not listening on a port');
  return address.port;
}
