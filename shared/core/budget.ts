/**
 * A goal's ledger: what it may spend, what is reserved for calls under way, what was spent. Pure; the runtime writes each next ledger by
 * compare-and-set, so that the sum over all processes never exceeds a limit (I4).
 */
import { addUsd } from './cost.ts';
import type { Ledger } from '../protocol/ledger.ts';

export type Limits = Ledger['limits'];
export interface Holder {
  readonly agentId: string;
  readonly taskId: string;
  readonly attempt: number;
}

export type Granted =
  | { readonly ok: true; readonly ledger: Ledger }
  | { readonly ok: false; readonly limit: 'usd' | 'tokens' | 'messages'; readonly message: string };

export function newLedger(limits: Limits): Ledger {
  return { limits, reserved: {}, spent: { usd: 0, tokens: 0, messages: 0, communicationUsd: 0 }, byAgent: {} };
}

function reservedSum(ledger: Ledger): { usd: number; tokens: number } {
  return Object.values(ledger.reserved).reduce(
    (sum, held) => ({ usd: addUsd([sum.usd, held.usd]), tokens: sum.tokens + held.tokens }),
    { usd: 0, tokens: 0 },
  );
}

function exceeded(limit: 'usd' | 'tokens' | 'messages', cap: number, committed: number, wanted: number): Granted {
  const message = `the goal's ${limit} budget is ${cap}; ${committed} is spent or reserved and this needs up to ${wanted} more; raise budget.${limit} or make the goal smaller`;
  return { ok: false, limit, message };
}

/** I4: grants the worst case of one call only if everything spent and reserved, with it, stays within every limit. */
export function reserve(
  ledger: Ledger,
  id: string,
  holder: Holder,
  worst: { readonly usd: number; readonly tokens: number },
): Granted {
  const before = abandon(ledger, holder);
  const held = reservedSum(before);
  const { usd, tokens } = before.limits;
  const usdNow = addUsd([before.spent.usd, before.spent.communicationUsd, held.usd]);
  const tokensNow = before.spent.tokens + held.tokens;
  if (usd !== undefined && addUsd([usdNow, worst.usd]) > usd) return exceeded('usd', usd, usdNow, worst.usd);
  if (tokens !== undefined && tokensNow + worst.tokens > tokens)
    return exceeded('tokens', tokens, tokensNow, worst.tokens);
  return {
    ok: true,
    ledger: { ...before, reserved: { ...before.reserved, [id]: { ...holder, usd: worst.usd, tokens: worst.tokens } } },
  };
}

/**
 * Replaces a reservation by what the call really cost. A reservation that is gone was counted already: by an earlier try of this very write, or as
 * abandoned; counted again, it could exceed the limit (I4). Without limits nothing is reserved, and the cost is only added.
 */
export function settle(
  ledger: Ledger,
  id: string,
  agentId: string,
  actual: { readonly usd: number; readonly tokens: number },
): Ledger {
  const limited = ledger.limits.usd !== undefined || ledger.limits.tokens !== undefined;
  if (limited && !Object.hasOwn(ledger.reserved, id)) return ledger;
  const { [id]: _settled, ...reserved } = ledger.reserved;
  // `constructor` is a legal agentId.
  const before = Object.hasOwn(ledger.byAgent, agentId) ? (ledger.byAgent[agentId] ?? 0) : 0;
  return {
    ...ledger,
    reserved,
    spent: {
      ...ledger.spent,
      usd: addUsd([ledger.spent.usd, actual.usd]),
      tokens: ledger.spent.tokens + actual.tokens,
    },
    byAgent: { ...ledger.byAgent, [agentId]: addUsd([before, actual.usd]) },
  };
}

/** Charges messages between agents before they are sent. */
export function charge(ledger: Ledger, messages: number, usd: number): Granted {
  const { limits, spent } = ledger;
  if (limits.messages !== undefined && spent.messages + messages > limits.messages)
    return exceeded('messages', limits.messages, spent.messages, messages);
  const usdNow = addUsd([spent.usd, spent.communicationUsd, reservedSum(ledger).usd]);
  if (limits.usd !== undefined && addUsd([usdNow, usd]) > limits.usd) return exceeded('usd', limits.usd, usdNow, usd);
  return {
    ok: true,
    ledger: {
      ...ledger,
      spent: { ...spent, messages: spent.messages + messages, communicationUsd: addUsd([spent.communicationUsd, usd]) },
    },
  };
}

/**
 * Reservations of earlier attempts at the same task: their holder died or lost its lease in the middle of a call, so nobody knows whether it was
 * billed. They count as spent; a cap that could be exceeded by a crash would be none (I4).
 */
export function abandon(ledger: Ledger, holder: Holder): Ledger {
  return Object.entries(ledger.reserved)
    .filter(([, held]) => held.taskId === holder.taskId && held.attempt < holder.attempt)
    .reduce((after, [id, held]) => settle(after, id, held.agentId, held), ledger);
}

/** At the end of a goal whatever is still reserved counts as spent, for the same reason. */
export function close(ledger: Ledger): Ledger {
  return Object.entries(ledger.reserved).reduce((after, [id, held]) => settle(after, id, held.agentId, held), ledger);
}
