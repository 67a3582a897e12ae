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
} from '../../core/budget.ts';
import { NOTHING_SPENT, type Spending } from '../../core/goal-machine.ts';
import { encode, parseTrusted } from '../../protocol/codec.ts';
import type { Ledger } from '../../protocol/ledger.ts';
import type { ModelUsage, Reservation, WorstCase } from '../../ports.ts';
import type { Deps } from './deps.ts';

export interface Ledgers {
  /** Grants the worst case of one model call, or says which limit forbids it. */
  reserve(goalId: string, limits: Limits, holder: Holder, worst: WorstCase): Promise<Reservation>;
  /** Charges messages before they are sent. */
  charge(
    goalId: string,
    limits: Limits,
    messages: number,
    bytes: number,
  ): Promise<Granted['ok'] | { readonly limit: string; readonly message: string }>;
  /** What the goal spent; with `closing`, whatever is still reserved counts as spent. */
  spending(goalId: string, closing: boolean): Promise<Spending>;
}

type Change = (ledger: Ledger) => Granted;
const CONFLICTS_MAX = 1_000;

export function ledgersOf(deps: Deps): Ledgers {
  const queues = new Map<string, Promise<unknown>>();
  let calls = 0;

  async function read(goalId: string): Promise<{ ledger: Ledger; revision: number } | undefined> {
    const stored = await deps.store.read(deps.subjects.ledgerKey(goalId));
    return stored === undefined ? undefined : { ledger: parseTrusted<Ledger>(stored.data), revision: stored.revision };
  }

  async function change(goalId: string, limits: Limits, by: Change): Promise<Granted> {
    for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts += 1) {
      const standing = await read(goalId);
      const granted = by(standing?.ledger ?? newLedger(limits));
      if (!granted.ok) {
        deps.events.budgetRefused(granted.limit, goalId, granted.message);
        return granted;
      }
      const write = {
        subject: deps.subjects.dagSubject(deps.subjects.ledgerKey(goalId)),
        data: encode(granted.ledger),
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

  return {
    async reserve(goalId, limits, holder, worst) {
      calls += 1;
      const id = `${holder.agentId}.${holder.taskId}.${holder.attempt}.${calls}`;
      const tokens = worst.inputTokens + worst.outputTokens;
      // Without a limit there is nothing to refuse; the settlement alone keeps the account.
      const unlimited = limits.usd === undefined && limits.tokens === undefined;
      const granted = unlimited
        ? ({ ok: true } as const)
        : await queued(goalId, limits, (ledger) => reserve(ledger, id, holder, { usd: worst.usd, tokens }));
      if (!granted.ok) return { granted: false, limit: granted.limit, message: granted.message };
      return {
        granted: true,
        async settle(actual: ModelUsage) {
          await queued(goalId, limits, (ledger) => ({
            ok: true,
            ledger: settle(ledger, id, holder.agentId, {
              usd: actual.usd,
              tokens: actual.inputTokens + actual.outputTokens,
            }),
          }));
          deps.events.spent('compute', actual.usd);
        },
      };
    },
    async charge(goalId, limits, messages, bytes) {
      const usd = messages * deps.communication.usdPerMessage + (bytes / 1024) * deps.communication.usdPerKiB;
      const granted = await queued(goalId, limits, (ledger) => charge(ledger, messages, usd));
      if (!granted.ok) return { limit: granted.limit, message: granted.message };
      deps.events.spent('communication', usd);
      return true;
    },
    async spending(goalId, closing) {
      const standing = await read(goalId);
      if (standing === undefined) return NOTHING_SPENT;
      const ledger = closing ? close(standing.ledger) : standing.ledger;
      const { usd, tokens, messages, communicationUsd } = ledger.spent;
      return { usd: usd + communicationUsd, tokens, messages, communicationUsd, byAgent: ledger.byAgent };
    },
  };
}
