// A failover drill: three agents, a registry, a sidecar, and calls all the time. One agent is killed, one is cut off, one
// becomes slow, one after the other; each is repaired again. What happened is printed as a table, and with --json as data.
//
//   node drill.mjs [--rate <calls a second>] [--fault <ms>] [--json]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    rate: { type: 'string', default: '40' },
    fault: { type: 'string', default: '6000' },
    json: { type: 'boolean', default: false },
  },
});

/** Longest wait for anything, in milliseconds. */
const PATIENCE_MS = 30_000;

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/** A program that says what it does, line by line, as JSON. */
class Program {
  lines = [];
  #wanted = new Set();

  constructor(args) {
    this.process = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.process.stdin.on('error', () => undefined);
    createInterface({ input: this.process.stdout }).on('line', (text) => this.#hear(text));
    this.process.on('exit', () => this.#over());
  }

  /** The first line that fits, also one that was said before. */
  line(fits, what) {
    const said = this.lines.find(fits);
    if (said) return Promise.resolve(said);
    return new Promise((resolve, reject) => {
      const giveUp = () => reject(new Error(`nothing was said of ${what}`));
      const timer = setTimeout(giveUp, PATIENCE_MS);
      this.#wanted.add({ fits, resolve, giveUp, timer });
    });
  }

  async end(signal) {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exited = once(this.process, 'exit');
    this.process.kill(signal);
    await exited;
  }

  #hear(text) {
    const line = parsed(text);
    if (!line) return;
    this.lines.push(line);
    for (const wanted of [...this.#wanted]) if (wanted.fits(line)) this.#settle(wanted, wanted.resolve, line);
  }

  /** Who has ended says nothing more. */
  #over() {
    for (const wanted of [...this.#wanted]) this.#settle(wanted, wanted.giveUp);
  }

  #settle(wanted, settle, line) {
    this.#wanted.delete(wanted);
    clearTimeout(wanted.timer);
    settle(line);
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function startAgent(registry, id, port = 0) {
  const agent = new Program([here('agent.mjs'), registry, id, String(port)]);
  const said = await agent.line((line) => line.port !== undefined, `the port of ${id}`);
  return Object.assign(agent, { id, port: said.port, origin: `http://127.0.0.1:${said.port}` });
}

/** Calls at an even pace, whatever becomes of them, as users make them. */
class Calls {
  made = [];
  #stopped = false;
  #running;

  constructor(url, perSecond) {
    this.#running = this.#make(url, 1_000 / perSecond);
  }

  async stop() {
    this.#stopped = true;
    await this.#running;
  }

  async #make(url, everyMs) {
    const under = [];
    for (let dueAt = Date.now(); !this.#stopped; dueAt += everyMs) {
      await sleep(Math.max(0, dueAt - Date.now()));
      under.push(this.#call(url));
    }
    await Promise.all(under);
  }

  async #call(url) {
    const at = Date.now();
    const status = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS) }).then(
      async (response) => (await response.text(), response.status),
      () => 0,
    );
    this.made.push({ at, status, ms: Date.now() - at });
  }
}

const faults = [
  {
    name: 'killed',
    meaning: 'SIGKILL; started again on its port',
    begin: (agent) => agent.end('SIGKILL'),
    repair: (agent, registry) => startAgent(registry, agent.id, agent.port),
  },
  {
    name: 'cut off',
    meaning: 'SIGSTOP: connections are accepted, and nothing ever answers; SIGCONT',
    begin: (agent) => void agent.process.kill('SIGSTOP'),
    repair: (agent) => (agent.process.kill('SIGCONT'), agent),
  },
  {
    name: 'slow',
    meaning: 'every answer takes 3 s; then as before',
    begin: (agent) => fetch(`${agent.origin}/slow?ms=3000`, { method: 'POST' }),
    repair: async (agent) => (await fetch(`${agent.origin}/slow?ms=0`, { method: 'POST' }), agent),
  },
];

/** What the sidecar did about a fault, by its own log. */
function account(sidecar, calls, { agent, faultAt, repairedAt, overAt }) {
  const of = sidecar.lines.filter(({ time }) => time >= faultAt && time <= overAt);
  const changes = of.filter(({ msg, endpoint }) => msg === 'endpoint' && endpoint === agent.origin);
  const failed = of
    .filter(({ msg }) => msg === 'exchange')
    .flatMap(({ trail = [], startTime }) => trail.map((attempt) => ({ ...attempt, startTime })))
    .filter(({ endpoint, class: kind }) => endpoint === agent.origin && kind !== 'ok');
  const out = changes.find(({ to }) => to !== 'available' && to !== 'degraded');
  const back = changes.find(({ to, time }) => to === 'available' && time >= repairedAt);
  const made = calls.made.filter(({ at }) => at >= faultAt && at <= overAt);
  return {
    outMs: out && out.time - faultAt,
    as: out?.to,
    failedBeforeOut: out && failed.filter(({ startTime }) => startTime <= out.time).length,
    failedAfterOut: out && failed.filter(({ startTime }) => startTime > out.time).length,
    backMs: back && back.time - repairedAt,
    calls: made.length,
    lost: made.filter(({ status }) => status !== 200).length,
    slowestMs: Math.max(...made.map(({ ms }) => ms)),
  };
}

async function drill({ sidecar, registry, data, agents }) {
  const calls = new Calls(`http://${data}/workers/work`, Number(options.rate));
  await sleep(2_000);
  const results = [];
  for (const [index, fault] of faults.entries()) {
    const agent = agents[index];
    const faultAt = Date.now();
    await fault.begin(agent);
    await sleep(Number(options.fault));
    const repairedAt = Date.now();
    agents[index] = await fault.repair(agent, registry);
    const isBack = (line) =>
      line.msg === 'endpoint' &&
      line.endpoint === agent.origin &&
      line.to === 'available' &&
      line.time >= repairedAt;
    await sidecar.line(isBack, `the return of the agent that was ${fault.name}`);
    await sleep(1_000);
    results.push({ fault, agent, faultAt, repairedAt, overAt: Date.now() });
  }
  await calls.stop();
  return results.map(({ fault, ...times }) => ({
    fault: fault.name,
    meaning: fault.meaning,
    ...account(sidecar, calls, times),
  }));
}

const seconds = (ms) => (ms === undefined ? '—' : `${(ms / 1_000).toFixed(2)} s`);

function table(results) {
  const rows = results.map((one) => [
    one.fault,
    one.as ?? '—',
    seconds(one.outMs),
    one.failedBeforeOut ?? '—',
    one.failedAfterOut ?? '—',
    seconds(one.backMs),
    one.calls,
    one.lost,
    seconds(one.slowestMs),
  ]);
  const head = [
    'fault',
    'taken out as',
    'after',
    'failed attempts until then',
    'and later',
    'back after its repair',
  ];
  return [[...head, 'calls', 'lost', 'slowest'], head.concat('', '', '').map(() => '---'), ...rows]
    .map((row) => `| ${row.join(' | ')} |`)
    .join('\n');
}

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const free = ['server.listen=127.0.0.1:0', 'server.admin=127.0.0.1:0'].flatMap((set) => ['--set', set]);
const sidecar = new Program([main, 'run', '-c', here('outrigger.yaml'), ...free]);
const agents = [];
try {
  const started = await sidecar.line(({ msg }) => msg === 'started', 'the start of the sidecar');
  const registry = `http://127.0.0.1:${started.registry.port}`;
  for (const id of ['one', 'two', 'three']) agents.push(await startAgent(registry, id));
  await sidecar.line((line) => line.msg === 'endpoints found' && line.endpoints === 3, 'three endpoints');
  const results = await drill({ sidecar, registry, data: `127.0.0.1:${started.data.port}`, agents });
  process.stdout.write(`${options.json ? JSON.stringify(results) : table(results)}\n`);
} finally {
  await sidecar.end('SIGTERM');
  for (const agent of agents) await agent.end('SIGKILL');
}
