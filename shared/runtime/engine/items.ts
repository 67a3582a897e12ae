/** Work items: what wakes an agent for a task. An item is a hint; the record is the truth. */
import { nextTask } from '../../core/task-machine.ts';
import { encode } from '../../protocol/codec.ts';
import type { Json } from '../../protocol/ids.ts';
import type { ReadyItem, TaskRecord } from '../../protocol/task.ts';
import type { Write } from '../../ports.ts';
import type { Deps } from './deps.ts';
import type { GoalMemory } from './memory.ts';
import { taskWrite, type Versioned } from './records.ts';

/** A hint beyond this size is not worth the bytes: the reader reads. */
const HINT_BYTES_MAX = 24 * 1024;
/** A task that waits longer than this for an agent is shown as `ready`; before that, nobody could see the difference. */
const SHOW_READY_MS = 250;
/** The record of a released task may be marked ready meanwhile: whoever gets an older item of one reads first. */
export const HINT_AGE_MAX_MS = 200;

/** The item of one task; with the record (and its dependencies' results) as a hint where that is small. */
export function itemWrite(
  deps: Deps,
  task: TaskRecord,
  hint?: { readonly revision: number; readonly results: Record<string, Json>; readonly near?: ReadyItem['near'] },
): Write {
  const { goalId, taskId } = task;
  const subject = deps.subjects.readySubject(task.capability, goalId, taskId);
  if (hint !== undefined) {
    const data = encode({
      goalId,
      taskId,
      task,
      revision: hint.revision,
      results: hint.results,
      ...(hint.near === undefined ? {} : { near: hint.near }),
    } satisfies ReadyItem);
    if (data.length <= HINT_BYTES_MAX) return { subject, data };
  }
  return { subject, data: encode({ goalId, taskId } satisfies ReadyItem) };
}

/** Graphs up to this size travel with their items: no agent that works on them has to read anything. */
export const NEAR_MAX = 8;

/** The part of a small graph that is still ahead of `task`, as this process knows it. */
export function nearOf(memory: GoalMemory, task: TaskRecord, free: boolean): ReadyItem['near'] {
  const { goal, born, completed } = memory;
  if (goal === undefined || born.size === 0 || born.size > NEAR_MAX) return undefined;
  const tasks = [...born.values()].filter(
    ({ record }) => record.taskId !== task.taskId && !completed.has(record.taskId),
  );
  return { goal, tasks, free };
}

interface Released {
  readonly task: Versioned<TaskRecord>;
  readonly item: number;
  readonly due: number;
}

/**
 * Writes `pending -> ready` for released tasks that no agent was given yet. Off the critical path on purpose: a task that is taken at once never was
 * visibly ready, and one queue look-up answers for all tasks of a capability.
 */
export function readyMarks(deps: Deps): {
  released(task: Versioned<TaskRecord>, item: number): void;
  tick(): Promise<void>;
  pending(): number;
} {
  let waiting: Released[] = [];
  return {
    released(task, item) {
      if (task.record.status === 'pending') waiting.push({ task, item, due: deps.clock.now() + SHOW_READY_MS });
    },
    pending: () => waiting.length,
    async tick() {
      const now = deps.clock.now();
      const due = waiting.filter((released) => released.due <= now);
      if (due.length === 0) return;
      waiting = waiting.filter((released) => released.due > now);
      const byCapability = Map.groupBy(due, (released) => released.task.record.capability);
      for (const [capability, released] of byCapability) {
        const queue = await deps.queues.state(capability);
        const untouched = released.filter(({ item }) => queue === undefined || item > queue.deliveredUpTo);
        await Promise.all(untouched.map(({ task }) => markReady(deps, task)));
      }
    },
  };
}

async function markReady(deps: Deps, task: Versioned<TaskRecord>): Promise<void> {
  const step = nextTask(task.record, { type: 'release' });
  if (!step.ok) return;
  const outcome = await deps.store.commit([taskWrite(deps, step.task, task.revision)]);
  // A conflict is good news: somebody works on it already.
  const { goalId, taskId, attempt, correlationId } = task.record;
  deps.events.transition('release', outcome.status, { goalId, taskId, attempt, correlationId });
}
