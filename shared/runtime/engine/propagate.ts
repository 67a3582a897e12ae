/**
 * What the end of a task means for the rest of its goal. The agent that ended the task does it; nobody else has to be alive. Everything here may be
 * repeated: the work item is acknowledged only afterwards, so a crash in between brings another agent here with the same terminal record.
 */
import { mayStart } from '../../core/dag.ts';
import { NOTHING_SPENT, nextGoal, resultOf } from '../../core/goal-machine.ts';
import { grows } from '../../core/revision.ts';
import { type GoalRecord, isTerminalGoal, type LiveGoal } from '../../protocol/goal.ts';
import type { Json } from '../../protocol/ids.ts';
import { PLAN_TASK } from '../../protocol/plan.ts';
import type { CompletedTask, EndedTask, TaskCost, TaskRecord } from '../../protocol/task.ts';
import type { Stored, Write } from '../../ports.ts';
import type { Closing } from './closing.ts';
import type { Deps } from './deps.ts';
import { failingOf } from './failing.ts';
import { growthOf } from './growth.ts';
import { itemWrite, nearOf, type readyMarks } from './items.ts';
import type { Joins } from './joins.ts';
import type { Materializer } from './materialize.ts';
import { type FixedGraph, fixedGraph, type Memory } from './memory.ts';
import { goalWrite, readGoal, readTask, readTasks, scanTasks, type Versioned } from './records.ts';
import type { Revisions } from './revisions.ts';

function guess(taskId: string, born: ReadonlyMap<string, Versioned<TaskRecord>>): [string, Versioned<TaskRecord>][] {
  const task = born.get(taskId);
  return task === undefined ? [] : [[taskId, task]];
}

function isFree(cost: TaskCost): boolean {
  return cost.usd === 0 && cost.messages === 0 && cost.inputTokens === 0 && cost.outputTokens === 0;
}

/** A link of a chain that one agent may work on task by task: it waits for `task` alone, nothing else does, and it is the same kind of work for anybody. */
function follows(task: EndedTask, next: TaskRecord): boolean {
  return (
    task.dependents.length === 1 &&
    next.dependencies.length === 1 &&
    next.capability === task.capability &&
    next.assignee === undefined
  );
}

/** Read ahead while the task runs, so that its end needs no further read. */
export interface Ahead {
  readonly dependents: ReadonlyMap<string, Versioned<TaskRecord>>;
  /** Only for a sink. */
  readonly goal: Versioned<GoalRecord> | undefined;
  readonly ledger: Stored | undefined;
}

/** What goes into the same transition as the task's completion. */
export interface Together {
  readonly writes: readonly Write[];
  /** The dependent that each write releases, or the goal that it ends. */
  readonly released: readonly (Versioned<TaskRecord> | GoalRecord)[];
  /** The dependent that needs no item, because the same agent goes on with it on the item that it has. */
  readonly next: Versioned<TaskRecord> | undefined;
}

export interface Propagation {
  readAhead(task: TaskRecord): Promise<Ahead>;
  /** `goesOn`: the agent may go on with a dependent itself. */
  together(task: CompletedTask, ahead: Ahead, goesOn: boolean): Together;
  /** The dependent that whoever completed `task` may have gone on with, as it stands. */
  nextOf(task: EndedTask): Promise<Versioned<TaskRecord> | undefined>;
  /** Nothing was spent before `next` if nothing was before `task`; to be called once `task` is completed. */
  goOn(task: CompletedTask, next: TaskRecord): void;
  /** `done`: dependents (and `goal` for the goal itself) that the completion's own transition already took care of. */
  afterEnd(task: EndedTask, done: ReadonlySet<string>, ahead?: Ahead): Promise<void>;
  /** Says what `commit` says; looks at what waits for tasks of this goal wait for it, for it will ask for one too. */
  gathering<T>(goalId: string, commit: Promise<T>): Promise<T>;
  /** Goes on with the revision that the goal is in the middle of. */
  resumeRevision(goal: LiveGoal): Promise<void>;
}

/** Dependents that are read one by one; more of them are read by one scan, after the task. */
const AHEAD_MAX = 16;
const ITEMS_PER_TRANSITION = 250;
const HINT_RESULT_BYTES_MAX = 16 * 1024;
/** In `done`: the goal's end was written together with the task's. */
export const GOAL_ENDED = '#goal';

interface Parts {
  readonly deps: Deps;
  readonly memory: Memory;
  readonly joins: Joins;
  readonly closing: Closing;
  readonly marks: ReturnType<typeof readyMarks>;
  readonly materializer: Materializer;
  readonly revisions: Revisions;
}

export function propagationOf(parts: Parts): Propagation {
  const { deps, memory, joins, closing, marks, materializer, revisions } = parts;
  const growth = growthOf({
    deps,
    joins,
    closing,
    revisions,
    predict: (tasks) => materializer.predict(tasks, 'any'),
    release,
  });
  const failing = failingOf({ deps, closing, revisions, mend: growth.mend, endIfLast });
  const reading = new Map<string, Promise<ReadonlyMap<string, Versioned<TaskRecord>>>>();

  function hintResults(goalId: string, dependencies: readonly string[]): Record<string, Json> | undefined {
    const { results } = memory.of(goalId);
    if (dependencies.length > AHEAD_MAX || !dependencies.every((taskId) => results.has(taskId))) return undefined;
    return Object.fromEntries(dependencies.map((taskId) => [taskId, results.get(taskId) ?? null]));
  }

  /** Tasks that wait for several, whose edges this process knows: their (long) records need not be read again by each of their dependencies. */
  function learn(found: ReadonlyMap<string, Versioned<TaskRecord>>): void {
    for (const { record } of found.values()) {
      if (record.dependencies.length > 1) memory.of(record.goalId).joins.set(record.taskId, record.dependencies);
    }
  }

  /** Tasks that start together and lead to the same join read it once. */
  function readOnce(goalId: string, taskIds: readonly string[]): Promise<ReadonlyMap<string, Versioned<TaskRecord>>> {
    const key = `${goalId}.${taskIds.join('.')}`;
    const under = reading.get(key);
    if (under !== undefined) return under;
    const read = readTasks(deps, goalId, taskIds).finally(() => reading.delete(key));
    reading.set(key, read);
    return read;
  }

  async function dependentsOf(
    task: EndedTask,
    taskIds: readonly string[],
    ahead: Ahead | undefined,
  ): Promise<ReadonlyMap<string, Versioned<TaskRecord>>> {
    const known = new Map(ahead?.dependents ?? []);
    const { born } = memory.of(task.goalId);
    for (const taskId of taskIds) {
      const guessed = known.has(taskId) ? undefined : born.get(taskId);
      if (guessed !== undefined) known.set(taskId, guessed);
    }
    const missing = taskIds.filter((taskId) => !known.has(taskId));
    const scanned =
      missing.length > AHEAD_MAX * 4 ? await scanTasks(deps, task.goalId) : new Map<string, Versioned<TaskRecord>>();
    learn(scanned);
    for (const taskId of missing) {
      const found = scanned.get(taskId);
      if (found !== undefined) known.set(taskId, found);
    }
    const unread = missing.filter((taskId) => !known.has(taskId));
    for (const [taskId, found] of await readTasks(deps, task.goalId, unread)) known.set(taskId, found);
    const absent = taskIds.find((taskId) => !known.has(taskId));
    // The graph is written before its items, except when the agent that wrote it died half-way; its receipt comes round and completes it.
    if (absent !== undefined) throw new Error(`task ${absent} of goal ${task.goalId} is not written yet`);
    learn(known);
    return known;
  }

  async function release(tasks: readonly Versioned<TaskRecord>[]): Promise<void> {
    for (let start = 0; start < tasks.length; start += ITEMS_PER_TRANSITION) {
      const chunk = tasks.slice(start, start + ITEMS_PER_TRANSITION);
      const writes = chunk.map((task) => {
        const results = hintResults(task.record.goalId, task.record.dependencies);
        return itemWrite(deps, task.record, results === undefined ? undefined : { revision: task.revision, results });
      });
      const outcome = await deps.store.commit(writes);
      if (outcome.status !== 'committed') continue;
      for (const [index, task] of chunk.entries()) marks.released(task, outcome.revisions[index] ?? 0);
    }
  }

  async function onCompleted(task: CompletedTask, done: ReadonlySet<string>, ahead: Ahead | undefined): Promise<void> {
    memory.remember(task);
    if (task.taskId === PLAN_TASK && task.dependencies.length === 0) {
      const goal = await readGoal(deps, task.goalId);
      // Running, and nobody read ahead: whoever materialized the plan died before the last item was out.
      const resumed = goal?.record.status === 'running' && ahead === undefined;
      if (goal !== undefined && (goal.record.status === 'planning' || resumed))
        return materializer.fromPlan(goal, task);
    }
    if (task.revisable === true) {
      if (grows(task)) await growth.after(task);
      await onRevisable(task);
    }
    if (task.dependents.length === 0) return done.has(GOAL_ENDED) ? undefined : endIfLast(task.goalId);
    const open = task.dependents.filter((taskId) => !done.has(taskId));
    if (open.length === 0 && task.continues !== true) return undefined;
    const { joins: edges } = memory.of(task.goalId);
    const waiting = open.filter((taskId) => edges.has(taskId) && ahead?.dependents.has(taskId) !== true);
    const unknown = open.filter((taskId) => !waiting.includes(taskId));
    await Promise.all(waiting.map((taskId) => releaseJoin(task, taskId, edges.get(taskId) ?? [])));
    const dependents = await dependentsOf(task, unknown, ahead);
    const alone: Versioned<TaskRecord>[] = [];
    await Promise.all(
      unknown.map(async (taskId) => {
        const dependent = dependents.get(taskId);
        if (dependent === undefined) return;
        const { status, dependencies } = dependent.record;
        if (status !== 'pending') return;
        if (dependencies.length === 1) alone.push(dependent);
        // I2: a task that waits for several is released only when the leader says that each of them is completed.
        else await joins.whenComplete(task.goalId, taskId, dependencies, () => release([dependent]));
      }),
    );
    await release(alone);
    if (task.continues === true && (await givenUp(task))) await closing.finishIfSettled(task.goalId);
  }

  /** What revisions made of this task since it was written: the only sink that is left, perhaps, or one that new tasks wait for. */
  async function onRevisable(task: CompletedTask): Promise<void> {
    const { goalId, taskId, dependents } = task;
    const goal = (await readGoal(deps, goalId))?.record;
    if (goal === undefined || isTerminalGoal(goal) || goal.revision === undefined) return;
    const late = (await revisions.lateEdges(goal)).get(taskId) ?? [];
    // One that is not written yet is released by whoever writes it: it looks at this task afterwards.
    for (const { record } of (await readTasks(deps, goalId, late)).values()) {
      if (record.status !== 'pending') continue;
      await joins.whenComplete(goalId, record.taskId, record.dependencies, () => releaseRead(goalId, record.taskId));
    }
    // While the graph grew from this task no sink could end the goal.
    if (dependents.length > 0 && (grows(task) || goal.sinks.includes(taskId))) await endIfLast(goalId);
  }

  async function releaseRead(goalId: string, taskId: string): Promise<void> {
    const task = await readTask(deps, goalId, taskId);
    if (task?.record.status === 'pending') await release([task]);
  }

  /** Under `continue` a task may end after a task that waited for it was given up: then nobody else notices that the goal is settled. */
  async function givenUp(task: CompletedTask): Promise<boolean> {
    const dependents = await readTasks(deps, task.goalId, task.dependents);
    return [...dependents.values()].some(({ record }) => record.status === 'cancelled');
  }

  /** A task that waits for several and whose edges are known: its record is read only when it may start. */
  async function releaseJoin(task: CompletedTask, taskId: string, dependencies: readonly string[]): Promise<void> {
    await joins.whenComplete(task.goalId, taskId, dependencies, async () => {
      const join = await readTask(deps, task.goalId, taskId);
      if (join?.record.status === 'pending') await release([join]);
      else if (join?.record.status === 'cancelled') await closing.finishIfSettled(task.goalId);
    });
  }

  async function endIfLast(goalId: string): Promise<void> {
    const { graph } = memory.of(goalId);
    if (graph !== undefined) return endGraph(goalId, graph);
    const goal = await readGoal(deps, goalId);
    if (goal === undefined || goal.record.status === 'rejected') return;
    if (isTerminalGoal(goal.record)) return closing.announce(goal.record);
    // While it is planned its sinks are not yet those of the plan.
    if (goal.record.stopping !== undefined || goal.record.status === 'planning') return;
    if (goal.record.revisionsMax !== undefined) return endIfRevised(goal.record);
    memory.of(goalId).graph = fixedGraph(goal.record);
    await endGraph(goalId, goal.record, goal);
  }

  /** Ends a goal that no revision changes if all its sinks are completed, or, under `continue`, everything has ended one way or another. */
  async function endGraph(
    goalId: string,
    { sinks, onTaskFailure }: FixedGraph,
    known?: Versioned<GoalRecord>,
  ): Promise<void> {
    const complete = await joins.whenComplete(goalId, GOAL_ENDED, sinks, async () => {
      const goal = known ?? (await readGoal(deps, goalId));
      // One that is stopping is ended by whoever stops it.
      if (goal !== undefined && !('stopping' in goal.record)) await closing.finishCompleted(goal);
    });
    if (!complete && onTaskFailure === 'continue') await closing.finishIfSettled(goalId);
  }

  /** Sinks change with each revision, and none ends the goal while one is carried out: whoever carries it out looks here afterwards. */
  async function endIfRevised({ goalId, revising, revision = 0, sinks, onTaskFailure }: LiveGoal): Promise<void> {
    if (revising !== undefined) return;
    const complete = await joins.complete(goalId, `${GOAL_ENDED}${revision}`, sinks);
    if (complete || onTaskFailure === 'continue') await closing.finishIfSettled(goalId);
  }

  return {
    resumeRevision: (goal) => growth.resume(goal),
    async readAhead(task) {
      const known = memory.of(task.goalId);
      const { joins: edges, born, goal: bornGoal, free } = known;
      const unknown = task.dependents.filter((taskId) => !edges.has(taskId));
      const remembered = unknown.every((taskId) => born.has(taskId));
      const few = unknown.length <= AHEAD_MAX;
      // One sink of several cannot be what the goal's end waits for alone.
      const sink = task.dependents.length === 0 && known.graph === undefined;
      const [dependents, goal, ledger] = await Promise.all([
        few && !remembered ? readOnce(task.goalId, unknown) : new Map<string, Versioned<TaskRecord>>(),
        sink ? (bornGoal ?? readGoal(deps, task.goalId)) : undefined,
        // By the leader's word, except at the end of a chain of first attempts that cost nothing: only what was claimed can have spent, and a second
        // claim counts as a second attempt. Any other way here knows nothing of other branches, nor of attempts that died.
        sink && !(free.has(task.taskId) && task.attempt === 0)
          ? deps.store.read(deps.subjects.ledgerKey(task.goalId))
          : undefined,
      ]);
      if (goal !== undefined && goal !== bornGoal) known.graph = fixedGraph(goal.record);
      const found = few && remembered ? new Map(unknown.flatMap((taskId) => guess(taskId, born))) : dependents;
      learn(found);
      return { dependents: found, goal, ledger };
    },
    async nextOf(task) {
      const [taskId] = task.dependents;
      if (task.status !== 'completed' || taskId === undefined || task.dependents.length > 1) return undefined;
      const next = await readTask(deps, task.goalId, taskId);
      return next !== undefined && follows(task, next.record) ? next : undefined;
    },
    goOn(task, next) {
      const { free } = memory.of(task.goalId);
      if (free.has(task.taskId) && task.attempt === 1 && isFree(task.cost)) free.add(next.taskId);
    },
    together(task, ahead, goesOn) {
      // First the graph grows: it may do without what waits for this task.
      if (grows(task)) return { writes: [], released: [], next: undefined };
      const writes: Write[] = [];
      let next: Versioned<TaskRecord> | undefined;
      const released: (Versioned<TaskRecord> | GoalRecord)[] = [];
      const small = JSON.stringify(task.result).length <= HINT_RESULT_BYTES_MAX;
      const known = memory.of(task.goalId);
      const isThis = (taskId: string): boolean => taskId === task.taskId;
      for (const dependent of ahead.dependents.values()) {
        // I2: in the same transition only what waits for this task alone.
        if (dependent.record.status !== 'pending' || !mayStart(dependent.record.dependencies, isThis)) continue;
        if (goesOn && follows(task, dependent.record)) {
          next = dependent;
          continue;
        }
        // Not remembered as completed before it is: this very write may fail, and others decide by what this process remembers (I2).
        const unspent = known.free.has(task.taskId) && task.attempt === 1 && isFree(task.cost);
        const whole = nearOf(known, dependent.record, unspent);
        const near = whole && { ...whole, tasks: whole.tasks.filter(({ record }) => record.taskId !== task.taskId) };
        const hint = small
          ? {
              revision: dependent.revision,
              results: { [task.taskId]: task.result },
              ...(near === undefined ? {} : { near }),
            }
          : undefined;
        writes.push(itemWrite(deps, dependent.record, hint));
        released.push(dependent);
      }
      const goal = ahead.goal;
      const onlySink =
        goal?.record.status === 'running' &&
        goal.record.revisionsMax === undefined &&
        goal.record.sinks.length === 1 &&
        goal.record.sinks[0] === task.taskId;
      // Every other task is an ancestor of the only sink, so all of them are completed; and nothing of the goal was ever charged: not before this
      // task began, not by it, and not by an earlier attempt at it that may live on.
      const uncharged = ahead.ledger === undefined && !known.charged && task.attempt <= 1 && isFree(task.cost);
      if (goal !== undefined && onlySink && uncharged) {
        const { total } = goal.record.tasks;
        const counts = { total, completed: total, failed: 0, cancelled: 0 };
        const result = resultOf(goal.record.sinks, () => task.result);
        const step = nextGoal(goal.record, {
          type: 'finish',
          counts,
          result,
          spending: NOTHING_SPENT,
          at: deps.clock.now(),
        });
        if (step.ok && step.goal.status === 'completed') {
          writes.push(goalWrite(deps, step.goal, goal.revision));
          released.push(step.goal);
        }
      }
      return { writes, released, next };
    },
    gathering: joins.gathering,
    async afterEnd(task, done, ahead) {
      if (task.status === 'completed') await onCompleted(task, done, ahead);
      else if (task.status === 'failed') await failing(task);
      else if (grows(task)) await growth.after(task);
    },
  };
}
