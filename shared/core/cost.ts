/**
 * The cost of a goal: C = sum of c_i over agents (tokens) + sum of m_j over inter-agent messages.
 *
 * Money is counted in whole nano-dollars (1e-9 USD), because sums of decimal fractions drift: 0.1 + 0.2 is not 0.3, and a
 * budget compared with a drifting sum is not hard (I4). Decimal USD exists only at the edges: price table, records, reports.
 *
 * Rounding: one computation rounds up once, so a cost is never understated and a larger usage never costs less. Amounts
 * saturate at MAX_NANO (about nine million USD) instead of losing precision: a saturated sum exceeds any budget.
 */
import type { CommunicationPrice, ModelPrice } from '../protocol/prices.ts';

/** Whole nano-dollars, 0 to MAX_NANO. */
export type NanoUsd = number;

export const NANO_PER_USD = 1_000_000_000;
export const MAX_NANO: NanoUsd = Number.MAX_SAFE_INTEGER;

const TOKENS_PER_PRICE = 1_000_000n;
const BYTES_PER_KIB = 1024n;

export interface TokenCount {
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** Messages between agents. */
export interface Said {
  readonly messages: number;
  /** Payload bytes of all of them together. */
  readonly bytes: number;
}

export interface GoalCost {
  /** USD by agentId. */
  readonly compute: Record<string, number>;
  /** USD. */
  readonly communication: number;
  /** USD: exactly compute + communication, to the nano-dollar. */
  readonly total: number;
}

/** Decimal USD -> nano-dollars, to the nearest. Throws RangeError for a negative or non-finite amount. */
export function toNano(usd: number): NanoUsd {
  if (!(usd >= 0 && Number.isFinite(usd))) throw new RangeError(`expected an amount in USD of 0 or more, got ${usd}`);
  return Math.min(Math.round(usd * NANO_PER_USD), MAX_NANO);
}

/** Nano-dollars -> decimal USD. `toNano(toUsd(n)) === n` up to a million dollars. */
export function toUsd(nano: NanoUsd): number {
  return nano / NANO_PER_USD;
}

/** The exact sum, saturating. */
export function addNano(amounts: Iterable<NanoUsd>): NanoUsd {
  let sum = 0;
  for (const amount of amounts) sum = Math.min(sum + amount, MAX_NANO);
  return sum;
}

/** The sum of decimal amounts of USD, without drift and in any order the same. */
export function addUsd(amounts: Iterable<number>): number {
  return toUsd(addNano(Array.from(amounts, toNano)));
}

/** The exact difference; 0 when `other` is more. */
export function lessUsd(one: number, other: number): number {
  return toUsd(Math.max(0, toNano(one) - toNano(other)));
}

/** c_i: what these tokens cost. */
export function computeCost(price: ModelPrice, tokens: TokenCount): NanoUsd {
  const input = count(tokens.inputTokens, 'input tokens') * BigInt(toNano(price.inputUsdPerMTok));
  const output = count(tokens.outputTokens, 'output tokens') * BigInt(toNano(price.outputUsdPerMTok));
  return saturated(dividedUp(input + output, TOKENS_PER_PRICE));
}

/** Sum of m_j: what these messages cost together. */
export function communicationCost(price: CommunicationPrice, said: Said): NanoUsd {
  const messages = count(said.messages, 'messages') * BigInt(toNano(price.usdPerMessage));
  const bytes = count(said.bytes, 'bytes') * BigInt(toNano(price.usdPerKiB));
  return saturated(messages + dividedUp(bytes, BYTES_PER_KIB));
}

/** C of a goal, from USD spent by each agent (an agent may come more than once) and USD spent on messages. */
export function goalCost(
  compute: Iterable<readonly [agentId: string, usd: number]>,
  communicationUsd: number,
): GoalCost {
  const byAgent = new Map<string, NanoUsd>();
  for (const [agentId, usd] of compute) byAgent.set(agentId, addNano([byAgent.get(agentId) ?? 0, toNano(usd)]));
  const communication = toNano(communicationUsd);
  return {
    // fromEntries defines own properties: `__proto__` is a legal agentId and must stay a plain key.
    compute: Object.fromEntries(Array.from(byAgent, ([agentId, nano]) => [agentId, toUsd(nano)])),
    communication: toUsd(communication),
    total: toUsd(addNano([...byAgent.values(), communication])),
  };
}

function count(value: number, what: string): bigint {
  if (!(Number.isSafeInteger(value) && value >= 0))
    throw new RangeError(`expected a whole number of ${what}, 0 or more, got ${value}`);
  return BigInt(value);
}

function dividedUp(dividend: bigint, divisor: bigint): bigint {
  return (dividend + divisor - 1n) / divisor;
}

function saturated(nano: bigint): NanoUsd {
  return nano > BigInt(MAX_NANO) ? MAX_NANO : Number(nano);
}
