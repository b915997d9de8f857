/**
 * Plays the scenarios in virtual time, prints their tables, and draws their pictures into docs/scenarios. Every run is the
 * same: `node bench/scenarios/virtual/run.ts`.
 */
import { writeFileSync } from 'node:fs';
import { playAllBalancing, reportBalancing } from './balancing-report.ts';
import { playAllBrownOuts, playAllPacing, reportBrownOut, reportPacing } from './report.ts';

const reports = [
  reportBrownOut(await playAllBrownOuts()),
  reportPacing(await playAllPacing()),
  reportBalancing(await playAllBalancing()),
];

for (const { name, title, table, svg } of reports) {
  writeFileSync(new URL(`../../../docs/scenarios/${name}.svg`, import.meta.url), svg);
  process.stdout.write(`## ${title}\n\n${table}\n\n`);
}
