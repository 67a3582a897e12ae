/** How goals end: all sinks completed, or stopped (failed, cancelled, out of time) and every task made terminal (I5). Idempotent, for any agent. */
import { countTasks, resultOf, type Spending } from '../../core/goal-machine.ts';
import { awaitsRepair, endOf, failureOf } from '../../core/repair.ts';
import { grows } from '../../core/revision.ts';
import {
  type ErrorInfo,
  type GoalRecord,
  isTerminalGoal,
  type LiveGoal,
  type TaskCounts,
} from '../../protocol/goal.ts';
import type { Json } from '../../protocol/ids.ts';
import { isTerminalTask, type TaskRecord } from '../../protocol/task.ts';
import { encode } from '../../protocol/codec.ts';
import type { Deps } from './deps.ts';
import type { Ledgers } from './ledgers.ts';
import type { Joins } from './joins.ts';
import type { Memory } from './memory.ts';
import {
  type Moved,
  moveGoal,
  moveTask,
  readGoal,
  readMostlyEnded,
  readTask,
  readTasks,
  scanTasks,
  type Versioned,
} from './records.ts';
import type { Revisions } from './revisions.ts';
import { inlineOrBlob } from './values.ts';

export interface Closing {
  /** Ends a goal whose sinks are all completed. */
  finishCompleted(goal: Versioned<GoalRecord>): Promise<void>;
  /** Ends a goal whose tasks are all terminal; false when some are not. Looks at one goal are gathered. */
  finishIfSettled(goalId: string): Promise<boolean>;
  /** Decides that the goal ends early, makes every task terminal, then the goal. The first decision stands. */
  stop(goalId: string, status: 'failed' | 'cancelled', error: ErrorInfo): Promise<void>;
  /** Goes on with a stop that somebody began. */
  resume(goalId: string): Promise<void>;
  /** Tells the agent that holds the goal's receipt. */
  announce(goal: GoalRecord): void;
  /** Every task of the goal as the leader knows it. */
  allTasks(goal: LiveGoal): Promise<Map<string, Versioned<TaskRecord>>>;
}

const SETTLED = '#settled';
const CANCEL_WINDOW = 128;
/** A scan may lag on a cluster; a record that must exist is looked for again this often. */
const SCANS_MAX = 40;
const SCAN_AGAIN_MS = 100;

/** The open task that is likely to end last: of those that nobody has begun the youngest, for work is handed out in order. Undefined: none is open. */
function lastToEnd(tasks: Iterable<Versioned<TaskRecord>>): TaskRecord | undefined {
  let last: Versioned<TaskRecord> | undefined;
  const begun = (task: Versioned<TaskRecord>): boolean => task.record.status === 'in_progress';
  for (const task of tasks) {
    if (isTerminalTask(task.record)) continue;
    const sooner =
      last === undefined || begun(last) === begun(task) ? task.revision < (last?.revision ?? 0) : begun(task);
    if (!sooner) last = task;
  }
  return last?.record;
}

/** `endedHere`: a goal that this agent accepted is over. */
export function closingOf(
  deps: Deps,
  memory: Memory,
  joins: Joins,
  ledgers: Ledgers,
  revisions: Revisions,
  endedHere: (goalId: string) => void,
): Closing {
  function announce(goal: GoalRecord): void {
    memory.forget(goal.goalId);
    if (!('acceptedBy' in goal)) return;
    // In a turn of its own, as a message would come: whoever accepts the goal may be a few steps away from holding its receipt.
    if (goal.acceptedBy === deps.agentId) return void deps.clock.after(0, () => endedHere(goal.goalId));
    deps.bus.publish(`${deps.subjects.inbox(goal.acceptedBy)}.ended`, encode({ goalId: goal.goalId }));
  }

  async function finish(
    goal: Versioned<GoalRecord>,
    ending: {
      counts: TaskCounts;
      result: Json | undefined;
      firstFailure?: ErrorInfo;
      revision?: number;
      replaced?: number;
    },
  ): Promise<Moved<GoalRecord>> {
    const { goalId } = goal.record;
    // I4: the account is closed before its sum goes into the record, so that nothing can be spent that the record does not show.
    const spending: Spending = await ledgers.end(goalId);
    const at = deps.clock.now();
    const moved = await moveGoal(deps, goalId, () => ({ type: 'finish', ...ending, spending, at }), goal);
    const standing = moved.record;
    if (standing !== undefined && !isTerminalGoal(standing)) await ledgers.reopen(goalId);
    if (standing !== undefined && isTerminalGoal(standing)) announce(standing);
    return moved;
  }

  async function results(goalId: string, taskIds: readonly string[]): Promise<ReadonlyMap<string, Json>> {
    const known = memory.of(goalId).results;
    const missing = taskIds.filter((taskId) => !known.has(taskId));
    const read = await readMostlyEnded(deps, goalId, missing);
    const found = new Map<string, Json>();
    for (const taskId of taskIds) {
      const record = read.get(taskId)?.record;
      if (known.has(taskId)) found.set(taskId, known.get(taskId) ?? null);
      else if (record?.status === 'completed') found.set(taskId, record.result);
    }
    return found;
  }

  async function allTasks(goal: LiveGoal): Promise<Map<string, Versioned<TaskRecord>>> {
    for (let scans = 1; ; scans += 1) {
      const tasks = new Map(await scanTasks(deps, goal.goalId));
      const live = [...tasks.values()].filter((task) => !isTerminalTask(task.record)).map((task) => task.record.taskId);
      for (const [taskId, task] of await readTasks(deps, goal.goalId, live)) tasks.set(taskId, task);
      if (tasks.size >= goal.tasks.total || scans === SCANS_MAX) return tasks;
      await new Promise<void>((resolve) => deps.clock.after(SCAN_AGAIN_MS, resolve));
    }
  }

  /** Replaced tasks that somebody had begun before, once all that count are terminal: nobody waits for them any more. */
  async function endReplaced(tasks: Map<string, Versioned<TaskRecord>>): Promise<void> {
    const live = [...tasks.values()].filter(({ record }) => !isTerminalTask(record));
    const error = { code: 'replaced', message: 'the goal came to its end without this task' };
    for (const task of live) {
      const moved = await moveTask(deps, task, { type: 'cancel', error, at: deps.clock.now() });
      if (moved.record !== undefined) tasks.set(task.record.taskId, { record: moved.record, revision: 0 });
    }
  }

  async function endWith(goal: Versioned<GoalRecord>, tasks: Map<string, Versioned<TaskRecord>>): Promise<boolean> {
    if (isTerminalGoal(goal.record)) return true;
    const { stopping, revision, sinks } = goal.record;
    const known = await revisions.of(goal.record);
    const replaced = new Set(known.flatMap(({ replaces }) => replaces));
    if (stopping === undefined) {
      if ([...tasks.values()].some(({ record }) => !isTerminalTask(record) && !replaced.has(record.taskId)))
        return false;
      // What the end of a task is to become stands before the goal can be over.
      const causes = new Set(known.map(({ cause }) => cause));
      if ([...tasks.values()].some(({ record }) => grows(record) && !causes.has(record.taskId))) return false;
      const standing = new Map([...tasks].map(([taskId, task]) => [taskId, task.record]));
      if (awaitsRepair({ goal: goal.record, tasks: standing, revisions: known })) return false;
      await endReplaced(tasks);
    }
    const records = [...tasks.values()].map((task) => task.record);
    const counts = countTasks(records);
    const { total } = goal.record.tasks;
    if (counts.completed + counts.failed + counts.cancelled < total) return false;
    const completed = new Map(
      records.flatMap((task) => (task.status === 'completed' ? [[task.taskId, task.result] as const] : [])),
    );
    const [first] = records
      .filter((task) => task.status === 'failed')
      .filter((task) => !replaced.has(task.taskId))
      .sort((a, b) => a.finishedAt.localeCompare(b.finishedAt));
    const some = sinks.some((taskId) => completed.has(taskId));
    const result = some
      ? await inlineOrBlob(
          deps,
          resultOf(sinks, (taskId) => completed.get(taskId)),
          [goal.record],
        )
      : undefined;
    const lost = records.filter((task) => replaced.has(task.taskId) && task.status !== 'completed').length;
    const moved = await finish(goal, {
      counts: { ...counts, total },
      result,
      ...(first === undefined ? {} : { firstFailure: endOf(known, failureOf(first.taskId, first.error)) }),
      ...(revision === undefined ? {} : { revision, replaced: lost }),
    });
    return moved.ok || moved.refusal !== 'unfinished';
  }

  /**
   * Under `continue` each of many tasks may turn out to be the last one, and all of them are read to know. So a look begins with the task that the last
   * look found open: while that one is, so is the goal, and whoever ends it looks again.
   */
  async function settle(goalId: string): Promise<boolean> {
    const open = memory.of(goalId).blockedOn.get(SETTLED);
    const blocks = open === undefined ? undefined : await readTask(deps, goalId, open);
    if (blocks !== undefined && !isTerminalTask(blocks.record)) return false;
    const goal = await readGoal(deps, goalId);
    if (goal === undefined || goal.record.status === 'planning') return false;
    if (isTerminalGoal(goal.record)) return true;
    if (goal.record.revising !== undefined) return false;
    const tasks = await allTasks(goal.record);
    const last = goal.record.revisionsMax === undefined ? lastToEnd(tasks.values()) : undefined;
    if (last === undefined) return endWith(goal, tasks);
    memory.of(goalId).blockedOn.set(SETTLED, last.taskId);
    return false;
  }

  /** A goal that stops in the middle of a revision counts tasks that may not be written yet, and whoever writes them may be dead. */
  async function withoutRevision(goal: LiveGoal): Promise<void> {
    if (goal.revising === undefined) return;
    const { goalId, revision = 0 } = goal;
    const under = await revisions.read(goalId, revision);
    if (under === undefined) throw new Error(`revision ${revision} of goal ${goalId} cannot be read`);
    await revisions.carryOut(goal, under);
    await moveGoal(deps, goalId, () => ({ type: 'revised', revision }));
  }

  async function close(goalId: string): Promise<void> {
    for (let rounds = 0; rounds < SCANS_MAX; rounds += 1) {
      const goal = await readGoal(deps, goalId);
      if (goal === undefined || isTerminalGoal(goal.record)) return;
      if (rounds === 0) await ledgers.stop(goalId, goal.record.budget ?? {});
      await withoutRevision(goal.record);
      const tasks = await allTasks(goal.record);
      const error = goal.record.stopping?.error;
      const live = [...tasks.values()].filter((task) => !isTerminalTask(task.record));
      for (let start = 0; start < live.length; start += CANCEL_WINDOW) {
        const window = live.slice(start, start + CANCEL_WINDOW);
        const event = { type: 'cancel' as const, ...(error === undefined ? {} : { error }), at: deps.clock.now() };
        const moved = await Promise.all(window.map((task) => moveTask(deps, task, event)));
        for (const [index, each] of moved.entries()) {
          const taskId = window[index]?.record.taskId ?? '';
          if (each.record !== undefined) tasks.set(taskId, { record: each.record, revision: 0 });
        }
      }
      // Somebody may have begun to run the goal between our reads: then its total is another one.
      const after = await readGoal(deps, goalId);
      if (after !== undefined && (await endWith(after, tasks))) return;
    }
  }

  return {
    announce,
    allTasks,
    async finishCompleted(goal) {
      if (isTerminalGoal(goal.record)) return announce(goal.record);
      const { goalId, sinks, tasks } = goal.record;
      // Sinks alone do not say it where tasks were replaced, or where the end of one is yet to become graph.
      if (goal.record.revisionsMax !== undefined) return void (await endWith(goal, await allTasks(goal.record)));
      const found = await results(goalId, sinks);
      const result = await inlineOrBlob(
        deps,
        resultOf(sinks, (taskId) => found.get(taskId)),
        [goal.record],
      );
      const counts = { total: tasks.total, completed: tasks.total, failed: 0, cancelled: 0 };
      await finish(goal, { counts, result });
    },
    finishIfSettled: (goalId) => joins.gathered(goalId, SETTLED, () => settle(goalId)),
    async stop(goalId, status, error) {
      const moved = await moveGoal(deps, goalId, () => ({ type: 'stop', status, error }));
      if (moved.ok) deps.events.goalStopping(goalId, status, error.code, error.message);
      if (moved.record !== undefined && !isTerminalGoal(moved.record)) await close(goalId);
    },
    resume: close,
  };
}
