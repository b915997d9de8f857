import { expect, it } from 'vitest';
import { checkConfig } from '../../src/config/checks.ts';
import { loadConfig } from '../../src/config/load.ts';
import { configSchema } from '../../src/config/schema.ts';
import { identityOf, programsIn } from '../../src/schema/agent.ts';

const AGENT = 'service: planner, address: "http://10.0.0.7:8000"';

function load(section: string) {
  const texts = [{ name: 'a.yaml', text: `agent: { ${section} }` }];
  return loadConfig(configSchema, { files: [], texts, env: {}, sets: [] }, checkConfig);
}

function agentOf(section: string) {
  const result = load(section);
  if (!result.ok) throw new Error(result.problems.map(({ message }) => message).join('\n'));
  return result.loaded.config.agent!;
}

const problemsOf = (section: string): string[] => {
  const result = load(section);
  return (result.ok ? result.loaded.warnings : result.problems).map(
    ({ path, message }) => `${path}: ${message}`,
  );
};

it('a service and an address are enough', () => {
  expect(problemsOf(AGENT)).toEqual([]);
  const { check, register, recovery } = agentOf(AGENT);
  expect(check).toMatchObject({ interval: 3_000, fall: 3, rise: 2, startGrace: 30_000 });
  expect([register, recovery]).toEqual([undefined, []]);
});

it.each([
  ['http://10.0.0.7:8000', 'planner-10.0.0.7-8000'],
  ['https://agents.example.com/base', 'planner-agents.example.com-443'],
  ['http://[fe80::1]:80', 'planner-fe80--1-80'],
])('without an id, the agent at %s is %s', (address, id) => {
  expect(identityOf(agentOf(`service: planner, address: "${address}"`)).id).toBe(id);
});

it.each([
  ['check: { tcp: {}, http: {} }', 'expected one of http, tcp and exec'],
  ['register: { heartbeat: 1s }', 'expected exactly one of embedded, registry, consul and etcd'],
  ['register: { consul: {}, embedded: true }', 'expected exactly one of'],
  ['register: { consul: {}, heartbeat: 20s }', 'expected at least twice the heartbeat'],
  ['register: { embedded: true }', 'expected a registry in this sidecar'],
  ['register: { consul: {}, ttl: 2h }', 'expected a duration from 1s to 1h'],
  ['recovery: [{ after: 3 }]', 'expected exactly one of webhook, command and exit'],
  ['recovery: [{ exit: 0 }]', 'recovery[0].exit'],
  ['recovery: [{ command: restart }]', 'expected the name of a command in agent.commands, got restart'],
  ['recovery: [{ exit: 1, backoff: { initial: 1h } }]', 'expected a wait that is not above max'],
  ['commands: { restart: [] }', 'commands.restart'],
  ['commands: { restart: [""] }', 'expected a program'],
  ['commands: { restart: "reboot now" }', 'commands.restart'],
  ['commands: { restart: [reboot] }', 'not in use: no step of agent.recovery names it'],
  ['recovery: [{ after: 1, exit: 1 }]', 'runs before the agent is down'],
])('%s is told of', (more, message) => {
  expect(problemsOf(`${AGENT}, ${more}`).join('\n')).toContain(message);
});

it('tells everything that makes the sidecar run a program', () => {
  const section = `${AGENT}, check: { exec: { command: [look] } }, recovery: [{ exit: 1, after: 9 }, { command: restart }], commands: { restart: [x] }, env: { PATH: /opt/bin }`;
  expect(programsIn(agentOf(section))).toEqual([
    ['check', 'exec'],
    ['commands', 'restart'],
    ['recovery', 1, 'command'],
    ['env', 'PATH'],
  ]);
  expect(programsIn(agentOf(`${AGENT}, env: { PATH: /opt/bin }`))).toEqual([]);
});
