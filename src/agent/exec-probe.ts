/**
 * A look at the agent by a program. Exit codes as Nagios plugins and Consul's script checks have them: 0 well, 1 warning,
 * anything else critical.
 */
import type { Clock } from '../core/clock.ts';
import { execute } from './execute.ts';
import type { Execution, ExecutionEnd } from './execute.ts';
import type { Probe, ProbeResult } from '../health/probes/probe.ts';

const DEGRADED_CODE = 1;

export function execProbe(execution: Execution, clock: Clock): Probe {
  return async (signal) => {
    const startedAt = clock.now();
    const end = await execute(execution, clock, signal);
    return { ...findingOf(end), durationMs: clock.now() - startedAt };
  };
}

function findingOf(end: ExecutionEnd): Omit<ProbeResult, 'durationMs'> {
  const detail = describeEnd(end);
  if (end.kind !== 'exited') return { ok: false, detail };
  return { ok: end.code <= DEGRADED_CODE, degraded: end.code === DEGRADED_CODE, detail };
}

/** One line for people: how it ended, and the first line of what it wrote. */
export function describeEnd(end: ExecutionEnd): string {
  switch (end.kind) {
    case 'exited':
      return withOutput(`exit code ${end.code}`, end.output);
    case 'killed':
      return withOutput(`ended by ${end.by}`, end.output);
    case 'timed-out':
      return withOutput('killed: it took too long', end.output);
    case 'aborted':
      return 'broken off';
    case 'not-started':
      return `not started: ${end.message}`;
  }
}

const MAX_LINE = 200;

function withOutput(what: string, output: string): string {
  const line = (output.split('\n', 1)[0] ?? '').replace(/[\x00-\x1f\x7f]/g, ' ').trim();
  return line === '' ? what : `${what}: ${line.slice(0, MAX_LINE)}`;
}
