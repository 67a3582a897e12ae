/** A goal's ledger in the DAG bucket, moved by compare-and-set (I4). Calls of one process on one ledger queue up instead of fighting each other. */
import {
  charge,
  close,
  type Granted,
  type Holder,
  type Limits,
  newLedger,
  reserve,
  settle,
  settleTraffic,
  type Worst,
} from '../../core/budget.ts';
import { addUsd, type Said } from '../../core/cost.ts';
import { NOTHING_SPENT, type Spending } from '../../core/goal-machine.ts';
import { priced, trafficSum } from '../../core/traffic.ts';
import { encode, parseTrusted } from '../../protocol/codec.ts';
import type { Ledger } from '../../protocol/ledger.ts';
import type { ModelUsage, Reservation, WorstCase } from '../../ports.ts';
import type { Deps } from './deps.ts';

export interface Ledgers {
  /** Grants the worst case of one model call, or says which limit forbids it. */
  reserve(goalId: string, limits: Limits, holder: Holder, worst: WorstCase): Promise<Reservation>;
  /** Charges messages, by type, before they are sent. */
  charge(
    goalId: string,
    limits: Limits,
    said: Messages,
  ): Promise<Granted['ok'] | { readonly limit: string; readonly message: string }>;
  /** Grants the most that an exchange may say before it begins; settled by what was said. */
  exchange(goalId: string, limits: Limits, holder: Holder, most: Messages): Promise<Exchange>;
  /** What the goal spent; with `closing`, whatever is still reserved counts as spent. */
  spending(goalId: string, closing: boolean): Promise<Spending>;
}

/** Messages between agents, by type. */
export type Messages = Readonly<Record<string, Said>>;

export type Exchange =
  | { readonly granted: true; settle(said: Messages): Promise<void> }
  | { readonly granted: false; readonly limit: string; readonly message: string };

type Change = (ledger: Ledger) => Granted;
const CONFLICTS_MAX = 1_000;

export function ledgersOf(deps: Deps): Ledgers {
  const queues = new Map<string, Promise<unknown>>();
  let calls = 0;
  let writes = 0;

  async function read(goalId: string): Promise<{ ledger: Ledger; revision: number } | undefined> {
    const stored = await deps.store.read(deps.subjects.ledgerKey(goalId));
    return stored === undefined ? undefined : { ledger: parseTrusted<Ledger>(stored.data), revision: stored.revision };
  }

  async function change(goalId: string, limits: Limits, by: Change): Promise<Granted> {
    for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts += 1) {
      const standing = await read(goalId);
      writes += 1;
      const granted = by(standing?.ledger ?? newLedger(limits));
      if (!granted.ok) {
        deps.events.budgetRefused(granted.limit, goalId, granted.message);
        return granted;
      }
      const write = {
        subject: deps.subjects.dagSubject(deps.subjects.ledgerKey(goalId)),
        // The store takes bytes that stand for its own: two agents that charge the same at the same moment must not write the same.
        data: encode({ ...granted.ledger, by: `${deps.agentId}.${deps.clock.now()}.${writes}` }),
        expect: standing?.revision ?? 0,
      };
      if ((await deps.store.commit([write])).status === 'committed') return granted;
    }
    throw new Error(`ledger of ${goalId}: ${CONFLICTS_MAX} conflicts in a row`);
  }

  /** One change at a time per goal and process. */
  function queued(goalId: string, limits: Limits, by: Change): Promise<Granted> {
    const before = queues.get(goalId) ?? Promise.resolve();
    const after = before.then(() => change(goalId, limits, by));
    const quiet = after.catch(() => undefined);
    queues.set(goalId, quiet);
    void quiet.then(() => queues.get(goalId) === quiet && queues.delete(goalId));
    return after;
  }

  /** Reserves, or, where no limit of that kind can be exceeded, only names what will be settled. */
  async function hold(
    goalId: string,
    limits: Limits,
    holder: Holder,
    worst: Worst,
    limited: boolean,
  ): Promise<{ readonly granted: Granted | { readonly ok: true }; readonly id: string; release(): void }> {
    calls += 1;
    const id = `${holder.agentId}.${holder.taskId}.${holder.attempt}.${calls}`;
    // Without a limit there is nothing to refuse; the settlement alone keeps the account.
    const granted = limited
      ? await queued(goalId, limits, (ledger) => reserve(ledger, id, holder, worst))
      : ({ ok: true } as const);
    const held = limited && granted.ok;
    const usd = worst.traffic === undefined ? worst.usd : addUsd([worst.usd, trafficSum(worst.traffic).usd]);
    if (held) deps.events.reservations(1, usd);
    return { granted, id, release: () => held && deps.events.reservations(-1, usd) };
  }

  return {
    async reserve(goalId, limits, holder, worst) {
      const tokens = worst.inputTokens + worst.outputTokens;
      // A vote is always on the account while it lasts: its goal may end before it does, and then counts what is reserved.
      const limited = limits.usd !== undefined || limits.tokens !== undefined || holder.vote === true;
      const { granted, id, release } = await hold(goalId, limits, holder, { usd: worst.usd, tokens }, limited);
      if (!granted.ok) return { granted: false, limit: granted.limit, message: granted.message };
      return {
        granted: true,
        async settle({ usd, inputTokens, outputTokens }: ModelUsage) {
          const settled = queued(goalId, limits, (ledger) => ({
            ok: true,
            ledger: settle(ledger, id, holder, { usd, tokens: inputTokens + outputTokens }),
          }));
          await settled.finally(release);
          deps.events.spent('compute', usd);
        },
      };
    },
    async charge(goalId, limits, said) {
      const traffic = priced(deps.communication, said);
      const granted = await queued(goalId, limits, (ledger) => charge(ledger, traffic));
      if (!granted.ok) return { limit: granted.limit, message: granted.message };
      deps.events.spent('communication', trafficSum(traffic).usd);
      return true;
    },
    async exchange(goalId, limits, holder, most) {
      const traffic = priced(deps.communication, most);
      const limited = limits.usd !== undefined || limits.messages !== undefined;
      const { granted, id, release } = await hold(goalId, limits, holder, { usd: 0, tokens: 0, traffic }, limited);
      if (!granted.ok) return { granted: false, limit: granted.limit, message: granted.message };
      return {
        granted: true,
        async settle(said) {
          const actual = priced(deps.communication, said);
          const settled = queued(goalId, limits, (ledger) => ({ ok: true, ledger: settleTraffic(ledger, id, actual) }));
          await settled.finally(release);
          deps.events.spent('communication', trafficSum(actual).usd);
        },
      };
    },
    async spending(goalId, closing) {
      const standing = await read(goalId);
      if (standing === undefined) return NOTHING_SPENT;
      const { spent, byAgent, byType = {}, votesUsd = 0 } = closing ? close(standing.ledger) : standing.ledger;
      const { usd, tokens, messages, communicationUsd } = spent;
      return { usd: addUsd([usd, communicationUsd]), tokens, messages, communicationUsd, byAgent, byType, votesUsd };
    },
  };
}
