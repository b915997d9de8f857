/** `npm run bench`: compares Outrigger with its peers in one interleaved run. See README.md beside this file. */
import { writeFileSync } from 'node:fs';
import { evaluate, judge, type PeerFigures } from './evaluation.ts';
import { machineFacts, pinMachine, requireLinux, type MachineFacts } from './lab/machine.ts';
import { killAll, killAllAtExit } from './lab/processes.ts';
import { Garage } from './lab/proxy.ts';
import { Load } from './load/load.ts';
import { parseOptions, usage, type Options, type ScenarioName } from './options.ts';
import { chosenPeers } from './peers/catalogue.ts';
import { machineSection, scenarioSection, targetSection } from './report.ts';
import { runScenario, type ScenarioResult } from './rounds.ts';
import { bigScenario } from './scenarios/big.ts';
import { idleScenario } from './scenarios/idle.ts';
import { jsonScenario, priceScenario } from './scenarios/json.ts';
import { startScenario } from './scenarios/start.ts';
import { takesPart } from './scenarios/scenario.ts';
import { sseScenario, tapScenario } from './scenarios/sse.ts';

const scenarios = [
  jsonScenario,
  sseScenario,
  tapScenario,
  bigScenario,
  idleScenario,
  startScenario,
  priceScenario,
];

async function main(args: readonly string[]): Promise<number> {
  if (args.includes('--help')) {
    console.log(usage);
    return 0;
  }
  const options = parseOptions(args);
  requireLinux();
  killAllAtExit();
  const startedAt = performance.now();
  const pinning = pinMachine(options.pin);
  const facts = machineFacts(pinning);
  const garage = new Garage(pinning);
  const peers = chosenPeers(options);
  console.log(machineSection(facts, peers));
  const present = peers.filter(({ missing }) => missing === undefined);

  const results: ScenarioResult[] = [];
  const figures = new Map<ScenarioName, PeerFigures[]>();
  let endsAt = startedAt;
  for (const scenario of scenarios.filter(({ name }) => options.scenarios.includes(name))) {
    endsAt += options.pace.budgetSeconds[scenario.name] * 1_000;
    const load = await Load.start();
    const taking = present.filter(({ name }) => takesPart(scenario, name));
    const result = await runScenario(scenario, taking, { options, garage, load, endsAt });
    await load.stop();
    results.push(result);
    figures.set(scenario.name, evaluate(result));
    console.log(`\n${scenarioSection(result, figures.get(scenario.name) ?? [])}`);
  }

  const verdicts = judge(figures);
  console.log(`\n${targetSection(verdicts)}\n`);
  console.log(`took ${((performance.now() - startedAt) / 1_000).toFixed(0)} s`);
  keep(options, { facts, results, figures, verdicts });
  if (results.some(({ broken }) => broken.size > 0)) return 1;
  return options.check && verdicts.some(({ result }) => result !== 'met') ? 1 : 0;
}

interface Kept {
  readonly facts: MachineFacts;
  readonly results: readonly ScenarioResult[];
  readonly figures: ReadonlyMap<ScenarioName, readonly PeerFigures[]>;
  readonly verdicts: readonly unknown[];
}

function keep({ jsonFile, pace }: Options, { facts, results, figures, verdicts }: Kept): void {
  if (jsonFile === undefined) return;
  const byScenario = results.map(({ scenario, samples, broken }) => ({
    scenario: scenario.name,
    primary: scenario.primary,
    peers: figures.get(scenario.name),
    samples,
    broken: Object.fromEntries(broken),
  }));
  writeFileSync(
    jsonFile,
    `${JSON.stringify({ machine: facts, pace, scenarios: byScenario, targets: verdicts }, null, 2)}\n`,
  );
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(`bench failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  killAll();
}
