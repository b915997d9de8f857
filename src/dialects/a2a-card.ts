/** Agent cards name absolute addresses: agents that follow them go past the sidecar, unless they are rewritten. */
import type { Answer, Place, Rewriting } from '../core/dialect.ts';
import { AGENT_CARD, isRpc } from './a2a-calls.ts';
import { asRecord } from './json-shapes.ts';
import { addressHere } from './rewrite-address.ts';

type Json = Readonly<Record<string, unknown>>;

/** Where 1.0 and 0.3 keep their lists of addresses. */
const LISTS = ['supportedInterfaces', 'additionalInterfaces'];

export function rewriteCard({ call, json }: Answer, place: Place): Rewriting | undefined {
  if (call.operation !== AGENT_CARD && call.operation !== 'GetExtendedAgentCard') return undefined;
  const body = asRecord(json);
  const envelope = isRpc(call) ? body : undefined;
  const card = envelope ? asRecord(envelope['result']) : body;
  if (!card) return undefined;
  if (isSigned(card)) return { kept: 'it is signed, and would not be valid any more' };
  const rewritten = withAddresses(card, place);
  if (!rewritten) return { kept: 'it names no address of an endpoint' };
  return { json: envelope ? { ...envelope, result: rewritten } : rewritten };
}

function isSigned({ signatures }: Json): boolean {
  return Array.isArray(signatures) ? signatures.length > 0 : asRecord(signatures) !== undefined;
}

/** @returns undefined where there was nothing to replace */
function withAddresses(card: Json, place: Place): Json | undefined {
  const changed: Record<string, unknown> = {};
  const own = withAddress(card, place);
  if (own) changed['url'] = own['url'];
  for (const key of LISTS) {
    const list: readonly unknown[] = Array.isArray(card[key]) ? card[key] : [];
    const rewritten = list.map((one) => withAddress(asRecord(one), place) ?? one);
    if (rewritten.some((one, index) => one !== list[index])) changed[key] = rewritten;
  }
  return Object.keys(changed).length === 0 ? undefined : { ...card, ...changed };
}

function withAddress(holder: Json | undefined, place: Place): Json | undefined {
  const url = holder?.['url'];
  const here = typeof url === 'string' ? addressHere(url, place) : undefined;
  return here === undefined ? undefined : { ...holder, url: here };
}
