// The smallest agent there can be: it asks the model the sidecar leads to, says how it went, and ends after a while.
//   OPENAI_BASE_URL  where the sidecar's route is; default the playground of a sidecar on this machine
//   AGENT_CALLS      how many questions to ask; default 20
//   AGENT_PAUSE_MS   pause between them in milliseconds; default 500

import { setTimeout as pause } from 'node:timers/promises';

const baseUrl = process.env.OPENAI_BASE_URL ?? 'http://127.0.0.1:8080/playground/v1';
const calls = Number(process.env.AGENT_CALLS ?? 20);
const pauseMs = Number(process.env.AGENT_PAUSE_MS ?? 500);

const LONGEST_WAIT_MS = 60_000;

async function ask(question) {
  const response = await fetch(`${baseUrl}/chat/completions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${process.env.OPENAI_API_KEY ?? 'not-needed'}`,
      'x-agent-id': 'example-agent',
    },
    body: JSON.stringify({ model: 'playground-small', messages: [{ role: 'user', content: question }] }),
    signal: AbortSignal.timeout(LONGEST_WAIT_MS),
  });
  const text = await response.text();
  // The sidecar says what it did, and, where it answers itself, why.
  const attempts = response.headers.get('x-outrigger-attempts') ?? '?';
  const code = response.headers.get('x-outrigger-code');
  return {
    ok: response.ok,
    text: `${response.status}${code ? ` ${code}` : ''} after ${attempts} attempt(s), ${text.length} characters`,
  };
}

let answered = 0;
for (let n = 1; n <= calls; n++) {
  const { ok, text } = await ask(`question ${n}`).catch((error) => ({
    ok: false,
    text: `failed: ${error.cause?.code ?? error.message}`,
  }));
  if (ok) answered += 1;
  console.log(`${n}/${calls} ${text}`);
  if (n < calls) await pause(pauseMs);
}
console.log(`${answered} of ${calls} questions were answered`);
process.exitCode = answered > 0 ? 0 : 1;
