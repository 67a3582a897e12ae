/** How tasks of a goal come to be: everything with "must not exist", so that whoever repeats it after a crash writes only what is missing. */
import type { GoalFacts } from '../../core/intake.ts';
import type { LiveGoal } from '../../protocol/goal.ts';
import type { TaskRecord } from '../../protocol/task.ts';
import type { Deps } from './deps.ts';
import { taskWrite } from './records.ts';

const CHUNK = 250;
const CREATE = 0;

/** Creates these records where they do not exist, in chunks below the batch limit. Returns the revisions of those that it wrote, by taskId. */
export async function createTasks(deps: Deps, records: readonly TaskRecord[]): Promise<ReadonlyMap<string, number>> {
  const revisions = new Map<string, number>();
  for (let at = 0; at < records.length; at += CHUNK) {
    const chunk = records.slice(at, at + CHUNK);
    const writes = chunk.map((task) => taskWrite(deps, task, CREATE));
    const outcome = await deps.store.commit(writes);
    // The first one exists: somebody was here before. What is missing is created one by one, what exists stays.
    if (outcome.status === 'conflict') await Promise.all(writes.map((write) => deps.store.commit([write])));
    else
      for (const [index, { taskId }] of chunk.entries()) {
        const revision = outcome.revisions[index];
        if (revision !== undefined) revisions.set(taskId, revision);
      }
  }
  return revisions;
}

/** `createdAt` of all records is the goal's, so that a repetition writes the same bytes. */
export function factsOf(goal: LiveGoal): GoalFacts {
  return {
    goalId: goal.goalId,
    correlationId: goal.correlationId,
    ...(goal.traceparent === undefined ? {} : { traceparent: goal.traceparent }),
    deadline: goal.deadline,
    continues: goal.onTaskFailure === 'continue',
    revisable: goal.revisionsMax !== undefined,
    now: Date.parse(goal.createdAt),
  };
}
