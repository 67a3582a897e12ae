/** Whether a strike hit, and when the goal went on after it: from what stands in the stream, by the broker's clock. */
import { jsonOf, type StreamMessage } from '../../support/foreign.ts';
import { ForeignTask } from '../../support/foreign-records.ts';
import type { StrikeKind } from './strikes.ts';

export interface Struck {
  readonly kind: StrikeKind;
  readonly goalId: string;
  /** By this machine's clock, ms since the epoch; the broker runs on it too. */
  readonly at: number;
  /** The process that was killed, if it was not the broker, and the task that it was killed for. */
  readonly agentId?: string;
  readonly taskId?: string;
}

export interface Effect {
  /** It took something from the goal: a task that somebody had, or a broker that it still needed. */
  readonly hit: boolean;
  /** From the strike until somebody else works on what was lost, or, for a broker, until the next record of the goal. ms; absent: no hit. */
  readonly recoveryMs?: number;
}

const NO_HIT: Effect = { hit: false };

export function effectOf(struck: Struck, dag: readonly StreamMessage[], mesh: string): Effect {
  const { goalId, at } = struck;
  // `$KV.<m>_dag.<kind>.<goalId>...`
  const own = dag.filter(({ subject }) => subject.split('.')[3] === goalId);
  if (struck.kind === 'broker') {
    const next = own.find(({ storedAt }) => storedAt > at);
    return next === undefined ? NO_HIT : { hit: true, recoveryMs: next.storedAt - at };
  }
  const { agentId } = struck;
  const tasks = own.flatMap(({ subject, data, storedAt }) =>
    subject.startsWith(`$KV.${mesh}_dag.task.${goalId}.`) ? [{ task: ForeignTask.parse(jsonOf(data)), storedAt }] : [],
  );
  const standing = new Map(tasks.filter(({ storedAt }) => storedAt <= at).map(({ task }) => [task.taskId, task]));
  // One that nobody thought had work on the goal may have been holding its auction.
  const had = [...standing.values()].find((task) => task.status === 'in_progress' && task.agentId === agentId);
  const before = struck.taskId === undefined ? had : standing.get(struck.taskId);
  if (before?.status !== 'in_progress' || before.agentId !== agentId) return NO_HIT;
  const { taskId } = before;
  let given = false;
  for (const { task, storedAt } of tasks) {
    if (storedAt <= at) continue;
    const lost = task.taskId === taskId;
    // Its result was on its way when it died.
    if (lost && task.status === 'completed' && task.agentId === agentId) return NO_HIT;
    if (lost && task.status === 'cancelled') given = true;
    const goesOn = task.agentId !== agentId && (task.status === 'in_progress' || task.status === 'completed');
    // Work that was given up goes on under another name; who finds somebody for it is not the work.
    if (goesOn && (lost || (given && task.capability !== 'auction'))) return { hit: true, recoveryMs: storedAt - at };
  }
  return { hit: true };
}
