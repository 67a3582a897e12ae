/** What a goal cost, taken apart so that each part adds up to the whole, to the nano-dollar. */
import { reservedIn } from '../../shared/core/budget.ts';
import { addUsd, toNano, toUsd } from '../../shared/core/cost.ts';
import type { GoalRecord } from '../../shared/protocol/goal.ts';
import type { Ledger } from '../../shared/protocol/ledger.ts';
import type { TaskRecord } from '../../shared/protocol/task.ts';
import { arrange } from './render/tree.ts';

export interface CostReport {
  /** The most expensive first. Their sum is `compute`. */
  readonly agents: readonly { readonly agentId: string; readonly usd: number }[];
  readonly compute: number;
  /** In the order in which they depend on each other. Their sum, with `votes` and `lost`, is `compute`. */
  readonly tasks: readonly TaskCostRow[];
  /** Opinions of voters. */
  readonly votes: number;
  /** Calls of attempts that left no record: their agent died, or lost its lease. */
  readonly lost: number;
  /** The most expensive first. Their sum is `communication`. */
  readonly messageTypes: readonly {
    readonly type: string;
    readonly messages: number;
    readonly bytes: number;
    readonly usd: number;
  }[];
  readonly communication: number;
  readonly prediction: {
    readonly predicted: number;
    readonly measured: number;
    /** `measured` - `predicted`. */
    readonly error: number;
    /** `measured` / `predicted`; null when nothing was predicted. */
    readonly ratio: number | null;
  };
  /** Of the goal's ledger; null when it has none, because nothing was spent. */
  readonly account: Account | null;
}

export interface Account {
  /** Held back for calls and messages under way. */
  readonly reserved: { readonly usd: number; readonly tokens: number; readonly calls: number };
  /** The part of what is spent that was reserved for calls that were given up or whose agent is gone: nobody knows whether they were billed. */
  readonly lost: { readonly usd: number; readonly tokens: number; readonly calls: number };
  /** What calls cost, by their endpoint's word, over their reservation and over all that the limits had left. */
  readonly beyond: { readonly usd: number; readonly tokens: number };
}

export function accountOf(ledger: Ledger | undefined): Account | null {
  if (ledger === undefined) return null;
  const { lost = { usd: 0, tokens: 0, calls: 0 }, beyond = { usd: 0, tokens: 0 } } = ledger;
  return { reserved: reservedIn(ledger), lost, beyond };
}

interface TaskCostRow {
  readonly taskId: string;
  readonly capability: string;
  readonly usd: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly messages: number;
  readonly bytes: number;
}

export function costReport(goal: GoalRecord, tasks: readonly TaskRecord[], ledger?: Ledger): CostReport {
  const { cost } = goal;
  const compute = addUsd(Object.values(cost.compute));
  const votes = cost.votes ?? 0;
  const ofTasks = addUsd(tasks.map((task) => task.cost.usd));
  return {
    agents: Object.entries(cost.compute)
      .map(([agentId, usd]) => ({ agentId, usd }))
      .sort((one, other) => other.usd - one.usd),
    compute,
    tasks: arrange(tasks).map(({ task }) => rowOf(task)),
    votes,
    // While the goal runs its record may lag behind those of its tasks.
    lost: Math.max(0, difference(compute, addUsd([ofTasks, votes]))),
    messageTypes: Object.entries(cost.byMessageType ?? {})
      .map(([type, said]) => ({ type, ...said }))
      .sort((one, other) => other.usd - one.usd),
    communication: cost.communication,
    prediction: {
      predicted: cost.predicted,
      measured: cost.total,
      error: difference(cost.total, cost.predicted),
      ratio: cost.predicted === 0 ? null : cost.total / cost.predicted,
    },
    account: accountOf(ledger),
  };
}

function rowOf({ taskId, capability, cost }: TaskRecord): TaskCostRow {
  const { usd, inputTokens, outputTokens, messages, bytes = 0 } = cost;
  return { taskId, capability, usd, inputTokens, outputTokens, messages, bytes };
}

/** `one` - `other` in whole nano-dollars. */
function difference(one: number, other: number): number {
  return one >= other ? subtract(one, other) : -subtract(other, one);
}

function subtract(larger: number, smaller: number): number {
  return toUsd(toNano(larger) - toNano(smaller));
}
