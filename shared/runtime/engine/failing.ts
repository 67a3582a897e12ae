/** What the failure of a task means for the rest of its goal. As everything that follows from an end it may be repeated. */
import { unreachableAfter } from '../../core/dag.ts';
import { endOf, type FailedTask, failureOf } from '../../core/repair.ts';
import { isTerminalGoal, type LiveGoal } from '../../protocol/goal.ts';
import type { EndedTask, TaskRecord } from '../../protocol/task.ts';
import type { Closing } from './closing.ts';
import type { Deps } from './deps.ts';
import type { Growth } from './growth.ts';
import { itemWrite } from './items.ts';
import { moveTask, readGoal, readTask, readTasks, scanTasks, type Versioned } from './records.ts';
import type { Revisions } from './revisions.ts';

interface Parts {
  readonly deps: Deps;
  readonly closing: Closing;
  readonly revisions: Revisions;
  readonly mend: Growth['mend'];
  /** Ends the goal if this was all that it waited for. */
  readonly endIfLast: (goalId: string) => Promise<void>;
}

/** So many tasks, or steps of a chain, are read; more are found by reading the whole goal, which many failures in a large one must not do each. */
const READ_MAX = 16;
const NO_EDGES: ReadonlyMap<string, readonly string[]> = new Map();

/** Changes the graph, if that can help; else stops the goal, or gives up what waits for the task. One that a revision replaced fails for nobody. */
export function failingOf({ deps, closing, revisions, mend, endIfLast }: Parts): (task: FailedTask) => Promise<void> {
  async function deadLetter(failed: FailedTask): Promise<void> {
    const { goalId, taskId, attempt, error, cost } = failed;
    const item = itemWrite(deps, failed);
    const payload = Buffer.from(item.data).toString('base64');
    const letter = {
      origin: 'tasks' as const,
      subject: item.subject,
      reason: error,
      payload,
      goalId,
      taskId,
      attempts: attempt,
      spent: cost,
      at: failed.finishedAt,
    };
    await deps.dead.put(letter, `tasks.${goalId}.${taskId}`);
    deps.events.deadLetter('tasks', error.code, { goalId, taskId });
  }

  /** Everything that waits for this task, directly or not. A scan may lag: what it lacks is read, for edges that are missed would wait for ever (I5). */
  async function allDependents(task: EndedTask, goal: LiveGoal): Promise<readonly string[]> {
    const edges = new Map([[task.taskId, task.dependents]]);
    const add = (tasks: Iterable<Versioned<TaskRecord>>): void => {
      for (const { record } of tasks) edges.set(record.taskId, record.dependents);
    };
    const late = task.revisable === true ? await revisions.lateEdges(goal) : NO_EDGES;
    for (let reads = 0, scanned = false; ; reads += 1) {
      const of = (taskId: string): readonly string[] => [...(edges.get(taskId) ?? []), ...(late.get(taskId) ?? [])];
      const lost = unreachableAfter(task.taskId, of);
      const unseen = lost.filter((taskId) => !edges.has(taskId));
      if (unseen.length === 0) return lost;
      if (!scanned && (unseen.length > READ_MAX || reads === READ_MAX)) {
        scanned = true;
        add((await scanTasks(deps, task.goalId)).values());
        continue;
      }
      const read = await readTasks(deps, task.goalId, unseen);
      if (read.size < unseen.length) throw new Error(`tasks of goal ${task.goalId} are not written yet`);
      add(read.values());
    }
  }

  /** Everything that waits for it, as the graph stands now. */
  async function giveUp(task: FailedTask): Promise<void> {
    const goal = await readGoal(deps, task.goalId);
    if (goal === undefined || isTerminalGoal(goal.record)) return;
    for (const taskId of await allDependents(task, goal.record)) {
      const standing = await readTask(deps, task.goalId, taskId);
      const why = { code: 'dependency_failed', message: `task ${task.taskId}, on which it depends, failed` };
      if (standing !== undefined) await moveTask(deps, standing, { type: 'cancel', error: why, at: deps.clock.now() });
    }
  }

  return async (task) => {
    await deadLetter(task);
    const { goalId, taskId } = task;
    const mended = task.revisable === true ? await mend(task) : 'none';
    if (mended === 'over' || mended === 'replaced') return;
    const goal = await readGoal(deps, goalId);
    if (goal === undefined || isTerminalGoal(goal.record)) return;
    const { onTaskFailure, status } = goal.record;
    const error = failureOf(taskId, task.error);
    if (mended === 'none' && (onTaskFailure === 'fail' || status === 'planning' || error.code === 'budget_exceeded'))
      return closing.stop(goalId, 'failed', endOf(await revisions.of(goal.record), error));
    if (onTaskFailure === 'continue') await giveUp(task);
    // What the graph became may have run by now, while nobody could end the goal.
    await (mended === 'led' ? endIfLast(goalId) : closing.finishIfSettled(goalId));
  };
}
