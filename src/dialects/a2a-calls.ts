/** What a call to an A2A agent is: in JSON-RPC by its method, in HTTP+JSON by its path, in 1.0 and 0.3. */
import { UNKNOWN_CALL } from '../core/dialect.ts';
import type { CallFacts } from '../core/dialect.ts';
import type { RequestHead } from '../core/request.ts';
import { textAt } from '../algorithms/json-pointer.ts';
import { withoutEndSlashes } from './json-shapes.ts';
import { methodOf, RpcCall, summariseRpc } from './json-rpc.ts';

/** The names of 0.3 as 1.0 has them, so that both are one to rules and metrics. */
const NAMES_OF_0_3: ReadonlyMap<string, string> = new Map([
  ['message/send', 'SendMessage'],
  ['message/stream', 'SendStreamingMessage'],
  ['tasks/get', 'GetTask'],
  ['tasks/list', 'ListTasks'],
  ['tasks/cancel', 'CancelTask'],
  ['tasks/resubscribe', 'SubscribeToTask'],
  ['tasks/pushNotificationConfig/set', 'CreateTaskPushNotificationConfig'],
  ['tasks/pushNotificationConfig/get', 'GetTaskPushNotificationConfig'],
  ['tasks/pushNotificationConfig/list', 'ListTaskPushNotificationConfigs'],
  ['tasks/pushNotificationConfig/delete', 'DeleteTaskPushNotificationConfig'],
  ['agent/getAuthenticatedExtendedCard', 'GetExtendedAgentCard'],
]);

export const AGENT_CARD = 'agent-card';

/** What changes nothing at the second time. Cancelling a cancelled task, and deleting what is gone, are among it. */
const SAFE: ReadonlySet<string> = new Set([
  AGENT_CARD,
  'GetTask',
  'ListTasks',
  'CancelTask',
  'SubscribeToTask',
  'GetTaskPushNotificationConfig',
  'ListTaskPushNotificationConfigs',
  'DeleteTaskPushNotificationConfig',
  'GetExtendedAgentCard',
]);

const STREAMING: ReadonlySet<string> = new Set(['SendStreamingMessage', 'SubscribeToTask']);
const SENDING: ReadonlySet<string> = new Set(['SendMessage', 'SendStreamingMessage']);

/** Whatever stands before it: a base path, a version, a tenant. */
const PATHS: readonly (readonly [method: RegExp, path: RegExp, operation: string])[] = [
  [/^POST$/, /\/message:send$/, 'SendMessage'],
  [/^POST$/, /\/message:stream$/, 'SendStreamingMessage'],
  [/^POST$/, /\/tasks\/[^/:]+:cancel$/, 'CancelTask'],
  [/^(GET|POST)$/, /\/tasks\/[^/:]+:subscribe$/, 'SubscribeToTask'],
  [/^POST$/, /\/tasks\/[^/]+\/pushNotificationConfigs$/, 'CreateTaskPushNotificationConfig'],
  [/^GET$/, /\/tasks\/[^/]+\/pushNotificationConfigs$/, 'ListTaskPushNotificationConfigs'],
  [/^GET$/, /\/tasks\/[^/]+\/pushNotificationConfigs\/[^/]+$/, 'GetTaskPushNotificationConfig'],
  [/^DELETE$/, /\/tasks\/[^/]+\/pushNotificationConfigs\/[^/]+$/, 'DeleteTaskPushNotificationConfig'],
  [/^GET$/, /\/tasks\/[^/:]+$/, 'GetTask'],
  [/^GET$/, /\/tasks$/, 'ListTasks'],
  [/^GET$/, /\/(extendedAgentCard|v1\/card)$/, 'GetExtendedAgentCard'],
  [/^GET$/, /\/\.well-known\/agent(-card)?\.json$/, AGENT_CARD],
];

/** A call of the HTTP+JSON binding: what it is stands in its path. */
class RestCall implements CallFacts {
  readonly operation: string;
  readonly model = undefined;
  readonly tool = undefined;
  readonly needs = [];
  readonly id = undefined;
  readonly stream: boolean;
  readonly #repeat: () => CallFacts['repeat'];

  constructor(operation: string, repeat: () => CallFacts['repeat']) {
    this.operation = operation;
    this.stream = STREAMING.has(operation);
    this.#repeat = repeat;
  }

  get repeat(): CallFacts['repeat'] {
    return this.#repeat();
  }
}

export const isRpc = (call: CallFacts): call is RpcCall => call instanceof RpcCall;

/** @param idempotentMessages the agent knows messages by their `messageId` */
export function readA2aCall(
  request: RequestHead,
  json: () => unknown,
  idempotentMessages: boolean,
): CallFacts {
  const path = withoutEndSlashes(request.target.split('?', 1)[0] ?? '');
  const found = PATHS.find(([method, pattern]) => method.test(request.method) && pattern.test(path));
  const repeatOf = (operation: string | undefined, message: unknown): CallFacts['repeat'] => {
    if (operation === undefined) return 'unsafe';
    if (SENDING.has(operation)) return idempotentMessages && hasMessageId(message) ? 'safe' : 'unsafe';
    return SAFE.has(operation) ? 'safe' : 'unsafe';
  };
  if (found) {
    const [, , operation] = found;
    return new RestCall(operation, () => repeatOf(operation, SENDING.has(operation) ? json() : undefined));
  }
  if (request.method !== 'POST') return UNKNOWN_CALL;
  return new RpcCall(json, (body) => {
    const summary = summariseRpc(body, (message) => {
      const method = methodOf(message);
      const operation = method === undefined ? undefined : (NAMES_OF_0_3.get(method) ?? method);
      const stream = operation !== undefined && STREAMING.has(operation);
      return { operation, tool: undefined, stream, repeat: repeatOf(operation, message['params']) };
    });
    return summary ?? { operation: undefined, tool: undefined, stream: false, ids: [], repeat: 'unsafe' };
  });
}

const hasMessageId = (params: unknown): boolean => (textAt(params, '/message/messageId') ?? '') !== '';
