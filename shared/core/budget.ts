/**
 * A goal's ledger: what it may spend, what is reserved for calls under way, what was spent. Pure; the runtime writes each next ledger by
 * compare-and-set, so that the sum over all processes never exceeds a limit (I4).
 */
import type { Ledger, Traffic } from '../protocol/ledger.ts';
import { addUsd, lessUsd } from './cost.ts';
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
  /** When the call will have ended, whatever becomes of it, ISO 8601. */
  readonly until?: string;
}

export type Granted =
  | { readonly ok: true; readonly ledger: Ledger }
  /** `ended`: the goal is over, or about to be. `ledger`: with the refusal on record, if it is the first. */
  | {
      readonly ok: false;
      readonly limit: 'usd' | 'tokens' | 'messages' | 'ended';
      readonly message: string;
      readonly ledger: Ledger;
    };

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

/** I4: the first limit that `worst` would exceed on top of everything spent and reserved. */
function refusal(ledger: Ledger, worst: Amounts): Granted | undefined {
  if (ledger.state !== undefined)
    return { ok: false, limit: 'ended', message: 'the goal is over: nothing more is spent on it', ledger };
  const now = committed(ledger);
  for (const limit of ['usd', 'tokens', 'messages'] as const) {
    const cap = ledger.limits[limit];
    if (cap === undefined || addUp(limit, now[limit], worst[limit]) <= cap) continue;
    const message = `the goal's ${limit} budget is ${cap}; ${now[limit]} is spent or reserved and this needs up to ${worst[limit]} more; raise budget.${limit} or make the goal smaller`;
    return { ok: false, limit, message, ledger: { ...ledger, refused: ledger.refused ?? { limit, message } } };
  }
  return undefined;
}

/** What is held back for calls and messages under way. */
export function reservedIn(ledger: Ledger): { readonly usd: number; readonly tokens: number; readonly calls: number } {
  const held = Object.values(ledger.reserved);
  return {
    usd: addUsd(held.map((each) => each.usd)),
    tokens: held.reduce((sum, each) => sum + each.tokens, 0),
    calls: held.length,
  };
}

function addUp(limit: keyof Amounts, one: number, other: number): number {
  return limit === 'usd' ? addUsd([one, other]) : one + other;
}

/** I4: grants the worst case only if everything spent and reserved, with it, stays within every limit. */
export function reserve(ledger: Ledger, id: string, holder: Holder, worst: Worst): Granted {
  // An earlier try of this very write landed.
  if (Object.hasOwn(ledger.reserved, id)) return { ok: true, ledger };
  const before = abandon(ledger, holder);
  const { traffic, tokens, until } = worst;
  const said = trafficSum(traffic);
  const usd = addUsd([worst.usd, said.usd]);
  const refused = refusal(before, { usd, tokens, messages: said.messages });
  if (refused !== undefined) return refused;
  const held = {
    ...holder,
    usd,
    tokens,
    ...(traffic === undefined ? {} : { traffic }),
    ...(until === undefined ? {} : { until }),
  };
  return { ok: true, ledger: { ...before, reserved: { ...before.reserved, [id]: held } } };
}

/**
 * Replaces a reservation by what the call really cost. A reservation that is gone was counted already: by an earlier try of this very write, or as
 * abandoned; counted again, it could exceed the limit (I4). An endpoint that charged more than was reserved takes what the limits have left, and what
 * goes beyond them is kept apart: the cap holds for whatever is granted from then on.
 */
export function settle(
  ledger: Ledger,
  id: string,
  holder: { readonly agentId: string; readonly vote?: true | undefined },
  actual: { readonly usd: number; readonly tokens: number },
): Ledger {
  if (!Object.hasOwn(ledger.reserved, id)) return ledger;
  const { [id]: _settled, ...reserved } = ledger.reserved;
  const freed = { ...ledger, reserved };
  const left = leftOf(freed);
  const usd = Math.min(actual.usd, left.usd);
  const tokens = Math.min(actual.tokens, left.tokens);
  const { agentId } = holder;
  // `constructor` is a legal agentId.
  const before = Object.hasOwn(ledger.byAgent, agentId) ? (ledger.byAgent[agentId] ?? 0) : 0;
  const { beyond = { usd: 0, tokens: 0 } } = ledger;
  const over = {
    usd: addUsd([beyond.usd, lessUsd(actual.usd, usd)]),
    tokens: beyond.tokens + actual.tokens - tokens,
  };
  return {
    ...freed,
    spent: { ...ledger.spent, usd: addUsd([ledger.spent.usd, usd]), tokens: ledger.spent.tokens + tokens },
    byAgent: { ...ledger.byAgent, [agentId]: addUsd([before, usd]) },
    ...(holder.vote === true ? { votesUsd: addUsd([ledger.votesUsd ?? 0, usd]) } : {}),
    ...(over.usd > 0 || over.tokens > 0 ? { beyond: over } : {}),
  };
}

/** What the limits have left. */
function leftOf(ledger: Ledger): { readonly usd: number; readonly tokens: number } {
  const { usd, tokens } = ledger.limits;
  const now = committed(ledger);
  return {
    usd: usd === undefined ? Number.POSITIVE_INFINITY : Math.max(0, lessUsd(usd, now.usd)),
    tokens: tokens === undefined ? Number.POSITIVE_INFINITY : Math.max(0, tokens - now.tokens),
  };
}

/** Replaces the reservation of an exchange by what was really said; as `settle`, once. Without limits nothing was reserved, and it is only added. */
export function settleTraffic(ledger: Ledger, id: string, actual: Traffic): Ledger {
  const limited = ledger.limits.usd !== undefined || ledger.limits.messages !== undefined;
  if (ledger.state === 'ended' || (limited && !Object.hasOwn(ledger.reserved, id))) return ledger;
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
function abandon(ledger: Ledger, holder: Holder): Ledger {
  return lose(ledger, (held) => held.taskId === holder.taskId && held.attempt < holder.attempt);
}

/** The same for reservations whose holder is not alive, or whose call must have ended by now (ms since the epoch). A wrong guess only spends early. */
export function expire(ledger: Ledger, alive: (agentId: string) => boolean, now: number): Ledger {
  return lose(ledger, ({ agentId, until }) => !alive(agentId) || (until !== undefined && now > Date.parse(until)));
}

/** The goal is being stopped: what is under way may still be settled, and nothing more is granted. */
export function stop(ledger: Ledger): Ledger {
  return ledger.state === undefined ? { ...ledger, state: 'stopping' } : ledger;
}

/** The goal's end: whatever is still reserved counts as spent, for the same reason, and nothing changes any more. `at`: ISO 8601. */
export function close(ledger: Ledger, at: string): Ledger {
  return ledger.state === 'ended' ? ledger : { ...lose(ledger, () => true), state: 'ended', endedAt: at };
}

/** The goal goes on after all: its end was about to be written when its graph grew. What was counted as spent stays so. */
export function reopen(ledger: Ledger): Ledger {
  const { state, endedAt: _endedAt, ...open } = ledger;
  return state === undefined ? ledger : open;
}

type Held = Ledger['reserved'][string];

function lose(ledger: Ledger, which: (held: Held) => boolean): Ledger {
  return Object.entries(ledger.reserved)
    .filter(([, held]) => which(held))
    .reduce((after, [id, held]) => loseOne(after, id, held), ledger);
}

function loseOne(ledger: Ledger, id: string, held: Held): Ledger {
  if (held.traffic !== undefined) return settleTraffic(ledger, id, held.traffic);
  const { lost = { usd: 0, tokens: 0, calls: 0 } } = ledger;
  return {
    ...settle(ledger, id, held, held),
    lost: { usd: addUsd([lost.usd, held.usd]), tokens: lost.tokens + held.tokens, calls: lost.calls + 1 },
  };
}
