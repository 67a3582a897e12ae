/**
 * What one process remembers of the goals it works on. Only facts that never change are kept (a completed task stays completed, a graph keeps its
 * edges), so a stale memory can cost a read, never a wrong decision. Bounded by goals and by bytes of results.
 */
import type { TaskRecord } from '../../protocol/task.ts';

const GOALS_MAX = 4_000;
const RESULT_BYTES_MAX = 48 * 1024 * 1024;
/** A result larger than this is read again when it is needed. */
const RESULT_BYTES_EACH = 64 * 1024;

export interface GoalMemory {
  /** Tasks known to be completed. */
  readonly completed: Set<string>;
  readonly results: Map<string, unknown>;
  /** Dependencies of tasks that wait for several. */
  readonly joins: Map<string, readonly string[]>;
  /** A dependency that was not completed when a join was last looked at. */
  readonly blockedOn: Map<string, string>;
  bytes: number;
}

export interface Memory {
  of(goalId: string): GoalMemory;
  remember(task: TaskRecord): void;
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
    const fresh = { completed: new Set<string>(), results: new Map(), joins: new Map(), blockedOn: new Map(), bytes: 0 };
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
    forget: drop,
  };
}
