/**
 * A goal's ledger in the DAG bucket, moved by compare-and-set (I4). What one process wants of one ledger while a write of it is under way goes into its
 * next write together, so that a thousand calls at a budget's edge are a few writes, not a thousand that fight each other.
 */
import {
  charge,
  close,
  expire,
  type Granted,
  type Holder,
  type Limits,
  newLedger,
  reopen,
  reserve,
  settle,
  settleTraffic,
  stop,
  type Worst,
} from '../../core/budget.ts';
import { addUsd, type Said } from '../../core/cost.ts';
import { NOTHING_SPENT, type Spending } from '../../core/goal-machine.ts';
import { priced, trafficSum } from '../../core/traffic.ts';
import { encode, parseTrusted } from '../../protocol/codec.ts';
import { isTerminalGoal } from '../../protocol/goal.ts';
import { timestamp } from '../../protocol/ids.ts';
import type { Ledger } from '../../protocol/ledger.ts';
import type { ModelUsage, Reservation, WorstCase } from '../../ports.ts';
import type { Deps } from './deps.ts';
import type { Memory } from './memory.ts';
import { readGoal } from './records.ts';

export interface Ledgers {
  /** Grants the worst case of one model call, or says which limit forbids it. */
  reserve(goalId: string, limits: Limits, holder: Holder, worst: WorstCase): Promise<Reservation>;
  /** Charges messages, by type, before they are sent. */
  charge(goalId: string, limits: Limits, said: Messages): Promise<true | Refusal>;
  /** Grants the most that an exchange may say before it begins; settled by what was said. */
  exchange(goalId: string, limits: Limits, holder: Holder, most: Messages): Promise<Exchange>;
  /** What the goal has spent so far. */
  spending(goalId: string): Promise<Spending>;
  /** The first call or message that a limit refused, if any was. */
  refusal(goalId: string): Promise<Refusal | undefined>;
  /** The goal is being stopped: from here on nothing more is granted. */
  stop(goalId: string, limits: Limits): Promise<void>;
  /** The goal ends: what is still reserved counts as spent, and what comes later does not count any more. */
  end(goalId: string): Promise<Spending>;
  /** The goal did not end after all. */
  reopen(goalId: string): Promise<void>;
  /** Of a goal that runs on: reservations of the dead count as spent. `alive`: agents that are there; asked only when something is reserved. */
  sweep(goalId: string, alive: () => Promise<ReadonlySet<string>>): Promise<void>;
}

/** Messages between agents, by type. */
export type Messages = Readonly<Record<string, Said>>;

interface Refusal {
  readonly limit: string;
  readonly message: string;
}

export type Exchange =
  | { readonly granted: true; settle(said: Messages): Promise<void> }
  | ({ readonly granted: false } & Refusal);

type Change = (ledger: Ledger) => Granted;

interface Wish {
  readonly limits: Limits;
  readonly by: Change;
  readonly resolve: (granted: Granted) => void;
  readonly reject: (error: unknown) => void;
}

interface Standing {
  readonly ledger: Ledger;
  readonly revision: number;
}

const CONFLICTS_MAX = 1_000;
/** From this many conflicts in a row on, a process waits a moment before it tries again: many that never wait only keep each other busy. */
const CONFLICTS_PATIENT = 3;
const PAUSE_MS_MAX = 20;
/** An account is closed so long before its goal's record at most. Should a finisher be slower, the record lacks what is spent meanwhile; the cap holds. */
const ENDING_MS_MAX = 60_000;

/** `charged`: the account of a goal has changed. */
export function ledgersOf(deps: Deps, memory: Memory, charged: (goalId: string) => void): Ledgers {
  /** Wishes that wait, by goal; an entry exists while a write of that ledger is under way. */
  const waiting = new Map<string, Wish[]>();
  let calls = 0;
  let writes = 0;

  async function read(goalId: string): Promise<Standing | undefined> {
    const stored = await deps.store.read(deps.subjects.ledgerKey(goalId));
    return stored === undefined ? undefined : { ledger: parseTrusted<Ledger>(stored.data), revision: stored.revision };
  }

  /** A ledger that does not exist yet; that of a goal which is over is closed from the start. */
  async function fresh(goalId: string, limits: Limits): Promise<Ledger> {
    const goal = await readGoal(deps, goalId);
    const ledger = newLedger(limits);
    return goal !== undefined && isTerminalGoal(goal.record) ? close(ledger, timestamp(deps.clock.now())) : ledger;
  }

  async function write(goalId: string, wishes: readonly [Wish, ...Wish[]]): Promise<readonly Granted[]> {
    for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts += 1) {
      if (conflicts >= CONFLICTS_PATIENT) await pause(deps.random() * PAUSE_MS_MAX);
      const standing = await read(goalId);
      const before = standing?.ledger ?? (await fresh(goalId, wishes[0].limits));
      let ledger = before;
      const answers = wishes.map(({ by }) => {
        const granted = by(ledger);
        ({ ledger } = granted);
        return granted;
      });
      if (ledger === before) return answers;
      writes += 1;
      const outcome = await deps.store.commit([
        {
          subject: deps.subjects.dagSubject(deps.subjects.ledgerKey(goalId)),
          // The store takes bytes that stand for its own: two agents that charge the same at the same moment must not write the same.
          data: encode({ ...ledger, by: `${deps.agentId}.${deps.clock.now()}.${writes}` }),
          expect: standing?.revision ?? 0,
        },
      ]);
      deps.events.transition('ledger', outcome.status, { goalId });
      if (outcome.status !== 'committed') continue;
      memory.of(goalId).charged = true;
      charged(goalId);
      const lost = (ledger.lost?.calls ?? 0) - (before.lost?.calls ?? 0);
      if (lost > 0) deps.events.reservationsLost(goalId, lost);
      return answers;
    }
    throw new Error(`ledger of ${goalId}: ${CONFLICTS_MAX} conflicts in a row`);
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => deps.clock.after(ms, resolve));
  }

  async function drain(goalId: string): Promise<void> {
    for (;;) {
      const [first, ...more] = waiting.get(goalId) ?? [];
      if (first === undefined) break;
      waiting.set(goalId, []);
      const wishes = [first, ...more] as const;
      try {
        const answers = await write(goalId, [first, ...more]);
        for (const [index, wish] of wishes.entries()) {
          const answer = answers[index];
          if (answer !== undefined) wish.resolve(answer);
        }
      } catch (error) {
        for (const wish of wishes) wish.reject(error);
      }
    }
    waiting.delete(goalId);
  }

  async function change(goalId: string, limits: Limits, by: Change): Promise<Granted> {
    const granted = await new Promise<Granted>((resolve, reject) => {
      const wish = { limits, by, resolve, reject };
      const others = waiting.get(goalId);
      if (others !== undefined) others.push(wish);
      else {
        waiting.set(goalId, [wish]);
        void drain(goalId);
      }
    });
    if (!granted.ok && granted.limit !== 'ended') deps.events.budgetRefused(granted.limit, goalId, granted.message);
    return granted;
  }

  const always =
    (by: (ledger: Ledger) => Ledger): Change =>
    (ledger) => ({ ok: true, ledger: by(ledger) });

  function idOf(holder: Holder): string {
    calls += 1;
    return `${holder.agentId}.${holder.taskId}.${holder.attempt}.${calls}`;
  }

  /** Whoever was about to end the goal died between its ledger and its record: nothing could be paid for any more. */
  async function revive(goalId: string, endedAt: string): Promise<void> {
    if (deps.clock.now() - Date.parse(endedAt) < ENDING_MS_MAX) return;
    const goal = await readGoal(deps, goalId);
    if (goal !== undefined && !isTerminalGoal(goal.record)) await change(goalId, {}, always(reopen));
  }

  const at = (): string => timestamp(deps.clock.now());

  return {
    async reserve(goalId, limits, holder, worst) {
      const id = idOf(holder);
      const { usd, inputTokens, outputTokens, withinMs } = worst;
      const until = withinMs === undefined ? {} : { until: timestamp(deps.clock.now() + withinMs) };
      const most: Worst = { usd, tokens: inputTokens + outputTokens, ...until };
      // Also without a limit: what a call that never ended cost must be on record.
      const granted = await change(goalId, limits, (ledger) => reserve(ledger, id, holder, most));
      if (!granted.ok) return { granted: false, limit: granted.limit, message: granted.message };
      deps.events.reservations(1, usd);
      return {
        granted: true,
        async settle(actual: ModelUsage) {
          const paid = { usd: actual.usd, tokens: actual.inputTokens + actual.outputTokens };
          await change(
            goalId,
            limits,
            always((ledger) => settle(ledger, id, holder, paid)),
          ).finally(() => deps.events.reservations(-1, usd));
          deps.events.spent('compute', actual.usd);
        },
      };
    },
    async charge(goalId, limits, said) {
      const traffic = priced(deps.communication, said);
      const granted = await change(goalId, limits, (ledger) => charge(ledger, traffic));
      if (!granted.ok) return { limit: granted.limit, message: granted.message };
      deps.events.spent('communication', trafficSum(traffic).usd);
      return true;
    },
    async exchange(goalId, limits, holder, most) {
      const traffic = priced(deps.communication, most);
      const { usd } = trafficSum(traffic);
      const id = idOf(holder);
      // Without a limit there is nothing to refuse; the settlement alone keeps the account.
      const limited = limits.usd !== undefined || limits.messages !== undefined;
      if (limited) {
        const worst: Worst = { usd: 0, tokens: 0, traffic };
        const granted = await change(goalId, limits, (ledger) => reserve(ledger, id, holder, worst));
        if (!granted.ok) return { granted: false, limit: granted.limit, message: granted.message };
        deps.events.reservations(1, usd);
      }
      return {
        granted: true,
        async settle(said) {
          const actual = priced(deps.communication, said);
          const settled = change(
            goalId,
            limits,
            always((ledger) => settleTraffic(ledger, id, actual)),
          );
          await settled.finally(() => limited && deps.events.reservations(-1, usd));
          deps.events.spent('communication', trafficSum(actual).usd);
        },
      };
    },
    async spending(goalId) {
      return spendingOf((await read(goalId))?.ledger);
    },
    async refusal(goalId) {
      return (await read(goalId))?.ledger.refused;
    },
    async stop(goalId, limits) {
      // Also where nothing was spent yet: work that has begun may be about to ask.
      await change(goalId, limits, always(stop));
    },
    async end(goalId) {
      if ((await read(goalId)) === undefined) return NOTHING_SPENT;
      return spendingOf(
        (
          await change(
            goalId,
            {},
            always((ledger) => close(ledger, at())),
          )
        ).ledger,
      );
    },
    async reopen(goalId) {
      await change(goalId, {}, always(reopen));
    },
    async sweep(goalId, alive) {
      const standing = await read(goalId);
      if (standing === undefined) return;
      const { reserved, endedAt } = standing.ledger;
      if (endedAt !== undefined) return revive(goalId, endedAt);
      if (Object.keys(reserved).length === 0) return;
      const there = await alive();
      const now = deps.clock.now();
      await change(
        goalId,
        {},
        always((ledger) => expire(ledger, (agentId) => there.has(agentId), now)),
      );
    },
  };
}

function spendingOf(ledger: Ledger | undefined): Spending {
  if (ledger === undefined) return NOTHING_SPENT;
  const { spent, byAgent, byType = {}, votesUsd = 0 } = ledger;
  const { usd, tokens, messages, communicationUsd } = spent;
  return { usd: addUsd([usd, communicationUsd]), tokens, messages, communicationUsd, byAgent, byType, votesUsd };
}
