/**
 * What one process remembers of the goals it works on. Only facts that never change are kept (a completed task stays completed, a graph keeps its
 * edges), so a stale memory can cost a read, never a wrong decision. Bounded by goals and by bytes of results.
 */
import type { GoalRecord, LiveGoal } from '../../protocol/goal.ts';
import type { Json } from '../../protocol/ids.ts';
import type { Revision } from '../../protocol/plan.ts';
import type { TaskRecord } from '../../protocol/task.ts';
import type { Versioned } from './records.ts';

const GOALS_MAX = 4_000;
const RESULT_BYTES_MAX = 48 * 1024 * 1024;
/** A result larger than this is read again when it is needed. */
const RESULT_BYTES_EACH = 64 * 1024;

export type FixedGraph = Pick<LiveGoal, 'sinks' | 'onTaskFailure'>;

/** See `GoalMemory.graph`. */
export function fixedGraph(goal: GoalRecord): FixedGraph | undefined {
  if (goal.status !== 'running' || goal.revisionsMax !== undefined || goal.sinks.length < 2) return undefined;
  return { sinks: goal.sinks, onTaskFailure: goal.onTaskFailure };
}

export interface GoalMemory {
  /** Tasks known to be completed. */
  readonly completed: Set<string>;
  readonly results: Map<string, Json>;
  /** Dependencies of tasks that wait for several. */
  readonly joins: Map<string, readonly string[]>;
  /** Joins (and the goal's end) that this process saw complete: it releases each once. */
  readonly released: Set<string>;
  /** Records as this process itself wrote them when the goal was born: a guess at what stands, right until somebody moves them. */
  readonly born: Map<string, Versioned<TaskRecord>>;
  goal: Versioned<GoalRecord> | undefined;
  /** What decides on the end of a goal with several sinks, once it runs, if no revision can change it: its record, which names them all, need not be read by each. */
  graph: FixedGraph | undefined;
  /** Tasks of a chain before which nothing can have been spent. */
  readonly free: Set<string>;
  /** This process wrote the goal's ledger. */
  charged: boolean;
  /** A dependency that was not completed when a join was last looked at. */
  readonly blockedOn: Map<string, string>;
  /** Revisions of the graph, by number. */
  readonly revisions: Map<number, Revision>;
  bytes: number;
}

export interface Memory {
  of(goalId: string): GoalMemory;
  remember(task: TaskRecord): void;
  /** The records of a goal that this process accepted, and the revisions under which they were written. */
  bear(goal: Versioned<GoalRecord>, tasks: readonly Versioned<TaskRecord>[]): void;
  forget(goalId: string): void;
}

export function memoryOf(): Memory {
  const goals = new Map<string, GoalMemory>();
  let bytes = 0;

  function drop(goalId: string): void {
    bytes -= goals.get(goalId)?.bytes ?? 0;
    goals.delete(goalId);
  }

  function of(goalId: string): GoalMemory {
    const known = goals.get(goalId);
    if (known !== undefined) return known;
    const fresh: GoalMemory = {
      completed: new Set<string>(),
      results: new Map(),
      joins: new Map(),
      blockedOn: new Map(),
      released: new Set<string>(),
      born: new Map(),
      goal: undefined,
      graph: undefined,
      free: new Set(),
      charged: false,
      revisions: new Map(),
      bytes: 0,
    };
    goals.set(goalId, fresh);
    const [oldest] = goals.keys();
    if (goals.size > GOALS_MAX && oldest !== undefined) drop(oldest);
    return fresh;
  }

  return {
    of,
    remember(task) {
      if (task.status !== 'completed') return;
      const memory = of(task.goalId);
      if (memory.completed.has(task.taskId)) return;
      memory.completed.add(task.taskId);
      const size = JSON.stringify(task.result).length;
      if (size > RESULT_BYTES_EACH || bytes + size > RESULT_BYTES_MAX) return;
      memory.results.set(task.taskId, task.result);
      memory.bytes += size;
      bytes += size;
    },
    bear(goal, tasks) {
      const memory = of(goal.record.goalId);
      memory.goal = goal;
      for (const task of tasks) memory.born.set(task.record.taskId, task);
    },
    forget: drop,
  };
}
