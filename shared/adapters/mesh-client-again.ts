/** A goal that ended, as a submission that asks for the same once more under another id: a terminal record never changes. */
import { createHash } from 'node:crypto';
import type { z } from 'zod';
import type { EndedGoal, GoalSubmission, TaskSpec } from '../protocol/goal.ts';
import { isId } from '../protocol/ids.ts';
import { PLAN_TASK } from '../protocol/plan.ts';
import { PLAN_CAPABILITY } from '../protocol/subjects.ts';
import type { TaskRecord } from '../protocol/task.ts';

export type Again =
  | { readonly ok: true; readonly goalId: string; readonly submission: z.input<typeof GoalSubmission> }
  | { readonly ok: false; readonly why: string };

/** The same id for the same goal: however often it is asked for, it runs once more. */
function idAgain(goalId: string): string {
  const id = `${goalId}-again`;
  return isId(id) ? id : `again-${createHash('sha256').update(goalId).digest('base64url').slice(0, 32)}`;
}

/** `tasks`: all of the goal. What was planned is planned anew; explicit tasks are those of the submission. */
export function submissionAgain(goal: EndedGoal, tasks: readonly TaskRecord[]): Again {
  const { goalId, description, pattern } = goal;
  if (!('onTaskFailure' in goal))
    return { ok: false, why: `goal ${goalId} was refused: correct it and submit it again` };
  const id = idAgain(goalId);
  const { input, metadata, budget, onTaskFailure, replansMax } = goal;
  const planned = tasks.some((task) => task.taskId === PLAN_TASK && task.capability === PLAN_CAPABILITY);
  const announced = tasks.some((task) => task.peer !== undefined);
  if (!planned && !announced && goal.revision !== undefined)
    return {
      ok: false,
      why: `the tasks of goal ${goalId} were changed while it ran: submit those that you want again`,
    };
  const submission = {
    goalId: id,
    description,
    pattern,
    onTaskFailure,
    ...(input === undefined ? {} : { input }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(budget === undefined ? {} : { budget }),
    ...(replansMax === undefined ? {} : { replans: replansMax }),
    ...(planned || announced ? {} : { tasks: tasks.map(specOf) }),
  };
  return { ok: true, goalId: id, submission };
}

function specOf(task: TaskRecord): TaskSpec {
  const { taskId, capability, description, input, maxAttempts, timeoutMs, vote, tolerant, failures = [] } = task;
  return {
    taskId,
    capability,
    description,
    // Those that failed were taken out of it.
    dependencies: [...task.dependencies, ...failures.map((failure) => failure.taskId)],
    maxAttempts,
    timeoutMs,
    ...(input === undefined ? {} : { input }),
    ...(vote === undefined ? {} : { vote }),
    ...(tolerant === undefined ? {} : { tolerant }),
  };
}
