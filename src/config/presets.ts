/**
 * What `preset: NAME` stands for: a dialect with policies that suit its services. Written as an operator would write it,
 * so that `explain` can point at each line; what the operator writes wins.
 */

/** Completions are slow, costly and worth waiting for; a repetition costs money and does nothing else. */
const MODEL_API = `
idempotent: compute
policies:
  deadline: { after: 9m }
  attemptTimeout: { connect: 5s, firstByte: 5m, idle: 2m }
  retry:
    maxRetries: 2
    backoff: { initial: 500ms, max: 8s, jitter: full }
    maxElapsed: 5m
    maxRetryAfter: 60s
  pacing: {}
  circuitBreaker: { consecutiveFailures: 5, failureRatio: 0.5, window: 60s, openFor: 15s }
`;

/** Models on one's own machines load for a while and queue. */
const OWN_MODELS = `
idempotent: compute
policies:
  deadline: { after: 15m }
  attemptTimeout: { connect: 2s, firstByte: 10m, idle: 5m }
  retry: { maxRetries: 3, backoff: { initial: 1s, max: 10s, jitter: full }, maxElapsed: 5m }
  circuitBreaker: { consecutiveFailures: 5, openFor: 10s }
`;

/** Tools answer within seconds or say that they work; what they did is not done again. */
const TOOL_SERVER = `
policies:
  deadline: { after: 30s }
  attemptTimeout: { connect: 2s, firstByte: 30s, idle: 5m }
  retry:
    maxRetries: 2
    backoff: { initial: 200ms, max: 2s, jitter: full }
    maxElapsed: 15s
    maxRetryAfter: 10s
  circuitBreaker: { consecutiveFailures: 5, openFor: 10s }
`;

/** Agents take their time, and tell how they get on in streams. */
const AGENT = `
policies:
  deadline: { after: 2m }
  attemptTimeout: { connect: 2s, firstByte: 2m, idle: 5m }
  retry:
    maxRetries: 2
    backoff: { initial: 500ms, max: 5s, jitter: full }
    maxElapsed: 1m
    maxRetryAfter: 30s
  circuitBreaker: { consecutiveFailures: 5, openFor: 10s }
`;

/** Servers are silent on these streams until something happens. */
const LISTENING = `
overrides:
  listening:
    match: { method: [listen, subscriptions/listen] }
    policies: { attemptTimeout: { idle: false } }
`;

const at = (url: string): string => `endpoints: [{ url: "${url}" }]\n`;

export const PRESETS = {
  openai: `dialect: openai\n${at('https://api.openai.com')}${MODEL_API}`,
  'azure-openai': `dialect: openai\n${MODEL_API}`,
  anthropic: `dialect: anthropic\n${at('https://api.anthropic.com')}${MODEL_API}`,
  gemini: `dialect: gemini\n${at('https://generativelanguage.googleapis.com')}${MODEL_API}`,
  groq: `dialect: openai\n${at('https://api.groq.com')}${MODEL_API}`,
  mistral: `dialect: openai\n${at('https://api.mistral.ai')}${MODEL_API}`,
  openrouter: `dialect: openai\n${at('https://openrouter.ai')}${MODEL_API}`,
  deepseek: `dialect: openai\n${at('https://api.deepseek.com')}${MODEL_API}`,
  vllm: `dialect: openai\n${OWN_MODELS}`,
  ollama: `dialect: openai\n${at('http://127.0.0.1:11434')}${OWN_MODELS}`,
  mcp: `dialect: mcp\n${TOOL_SERVER}${LISTENING}`,
  a2a: `dialect: a2a\n${AGENT}`,
} as const satisfies Readonly<Record<string, string>>;

export type PresetName = keyof typeof PRESETS;

export const PRESET_NAMES = Object.keys(PRESETS) as [PresetName, ...PresetName[]];
