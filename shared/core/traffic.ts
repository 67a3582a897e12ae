/** Messages between agents, by type: the sum over j of m_j, told apart. */
import type { Traffic } from '../protocol/ledger.ts';
import type { CommunicationPrice } from '../protocol/prices.ts';
import { addUsd, communicationCost, type Said, toUsd } from './cost.ts';

type Amount = Traffic[string];

/** Types that a goal's account keeps apart; the rest are one, `other` (I10). */
const TYPES_MAX = 32;
const OTHER = 'other';
const NOTHING: Amount = { messages: 0, bytes: 0, usd: 0 };

/** Each message is priced with its own bytes; what is said of a type at once is rounded up once. Throws RangeError for counts that are no counts. */
export function priced(price: CommunicationPrice, said: Readonly<Record<string, Said>>): Traffic {
  return Object.fromEntries(
    Object.entries(said).map(([type, { messages, bytes }]) => [
      type,
      { messages, bytes, usd: toUsd(communicationCost(price, { messages, bytes })) },
    ]),
  );
}

export function trafficSum(traffic: Traffic | undefined): Amount {
  return Object.values(traffic ?? {}).reduce(plus, NOTHING);
}

/** Both together. */
export function addTraffic(one: Traffic, other: Traffic): Traffic {
  const sums = new Map(Object.entries(one));
  for (const [type, amount] of Object.entries(other)) {
    const name = sums.has(type) || sums.size < TYPES_MAX ? type : OTHER;
    sums.set(name, plus(sums.get(name) ?? NOTHING, amount));
  }
  // fromEntries defines own properties, whatever the type is called.
  return Object.fromEntries(sums);
}

function plus(one: Amount, other: Amount): Amount {
  return {
    messages: one.messages + other.messages,
    bytes: one.bytes + other.bytes,
    usd: addUsd([one.usd, other.usd]),
  };
}
