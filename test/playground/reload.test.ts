/** The playground over changes of its section: it goes on until there is a better one. */
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ownSidecar } from '../incidents/own-sidecar.ts';
import type { OwnSidecar } from '../incidents/own-sidecar.ts';
import { failureCode, postChat } from './fixture.ts';
import type { Playground } from '../../src/playground/server.ts';

const section = (more: string): string => `playground: { listen: "127.0.0.1:0", ${more} }\n`;

function playgroundOf({ sidecar }: OwnSidecar): Playground {
  const { playground } = sidecar.playground;
  if (!playground) throw new Error('there is no playground');
  return playground;
}

async function takenPort(): Promise<{ readonly port: number; readonly server: Server }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return { server, port: (server.address() as AddressInfo).port };
}

describe('a reload', () => {
  it('to an address that another program has is refused by name of address and option, and the playground serves on as it was', async () => {
    const { port, server } = await takenPort();
    await using own = await ownSidecar(section('faults: { errorRatio: 1, errorStatuses: [502] }'));
    const before = playgroundOf(own);
    const moved = `playground: { listen: "127.0.0.1:${port}" }\n`;

    const result = await own.edit(moved);

    const message = `cannot listen on 127.0.0.1:${port} (playground.listen): the address is in use`;
    expect(result).toMatchObject({ applied: false, problems: [{ message }] });
    expect(own.events.of('config-rejected')).toHaveLength(1);
    expect(own.events.of('internal-error')).toEqual([]);
    expect(playgroundOf(own)).toBe(before);
    expect((await postChat(before)).status).toBe(502);

    await new Promise((resolve) => server.close(resolve));
    expect(await own.edit(moved)).toMatchObject({ applied: true });
    expect(playgroundOf(own).address.port).toBe(port);
    expect((await postChat(playgroundOf(own))).status).toBe(200);
    expect(await failureCode(postChat(before))).toBe('ECONNREFUSED');
  });

  it('opens no other listener where the address of the playground cannot be had', async () => {
    const { port } = await takenPort();
    await using own = await ownSidecar(section(''));
    await own.edit(`registry: { listen: "127.0.0.1:0" }\nplayground: { listen: "127.0.0.1:${port}" }\n`);
    expect(own.sidecar.registry.view).toBeUndefined();
    expect((await postChat(playgroundOf(own))).status).toBe(200);
  });

  it('changes seed, faults and pace in place: answers under way go on', async () => {
    await using own = await ownSidecar(section('stream: { tokens: 2, interval: 10ms }'));
    const before = playgroundOf(own);
    const streaming = await postChat(before, { stream: true });
    await own.edit(section('seed: 3, faults: { errorRatio: 1, errorStatuses: [502] }'));
    expect(playgroundOf(own)).toBe(before);
    expect((await postChat(before)).status).toBe(502);
    const rest = streaming.text();
    await expect.poll(() => own.clock.pendingTimers).toBeGreaterThan(0);
    await own.clock.advance(1_000);
    expect(await rest).toContain('[DONE]');
  });

  it('that takes the section away ends it', async () => {
    await using own = await ownSidecar(section(''));
    const before = playgroundOf(own);
    await own.edit('{}\n');
    expect(own.sidecar.playground.playground).toBeUndefined();
    expect(await failureCode(postChat(before))).toBe('ECONNREFUSED');
  });
});
