import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { configFile, entry, minimalConfig, outrigger, runSidecar } from '../cli/fixture.ts';
import type { RunningSidecar } from '../cli/fixture.ts';
import type { NodeChild } from '../support/child-process.ts';
import { request } from '../support/raw-client.ts';
import { scriptedUpstream } from '../support/scripted-upstream.ts';
import type { ScriptedUpstream } from '../support/scripted-upstream.ts';
import { respond } from '../support/steps/answers.ts';
import { controlledStream } from '../support/steps/controlled-stream.ts';
import { holdResponse } from '../support/steps/hold-response.ts';

const configFor = (upstream: ScriptedUpstream, server = ''): string =>
  minimalConfig(`{ tools: { route: /tools, endpoints: [{ url: '${upstream.origin}' }] } }`, server);

/** Every line that was written; fails where one is not whole. */
const logOf = ({ stdout }: NodeChild): Record<string, unknown>[] => {
  expect(stdout.endsWith('\n')).toBe(true);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
};

const messagesOf = (child: NodeChild): unknown[] => logOf(child).map(({ msg }) => msg);

const untilDraining = ({ child }: RunningSidecar): Promise<unknown> => child.waitForLine(/"msg":"draining"/);

describe('a signal to stop', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    '%s lets what is in flight finish, then exits with 0',
    async (signal) => {
      const held = holdResponse(respond({ body: 'worth waiting for' }));
      await using upstream = await scriptedUpstream([held]);
      await using sidecar = await runSidecar(['-c', configFile(configFor(upstream))]);
      const answer = request(sidecar.port, { path: '/tools/a' });
      await held.waitForHeld();
      sidecar.child.signal(signal);
      await untilDraining(sidecar);
      const ready = await fetch(`${sidecar.adminUrl}/ready`);
      expect([ready.status, await ready.json()]).toEqual([
        503,
        expect.objectContaining({ draining: true, active: 1 }),
      ]);
      await expect(request(sidecar.port, { path: '/tools/b' })).rejects.toThrow('ECONNREFUSED');
      held.release();
      const response = await answer;
      expect([response.status, await response.text()]).toEqual([200, 'worth waiting for']);
      expect(await sidecar.child.waitForExit()).toEqual({ code: 0, signal: null });
      expect(upstream.requests).toHaveLength(1);
    },
  );

  it('that only its shell got stops it, too, under npm', async () => {
    await using upstream = await scriptedUpstream([respond()]);
    const args = [entry, 'run', '-c', configFile(configFor(upstream))];
    // npm runs a script by such a shell, which does not pass signals on.
    const shell = spawn('sh', ['-c', '"$0" "$@" & echo "pid $!" && wait', process.execPath, ...args], {
      env: { ...process.env, npm_lifecycle_event: 'start' },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let output = '';
    shell.stdout.on('data', (chunk: Buffer) => (output += String(chunk)));
    onTestFinished(() => {
      const pid = Number(/^pid (\d+)$/m.exec(output)?.[1]);
      try {
        if (pid > 0) process.kill(pid, 'SIGKILL');
      } catch {
        // Gone, as it should be.
      }
    });
    await expect.poll(() => output, { timeout: 15_000 }).toContain('"msg":"started"');
    shell.kill('SIGTERM');
    await once(shell.stdout, 'close');
    expect(output).toContain('"msg":"drained"');
  });

  it('loses no line of the log', async () => {
    await using upstream = await scriptedUpstream([respond({ body: 'ok' })]);
    await using sidecar = await runSidecar(['-c', configFile(configFor(upstream))]);
    for (let i = 0; i < 20; i++) expect((await request(sidecar.port, { path: '/tools/a' })).status).toBe(200);
    sidecar.child.signal('SIGTERM');
    expect(await sidecar.child.waitForExit()).toEqual({ code: 0, signal: null });
    const messages = messagesOf(sidecar.child);
    expect(messages.filter((message) => message === 'exchange')).toHaveLength(20);
    expect(messages[0]).toBe('started');
    expect(messages.slice(21, 24)).toEqual(['stopping', 'draining', 'drained']);
  });

  it('breaks off visibly what does not finish within drainTimeout, and still exits with 0', async () => {
    const stream = controlledStream();
    const never = holdResponse(respond());
    await using upstream = await scriptedUpstream([stream, never]);
    const server = '  drainTimeout: 300ms';
    await using sidecar = await runSidecar(['-c', configFile(configFor(upstream, server))]);
    const streaming = request(sidecar.port, { path: '/tools/stream' });
    await stream.head();
    await stream.write('data: 1\n\n');
    const begun = await streaming;
    const waiting = request(sidecar.port, { path: '/tools/never' });
    await never.waitForHeld();
    sidecar.child.signal('SIGTERM');
    expect((await waiting).status).toBe(503);
    expect((await waiting).header('x-outrigger-code')).toBe('shutting_down');
    expect(['cut', 'reset']).toContain(await begun.ended());
    expect(await sidecar.child.waitForExit()).toEqual({ code: 0, signal: null });
    const exchanges = logOf(sidecar.child).filter(({ msg }) => msg === 'exchange');
    expect(exchanges).toHaveLength(2);
    for (const exchange of exchanges)
      expect(exchange).toMatchObject({ success: false, reason: 'shutting_down' });
    expect(logOf(sidecar.child)).toContainEqual(expect.objectContaining({ msg: 'drained', brokenOff: 2 }));
    await upstream.waitForAbort(2);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('ends the process at once when %s is the second one', async (second, code) => {
    const held = holdResponse(respond());
    await using upstream = await scriptedUpstream([held]);
    await using sidecar = await runSidecar(['-c', configFile(configFor(upstream))]);
    const answer = request(sidecar.port, { path: '/tools/a' });
    const broken = expect(answer).rejects.toThrow();
    await held.waitForHeld();
    sidecar.child.signal('SIGTERM');
    await untilDraining(sidecar);
    sidecar.child.signal(second);
    expect(await sidecar.child.waitForExit()).toEqual({ code, signal: null });
    expect(messagesOf(sidecar.child).at(-1)).toBe('second signal: stopping at once');
    await broken;
  });
});

describe('a start that cannot succeed', () => {
  it.each([
    ['listen', 'server.listen'],
    ['admin', 'server.admin'],
  ])('because the port of server.%s is in use exits with 1 and one clear message', async (key, name) => {
    const taken = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void taken.close());
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const file = configFile(minimalConfig());
    const { code, stdout, stderr } = await outrigger([
      'run',
      '-c',
      file,
      '--set',
      `server.${key}=127.0.0.1:${port}`,
    ]);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain('outrigger: cannot start\n');
    expect(stderr).toContain(`cannot listen on 127.0.0.1:${port} (${name}): the address is in use`);
    expect(stderr.trimEnd().split('\n')).toHaveLength(2);
  });
});

describe('SIGHUP', () => {
  it('reads the configuration again, and says so also when nothing changed', async () => {
    await using upstream = await scriptedUpstream([respond({ body: 'ok' })]);
    const file = configFile(minimalConfig());
    await using sidecar = await runSidecar(['-c', file]);
    expect((await request(sidecar.port, { path: '/tools/a' })).status).toBe(404);
    sidecar.child.signal('SIGHUP');
    await sidecar.child.waitForLine(/"cause":"SIGHUP","msg":"configuration unchanged"/);
    writeFileSync(file, configFor(upstream));
    sidecar.child.signal('SIGHUP');
    await sidecar.child.waitForLine(/"generation":2.*"msg":"configuration applied"/);
    expect((await request(sidecar.port, { path: '/tools/a' })).status).toBe(200);
  });

  it('keeps the configuration in force when the new one is bad, and says what is wrong', async () => {
    await using upstream = await scriptedUpstream([respond({ body: 'ok' })]);
    const file = configFile(configFor(upstream));
    await using sidecar = await runSidecar(['-c', file]);
    writeFileSync(file, 'upstreams: { tools: { rout: /tools } }');
    sidecar.child.signal('SIGHUP');
    await sidecar.child.waitForLine(/rout.*"msg":"configuration rejected; the one in force serves on"/);
    expect((await request(sidecar.port, { path: '/tools/a' })).status).toBe(200);
  });
});

it('a changed file is applied without any signal', async () => {
  await using upstream = await scriptedUpstream([respond({ body: 'ok' })]);
  const file = configFile(minimalConfig());
  await using sidecar = await runSidecar(['-c', file]);
  writeFileSync(file, configFor(upstream));
  await sidecar.child.waitForLine(/"cause":"file","msg":"configuration applied"/);
  expect((await request(sidecar.port, { path: '/tools/a' })).status).toBe(200);
});

/** A fault that only a debugger could bring in from outside. */
const onSigusr2 = (statement: string): string[] => [
  '--import',
  `data:text/javascript,${encodeURIComponent(`process.on('SIGUSR2', () => { ${statement} });`)}`,
];

describe('a mistake that nobody caught', () => {
  it('as a rejected promise is logged, and the sidecar goes on', async () => {
    await using upstream = await scriptedUpstream([respond({ body: 'ok' })]);
    const nodeArgs = onSigusr2(`void Promise.reject(new Error('lost promise'))`);
    await using sidecar = await runSidecar(['-c', configFile(configFor(upstream))], { nodeArgs });
    sidecar.child.signal('SIGUSR2');
    await sidecar.child.waitForLine(/lost promise.*"msg":"unhandled rejection; going on"/);
    expect((await request(sidecar.port, { path: '/tools/a' })).status).toBe(200);
    sidecar.child.signal('SIGTERM');
    expect(await sidecar.child.waitForExit()).toEqual({ code: 0, signal: null });
  });

  it('as a thrown error is logged; what is in flight finishes, then the exit code is 1', async () => {
    const held = holdResponse(respond({ body: 'ok' }));
    await using upstream = await scriptedUpstream([held]);
    const nodeArgs = onSigusr2(`throw new Error('thrown into nothing')`);
    await using sidecar = await runSidecar(['-c', configFile(configFor(upstream))], { nodeArgs });
    const answer = request(sidecar.port, { path: '/tools/a' });
    await held.waitForHeld();
    sidecar.child.signal('SIGUSR2');
    await sidecar.child.waitForLine(/thrown into nothing.*"msg":"uncaught exception; stopping"/);
    held.release();
    expect((await answer).status).toBe(200);
    expect(await sidecar.child.waitForExit()).toEqual({ code: 1, signal: null });
  });
});

it('goes on when nobody reads its output any more', async () => {
  await using upstream = await scriptedUpstream([respond({ body: 'ok' })]);
  const file = configFile(configFor(upstream));
  const child = spawn(process.execPath, [entry, 'run', '-c', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const port = await dataPort(child.stderr);
  child.stdout.destroy();
  child.stderr.destroy();
  for (let i = 0; i < 200; i++) expect((await request(port, { path: '/tools/a' })).status).toBe(200);
  const exit = once(child, 'exit');
  child.kill('SIGHUP');
  child.kill('SIGTERM');
  expect(await exit).toEqual([0, null]);
});

async function dataPort(stderr: NodeJS.ReadableStream): Promise<number> {
  let text = '';
  for await (const chunk of stderr as AsyncIterable<Buffer>) {
    text += chunk.toString();
    const match = /data plane +http:\/\/\S+:(\d+)\n[^]*\n$/.exec(text);
    if (match) return Number(match[1]);
  }
  throw new Error(`no banner: ${text}`);
}
