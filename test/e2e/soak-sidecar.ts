/**
 * The sidecar of the soak test, alone in a process, so that what is measured is its own. Started with `--expose-gc` and
 * the path of a configuration; it is told what to do, and answers, over the channel to its parent.
 */
import { subscribe } from 'node:diagnostics_channel';
import type { EventEmitter } from 'node:events';
import { readdirSync } from 'node:fs';
import { devNull } from 'node:os';
import { queryObjects } from 'node:v8';
import { Sidecar } from '../../src/sidecar.ts';
import { CountingClock } from '../support/counting-clock.ts';
import { turns } from '../support/turns.ts';

/** `objects`: how many objects something holds on to; exact, but it takes seconds. */
export type SoakCommand = 'measure' | 'objects' | 'reload' | 'stop';

/** What there is once nothing is under way. */
export interface Measurement {
  /** Compiled code included, of which there is ever more for a while. */
  readonly heapBytes: number;
  /** Memory of buffers, which is not in the heap. */
  readonly bufferBytes: number;
  readonly timers: number;
  readonly listeners: number;
  readonly sockets: number;
  readonly openFiles: number;
  /** Exchanges, tunnels, requests to upstreams, kept bytes, answers that policies hold. */
  readonly inFlight: number;
  /** Exchanges that are over and that something holds on to. */
  readonly keptExchanges: number;
  /** Series that the metrics have: labels without a bound would show here. */
  readonly series: number;
}

let stopping = false;
const exchanges = new Set<WeakRef<object>>();
const servers = new Set<EventEmitter>();
const clock = new CountingClock();

/** Longest wait for what is over to be gone. */
const REST_MS = 5_000;

function sum<T>(all: Iterable<T>, of: (one: T) => number): number {
  let total = 0;
  for (const one of all) total += of(one);
  return total;
}

const socketCount = (): number =>
  process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;

const listenerCount = (): number =>
  sum([process, ...servers], (one) => sum(one.eventNames(), (name) => one.listenerCount(name)));

function inFlight({ dataPlane, supervisor }: Sidecar): number {
  const running = sum(supervisor.runtime.upstreams.values(), ({ endpoints }) =>
    sum(endpoints.members, (member) => member.connections().running),
  );
  return dataPlane.activeCount + dataPlane.tunnelCount + dataPlane.replayBytes + running;
}

async function collectGarbage(): Promise<void> {
  for (let n = 0; n < 2; n++) {
    await turns(5);
    globalThis.gc?.();
  }
}

async function measure(sidecar: Sidecar, timersAtRest: number): Promise<Measurement> {
  const giveUpAt = performance.now() + REST_MS;
  const isAtRest = (): boolean =>
    inFlight(sidecar) === 0 && socketCount() === 0 && clock.armed.size <= timersAtRest;
  while (!isAtRest() && performance.now() < giveUpAt) await new Promise((resolve) => setTimeout(resolve, 5));
  const series = (await sidecar.metrics.text()).split('\n').filter((line) => line.startsWith('outrigger_'));
  await collectGarbage();
  for (const reference of exchanges) if (reference.deref() === undefined) exchanges.delete(reference);
  return {
    heapBytes: process.memoryUsage().heapUsed,
    bufferBytes: process.memoryUsage().arrayBuffers,
    timers: clock.armed.size - timersAtRest,
    listeners: listenerCount(),
    sockets: socketCount(),
    openFiles: readdirSync('/proc/self/fd').length,
    inFlight: inFlight(sidecar),
    keptExchanges: exchanges.size,
    series: series.length,
  };
}

async function obey(sidecar: Sidecar, command: SoakCommand, timersAtRest: number): Promise<unknown> {
  if (command === 'measure') return measure(sidecar, timersAtRest);
  if (command === 'objects') return queryObjects(Object, { format: 'count' });
  if (command === 'reload') return (await sidecar.reload('soak')).applied;
  stopping = true;
  await sidecar.close();
  // The channel to the parent is all that is left.
  process.disconnect();
  return undefined;
}

subscribe('http.server.request.start', (message) => {
  servers.add((message as { server: EventEmitter }).server);
});
const [file = ''] = process.argv.slice(2);
const sets = ['server.listen=127.0.0.1:0', 'server.admin=127.0.0.1:0'];
const input = { files: [file], env: {}, sets };
const sidecar = await Sidecar.start({ input, watch: false, logTo: devNull, clock });
sidecar.bus.on('exchange-started', ({ exchange }) => void exchanges.add(new WeakRef(exchange)));
const timersAtRest = clock.armed.size;
// It never outlives whoever started it.
process.on('disconnect', () => (stopping ? undefined : process.exit(1)));
process.on('message', (command: SoakCommand) => {
  void obey(sidecar, command, timersAtRest).then((answer) => {
    if (process.connected) process.send?.(answer);
  });
});
process.send?.({ port: sidecar.dataPlane.address()?.port });
