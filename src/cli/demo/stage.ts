/** The two sides of the demo: a flaky provider alone, and the same provider behind a sidecar. */
import { devNull } from 'node:os';
import { systemClock } from '../../core/clock.ts';
import { systemRandom } from '../../core/random.ts';
import { playgroundSchema } from '../../playground/schema.ts';
import { startPlayground } from '../../playground/server.ts';
import type { Playground } from '../../playground/server.ts';
import { Sidecar } from '../../sidecar.ts';

/** What an agent is pointed at, and what can be told about it afterwards. */
export interface Side {
  readonly baseUrl: string;
  /** Requests that reached the provider. */
  upstreamRequests(): number;
  /** How often the circuit opened; undefined where there is no breaker. */
  breakerOpenings(): number | undefined;
  close(): Promise<void>;
}

/** Nearly every third request of an unprotected agent meets one of these. */
const FAULTS = {
  errorRatio: 0.12,
  throttleRatio: 0.05,
  resetRatio: 0.05,
  stallRatio: 0.02,
  cutRatio: 0.03,
  slowRatio: 0.03,
  slowBy: '1s',
  latency: { min: '5ms', max: '40ms' },
};

/**
 * Chosen for a provider that fails this often: the budget is above its default of 0.2, because with every fourth
 * request failing more retries than that are wanted, and the breaker is there for outages, not for this.
 */
export const POLICIES = `deadline: { after: 2500ms }
attemptTimeout: { connect: 500ms, firstByte: 500ms, firstToken: 600ms, idle: 2s }
retry: { maxRetries: 3, backoff: { initial: 50ms, max: 400ms }, budget: { ratio: 0.5 } }
circuitBreaker: { consecutiveFailures: 10, failureRatio: 0.6, minimumCalls: 20 }`;

const configText = (provider: string): string => `
server: { listen: '127.0.0.1:0', admin: '127.0.0.1:0' }
logging: { level: error, access: 'off' }
upstreams:
  provider:
    route: /provider
    endpoints: [{ url: '${provider}' }]
    dialect: openai
    idempotent: true
    policies:
      ${POLICIES.replaceAll('\n', '\n      ')}
`;

export async function directly(seed: number): Promise<Side> {
  const provider = await startProvider(seed);
  return {
    baseUrl: `${provider.address.url}/v1`,
    upstreamRequests: () => provider.stats().requests,
    breakerOpenings: () => undefined,
    close: () => provider.close(),
  };
}

export async function throughSidecar(seed: number): Promise<Side> {
  const provider = await startProvider(seed);
  const texts = [{ name: 'demo.yaml', text: configText(provider.address.url) }];
  const input = { files: [], env: {}, sets: [], texts };
  const sidecar = await Sidecar.start({ input, watch: false, logTo: devNull });
  let openings = 0;
  sidecar.bus.on('breaker-changed', ({ to }) => {
    if (to === 'open') openings += 1;
  });
  return {
    baseUrl: `http://127.0.0.1:${sidecar.dataPlane.address()?.port}/provider/v1`,
    upstreamRequests: () => provider.stats().requests,
    breakerOpenings: () => openings,
    close: async () => {
      await sidecar.stop();
      await provider.close();
    },
  };
}

function startProvider(seed: number): Promise<Playground> {
  const options = playgroundSchema.parse({ listen: '127.0.0.1:0', seed, faults: FAULTS });
  return startPlayground(options, { clock: systemClock, random: systemRandom });
}
