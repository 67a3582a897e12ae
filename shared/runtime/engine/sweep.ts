/**
 * Repairs what no message will wake. It runs when a goal's receipt comes round, on whichever agent gets it, and must find nothing in normal running:
 * every repair is counted (I6).
 */
import { isTerminalGoal, type LiveGoal } from '../../protocol/goal.ts';
import { PLAN_TASK } from '../../protocol/plan.ts';
import { AUCTION_CAPABILITY } from '../../protocol/subjects.ts';
import { isTerminalTask, type TaskRecord } from '../../protocol/task.ts';
import { grows } from '../../core/revision.ts';
import { dependenciesDone } from '../../core/task-machine.ts';
import type { Closing } from './closing.ts';
import type { Deps } from './deps.ts';
import { itemWrite } from './items.ts';
import type { Ledgers } from './ledgers.ts';
import { moveTask, readGoal, readTask, scanTasks, type Versioned } from './records.ts';
import type { Propagation } from './propagate.ts';
import type { Revisions } from './revisions.ts';

interface Parts {
  readonly closing: Closing;
  readonly propagation: Propagation;
  readonly revisions: Revisions;
  readonly ledgers: Ledgers;
}

export interface Sweep {
  /** Light: deadline, stop under way, missing capabilities. Deep: the whole graph. */
  check(goalId: string, deep: boolean): Promise<void>;
}

/** What happened less than this ago may still be under way on a live agent, ms. */
const SETTLED_MS = 5_000;
/** Beyond the lease of whoever carries it out. */
const REVISION_MS = 30_000;
/** Larger graphs are looked at only in the deep check. */
const LIGHT_TASKS_MAX = 100;

export function sweepOf(deps: Deps, { closing, propagation, revisions, ledgers }: Parts): Sweep {
  async function alive(): Promise<ReadonlySet<string>> {
    const agents = await deps.registry.list();
    // Whoever is there holds auctions, without a word of it.
    const everybody = agents.length === 0 ? [] : [AUCTION_CAPABILITY];
    return new Set([...everybody, ...agents.flatMap((agent) => agent.capabilities)]);
  }

  function repaired(what: string, goalId: string, taskId?: string): void {
    deps.events.sweepRepair(what, { goalId, ...(taskId === undefined ? {} : { taskId }) });
  }

  /** The item of the task that a revision comes from is not acknowledged before it is carried out; should that item be gone, it is carried out here. */
  async function revision(goal: LiveGoal): Promise<void> {
    const under = await revisions.read(goal.goalId, goal.revision ?? 0);
    if (under === undefined || deps.clock.now() - Date.parse(under.createdAt) < REVISION_MS) return;
    repaired('unfinished_revision', goal.goalId, under.cause);
    await propagation.resumeRevision(goal);
  }

  async function graph(goal: LiveGoal): Promise<void> {
    if (goal.revising !== undefined) return revision(goal);
    const tasks = await scanTasks(deps, goal.goalId);
    const records = [...tasks.values()];
    deps.events.goalSwept(goal.goalId, idleMs(goal, tasks, deps.clock.now()));
    if (
      records.length > 0 &&
      records.length >= goal.tasks.total &&
      records.every((task) => isTerminalTask(task.record))
    )
      return ended(goal, records);
    const statusOf = (taskId: string): TaskRecord['status'] | undefined => tasks.get(taskId)?.record.status;
    const startable = records.filter(({ record }) => {
      // While the graph is being written nothing of it may start.
      if (goal.status === 'planning' && record.taskId !== PLAN_TASK) return false;
      return (
        record.status === 'ready' ||
        record.status === 'in_progress' ||
        (record.status === 'pending' && dependenciesDone(record, statusOf))
      );
    });
    const live = await alive();
    for (const [capability, waiting] of Map.groupBy(startable, (task) => task.record.capability)) {
      deps.events.capabilityMissing(capability, !live.has(capability));
      const queue = await deps.queues.state(capability);
      // As long as the queue holds anything, what we miss may be in it. Without a queue the items wait in the stream for its first agent.
      if (queue === undefined || queue.waiting > 0 || queue.held > 0) continue;
      for (const task of waiting) await wake(task, tasks);
    }
  }

  /** A goal whose tasks are all terminal: whoever ended the last one did not get to end the goal. */
  async function ended(goal: LiveGoal, records: readonly Versioned<TaskRecord>[]): Promise<void> {
    const last = Math.max(...records.map(({ record }) => (isTerminalTask(record) ? Date.parse(record.finishedAt) : 0)));
    if (deps.clock.now() - last < SETTLED_MS) return;
    const known = await revisions.of(goal);
    const causes = new Set(known.map(({ cause }) => cause));
    const replaced = new Set(known.flatMap(({ replaces }) => replaces));
    const planned = records.find(({ record }) => goal.status === 'planning' && record.status === 'completed');
    const grown = records.find(({ record }) => grows(record) && !causes.has(record.taskId));
    const failed = records.find(({ record }) => record.status === 'failed' && !replaced.has(record.taskId));
    const resume = planned ?? grown ?? failed;
    repaired('unfinished_goal', goal.goalId);
    if (resume !== undefined && isTerminalTask(resume.record)) await propagation.afterEnd(resume.record, new Set());
    else await closing.finishIfSettled(goal.goalId);
  }

  async function wake(seen: Versioned<TaskRecord>, tasks: ReadonlyMap<string, Versioned<TaskRecord>>): Promise<void> {
    const { goalId, taskId } = seen.record;
    const task = await readTask(deps, goalId, taskId);
    if (
      task === undefined ||
      task.revision !== seen.revision ||
      deps.clock.now() - lastChange(task.record, tasks) < SETTLED_MS
    )
      return;
    const standing =
      task.record.status === 'in_progress'
        ? await moveTask(deps, task, { type: 'expire', at: deps.clock.now() })
        : { record: task.record };
    if (standing.record === undefined) return;
    repaired('lost_item', goalId, taskId);
    if (isTerminalTask(standing.record)) await propagation.afterEnd(standing.record, new Set());
    else await deps.store.commit([itemWrite(deps, standing.record)]);
  }

  return {
    async check(goalId, deep) {
      const goal = await readGoal(deps, goalId);
      if (goal === undefined || isTerminalGoal(goal.record)) return;
      const { record } = goal;
      if (record.stopping !== undefined) return closing.resume(goalId);
      if (deps.clock.now() >= Date.parse(record.deadline)) {
        const wallMs = Date.parse(record.deadline) - Date.parse(record.createdAt);
        return closing.stop(goalId, 'failed', {
          code: 'deadline_exceeded',
          message: `expected the goal to end within ${wallMs} ms (budget.wallMs); it did not`,
        });
      }
      await ledgers.sweep(goalId, async () => new Set((await deps.registry.list()).map(({ agentId }) => agentId)));
      if (deep) await graph(record);
      else await missingCapabilities(record);
    },
  };

  async function missingCapabilities(goal: LiveGoal): Promise<void> {
    if (goal.tasks.total > LIGHT_TASKS_MAX) return;
    const tasks = await scanTasks(deps, goal.goalId);
    deps.events.goalSwept(goal.goalId, idleMs(goal, tasks, deps.clock.now()));
    const waiting = [...tasks.values()].filter(({ record }) => record.status === 'ready');
    if (waiting.length === 0) return;
    const live = await alive();
    for (const { record } of waiting) deps.events.capabilityMissing(record.capability, !live.has(record.capability));
  }
}

/** When something last happened that should have led to a work item, ms since the epoch. */
function lastChange(task: TaskRecord, tasks: ReadonlyMap<string, Versioned<TaskRecord>>): number {
  if (task.status === 'in_progress') return Date.parse(task.startedAt);
  const ends = task.dependencies
    .map((taskId) => tasks.get(taskId)?.record)
    .map((record) => (record !== undefined && isTerminalTask(record) ? Date.parse(record.finishedAt) : 0));
  return Math.max(Date.parse(task.createdAt), ...ends);
}

/** For how long nothing of a live goal has moved; work under way counts as movement for as long as the task may take. */
function idleMs(goal: LiveGoal, tasks: ReadonlyMap<string, Versioned<TaskRecord>>, now: number): number {
  let last = Date.parse(goal.createdAt);
  for (const { record } of tasks.values()) {
    if (record.status === 'in_progress')
      last = Math.max(last, Math.min(now, Date.parse(record.startedAt) + record.timeoutMs));
    else if (isTerminalTask(record)) last = Math.max(last, Date.parse(record.finishedAt));
  }
  return Math.max(0, now - last);
}
