/** The recovery actions there are: tell somebody, run a command of the list, end the sidecar. */
import { delays } from '../algorithms/backoff.ts';
import { Cancellation } from '../core/cancellation.ts';
import { sleep } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import type { AgentOptions } from '../schema/agent.ts';
import type { RecoveryStep, WebhookOptions } from '../schema/agent-recovery.ts';
import type { HttpClient } from '../transport/http-client.ts';
import { describeEnd } from './exec-probe.ts';
import { execute } from './execute.ts';
import type { ActionResult, Incident, RecoveryAction } from './recovery.ts';

export interface ActionDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly http: HttpClient;
  /** Ends the sidecar in good order, with this exit code. */
  readonly exit: (code: number) => void;
}

type Run = RecoveryAction['run'];

export function recoveryActions(options: AgentOptions, deps: ActionDeps): RecoveryAction[] {
  return options.recovery.map((step) => ({
    ...actionOf(step, options, deps),
    rule: {
      after: step.after,
      initialMs: step.backoff.initial,
      maxMs: step.backoff.max,
      maxPerHour: step.maxPerHour,
    },
  }));
}

function actionOf(step: RecoveryStep, options: AgentOptions, deps: ActionDeps): { name: string; run: Run } {
  const { webhook, command, exit } = step;
  if (webhook)
    return { name: 'webhook', run: (incident, signal) => post(webhook, { incident, signal }, deps) };
  if (command !== undefined)
    return { name: `command ${command}`, run: runner({ ...step, command }, options, deps) };
  return { name: 'exit', run: leaver(exit ?? 1, deps) };
}

/** Only what the list of the local configuration holds is ever run. */
function runner(step: RecoveryStep & { command: string }, options: AgentOptions, { clock }: ActionDeps): Run {
  return async ({ agent, status, failures, attempt }, signal) => {
    const command = Object.hasOwn(options.commands, step.command) && options.commands[step.command];
    if (!command) return { ok: false, message: `there is no command ${step.command}` };
    const about = {
      OUTRIGGER_AGENT_SERVICE: agent.service,
      OUTRIGGER_AGENT_ID: agent.id,
      OUTRIGGER_AGENT_STATUS: status,
      OUTRIGGER_AGENT_FAILURES: String(failures),
      OUTRIGGER_AGENT_ATTEMPT: String(attempt),
    };
    const env = { ...options.env, ...about };
    const end = await execute({ command, env, timeoutMs: step.timeout, leftovers: 'keep' }, clock, signal);
    const ok = end.kind === 'exited' && end.code === 0;
    return { ok, message: describeEnd(end), restarted: ok };
  };
}

function leaver(code: number, { exit }: ActionDeps): Run {
  return async () => {
    exit(code);
    return { ok: true, message: `the sidecar drains and ends with exit code ${code}` };
  };
}

const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 10_000;

interface Report {
  readonly incident: Incident;
  readonly signal: AbortSignal;
}

async function post(options: WebhookOptions, report: Report, deps: ActionDeps): Promise<ActionResult> {
  const growth = {
    kind: 'exponential',
    initialMs: FIRST_RETRY_MS,
    maxMs: MAX_RETRY_MS,
    multiplier: 2,
  } as const;
  const waits = delays({ ...growth, jitter: 'equal', jitterRatio: 0 }, deps.random);
  // One instant for all tries: it is one report, however often it is sent.
  const body = JSON.stringify(payloadOf(report.incident, deps.clock));
  for (let left = options.retries; ; left--) {
    const result = await postOnce(options, { body, signal: report.signal }, deps.http);
    if (result.ok || !result.again || left === 0 || report.signal.aborted) return result;
    await pause(deps.clock, waits(), report.signal);
  }
}

async function postOnce(
  { url, headers, timeout }: WebhookOptions,
  { body, signal }: { body: string; signal: AbortSignal },
  http: HttpClient,
): Promise<ActionResult & { readonly again: boolean }> {
  try {
    const answer = await http.stream({
      method: 'POST',
      url,
      headers: { ...headers, 'content-type': 'application/json' },
      body,
      timeoutMs: timeout,
      signal,
    });
    // Whatever else it says, however long or slowly, it has heard.
    answer.close();
    const { status } = answer;
    const ok = status >= 200 && status < 300;
    return { ok, message: `answered ${status}`, again: status === 429 || status >= 500 };
  } catch (error) {
    return { ok: false, message: withoutPath((error as Error).message, url), again: true };
  }
}

/** Addresses of webhooks often hold a token in their path. */
function withoutPath(message: string, url: string): string {
  const { origin, pathname } = new URL(url);
  return message.replaceAll(origin + pathname, origin);
}

async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  const cancellation = new Cancellation();
  const onAbort = (): void => cancellation.cancel('shutdown');
  if (signal.aborted) return;
  signal.addEventListener('abort', onAbort);
  await sleep(clock, ms, cancellation);
  signal.removeEventListener('abort', onAbort);
}

function payloadOf({ agent, status, failures, message, attempt }: Incident, clock: Clock): object {
  return {
    event: 'agent-recovery',
    at: clock.wallTime().toISOString(),
    service: agent.service,
    id: agent.id,
    address: agent.address,
    zone: agent.zone,
    status,
    failures,
    lastCheck: message,
    attempt,
  };
}
