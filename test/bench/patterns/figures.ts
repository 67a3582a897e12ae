/** Figures of one pattern's goals. Latencies and recoveries in ms, amounts for one goal. */
import type { Ended, Played } from './play.ts';
import { STRIKES, type StrikeKind } from './strikes.ts';

export interface Recovery {
  readonly strikes: number;
  readonly hits: number;
  /** Of each hit, in the order of the goals. */
  readonly ms: readonly number[];
}

export interface Figures {
  readonly goals: number;
  readonly completed: number;
  readonly p50: number;
  readonly p99: number;
  readonly tasks: number;
  readonly calls: number;
  readonly messages: number;
  readonly records: number;
  readonly predictedUsd: number;
  readonly usd: number;
  readonly recovery: Readonly<Record<StrikeKind, Recovery>>;
}

export function isCompleted({ goal }: Ended): boolean {
  return goal?.status === 'completed';
}

export function figuresOf({ ended, calls, records }: Played): Figures {
  const goals = ended.flatMap(({ goal }) => goal ?? []);
  const each = (value: (goal: (typeof goals)[number]) => number): number =>
    goals.reduce((sum, goal) => sum + value(goal), 0) / Math.max(1, goals.length);
  const latencies = ended.map(({ latencyMs }) => latencyMs);
  return {
    goals: ended.length,
    completed: ended.filter(isCompleted).length,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    tasks: each(({ tasks }) => tasks.total),
    calls: calls / ended.length,
    messages: each(({ spent }) => spent.messages),
    records: records / ended.length,
    predictedUsd: each(({ cost }) => cost.predicted),
    usd: each(({ cost }) => cost.total),
    recovery: {
      agent: recoveryOf(ended, 'agent'),
      planner: recoveryOf(ended, 'planner'),
      broker: recoveryOf(ended, 'broker'),
    },
  };
}

function recoveryOf(ended: readonly Ended[], kind: StrikeKind): Recovery {
  const struck = ended.flatMap(({ strike }) => (strike?.kind === kind ? [strike] : []));
  return {
    strikes: struck.length,
    hits: struck.filter(({ hit }) => hit).length,
    ms: struck.flatMap(({ recoveryMs }) => recoveryMs ?? []),
  };
}

/** Nearest rank: of ten values, the 99th percentile is the largest. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

/** Kinds of strikes that must hit a goal of this pattern; without a planner at work there is no plan to be lost. */
export function mustHit(pattern: Played['pattern']): readonly StrikeKind[] {
  return STRIKES.filter((kind) => kind !== 'planner' || pattern !== 'peer-to-peer');
}
