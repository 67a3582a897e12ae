/**
 * A goal's ledger: what it may spend, what is reserved for calls under way, what was spent. Pure; the runtime writes each next ledger by
 * compare-and-set, so that the sum over all processes never exceeds a limit (I4).
 */
import type { Ledger, Traffic } from '../protocol/ledger.ts';
import { addUsd } from './cost.ts';
import { addTraffic, trafficSum } from './traffic.ts';

export type Limits = Ledger['limits'];
export interface Holder {
  readonly agentId: string;
  /** Of a voter: the round. */
  readonly taskId: string;
  readonly attempt: number;
  readonly vote?: true;
}

/** The most that something may cost: a model call, or an exchange of messages, whose price is then on top of `usd`. */
export interface Worst {
  readonly usd: number;
  readonly tokens: number;
  readonly traffic?: Traffic;
}

export type Granted =
  | { readonly ok: true; readonly ledger: Ledger }
  | { readonly ok: false; readonly limit: 'usd' | 'tokens' | 'messages'; readonly message: string };

export function newLedger(limits: Limits): Ledger {
  return { limits, reserved: {}, spent: { usd: 0, tokens: 0, messages: 0, communicationUsd: 0 }, byAgent: {} };
}

interface Amounts {
  readonly usd: number;
  readonly tokens: number;
  readonly messages: number;
}

/** Spent and reserved together. */
function committed(ledger: Ledger): Amounts {
  const { usd, communicationUsd, tokens, messages } = ledger.spent;
  const held = Object.values(ledger.reserved);
  return {
    usd: addUsd([usd, communicationUsd, ...held.map((each) => each.usd)]),
    tokens: held.reduce((sum, each) => sum + each.tokens, tokens),
    messages: held.reduce((sum, each) => sum + trafficSum(each.traffic).messages, messages),
  };
}

function exceeded(limit: 'usd' | 'tokens' | 'messages', cap: number, now: number, wanted: number): Granted {
  const message = `the goal's ${limit} budget is ${cap}; ${now} is spent or reserved and this needs up to ${wanted} more; raise budget.${limit} or make the goal smaller`;
  return { ok: false, limit, message };
}

/** I4: the first limit that `worst` would exceed on top of everything spent and reserved. */
function refusal(ledger: Ledger, worst: Amounts): Granted | undefined {
  const now = committed(ledger);
  const { usd, tokens, messages } = ledger.limits;
  if (usd !== undefined && addUsd([now.usd, worst.usd]) > usd) return exceeded('usd', usd, now.usd, worst.usd);
  if (tokens !== undefined && now.tokens + worst.tokens > tokens)
    return exceeded('tokens', tokens, now.tokens, worst.tokens);
  if (messages !== undefined && now.messages + worst.messages > messages)
    return exceeded('messages', messages, now.messages, worst.messages);
  return undefined;
}

/** I4: grants the worst case only if everything spent and reserved, with it, stays within every limit. */
export function reserve(ledger: Ledger, id: string, holder: Holder, worst: Worst): Granted {
  const before = abandon(ledger, holder);
  const { traffic, tokens } = worst;
  const said = trafficSum(traffic);
  const usd = addUsd([worst.usd, said.usd]);
  const refused = refusal(before, { usd, tokens, messages: said.messages });
  if (refused !== undefined) return refused;
  const held = { ...holder, usd, tokens, ...(traffic === undefined ? {} : { traffic }) };
  return { ok: true, ledger: { ...before, reserved: { ...before.reserved, [id]: held } } };
}

/**
 * Replaces a reservation by what the call really cost. A reservation that is gone was counted already: by an earlier try of this very write, or as
 * abandoned; counted again, it could exceed the limit (I4). Without limits nothing is reserved, and the cost is only added.
 */
export function settle(
  ledger: Ledger,
  id: string,
  holder: { readonly agentId: string; readonly vote?: true | undefined },
  actual: { readonly usd: number; readonly tokens: number },
): Ledger {
  const limited = ledger.limits.usd !== undefined || ledger.limits.tokens !== undefined;
  if (limited && !Object.hasOwn(ledger.reserved, id)) return ledger;
  const { [id]: _settled, ...reserved } = ledger.reserved;
  const { agentId } = holder;
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
    ...(holder.vote === true ? { votesUsd: addUsd([ledger.votesUsd ?? 0, actual.usd]) } : {}),
  };
}

/** Replaces the reservation of an exchange by what was really said; as `settle`, once. */
export function settleTraffic(ledger: Ledger, id: string, actual: Traffic): Ledger {
  const limited = ledger.limits.usd !== undefined || ledger.limits.messages !== undefined;
  if (limited && !Object.hasOwn(ledger.reserved, id)) return ledger;
  const { [id]: _settled, ...reserved } = ledger.reserved;
  return say({ ...ledger, reserved }, actual);
}

function say(ledger: Ledger, traffic: Traffic): Ledger {
  const { messages, usd } = trafficSum(traffic);
  const { spent } = ledger;
  return {
    ...ledger,
    spent: {
      ...spent,
      messages: spent.messages + messages,
      communicationUsd: addUsd([spent.communicationUsd, usd]),
    },
    byType: addTraffic(ledger.byType ?? {}, traffic),
  };
}

/** Charges messages between agents before they are sent. */
export function charge(ledger: Ledger, traffic: Traffic): Granted {
  const { messages, usd } = trafficSum(traffic);
  return refusal(ledger, { usd, tokens: 0, messages }) ?? { ok: true, ledger: say(ledger, traffic) };
}

/**
 * Reservations of earlier attempts at the same task: their holder died or lost its lease in the middle of a call, so nobody knows whether it was
 * billed. They count as spent; a cap that could be exceeded by a crash would be none (I4).
 */
export function abandon(ledger: Ledger, holder: Holder): Ledger {
  return spendHeld(ledger, (held) => held.taskId === holder.taskId && held.attempt < holder.attempt);
}

/** At the end of a goal whatever is still reserved counts as spent, for the same reason. */
export function close(ledger: Ledger): Ledger {
  return spendHeld(ledger, () => true);
}

function spendHeld(ledger: Ledger, which: (held: Ledger['reserved'][string]) => boolean): Ledger {
  return Object.entries(ledger.reserved)
    .filter(([, held]) => which(held))
    .reduce(
      (after, [id, held]) =>
        held.traffic === undefined ? settle(after, id, held, held) : settleTraffic(after, id, held.traffic),
      ledger,
    );
}
