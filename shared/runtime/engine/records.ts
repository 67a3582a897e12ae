/** Records of the DAG bucket: bytes <-> values, and the one way to change one: read, decide by the machine, compare-and-set. */
import { isTerminalGoal, type GoalRecord } from '../../protocol/goal.ts';
import { encode, parseTrusted } from '../../protocol/codec.ts';
import { isTerminalTask, type TaskRecord } from '../../protocol/task.ts';
import type { Stored, Write } from '../../ports.ts';
import { type GoalEvent, type GoalStep, nextGoal } from '../../core/goal-machine.ts';
import { nextTask, type TaskEvent, type TaskStep } from '../../core/task-machine.ts';
import type { Deps } from './deps.ts';

export interface Versioned<T> {
  readonly record: T;
  readonly revision: number;
}

/** What reading takes. */
export type Reads = Pick<Deps, 'store' | 'subjects'>;

/**
 * Only agents can write these keys (the broker's permissions), and each wrote what its own machine gave it; a full schema check of each read would
 * cost more than the read. What a foreign hand could break is caught by the machine: a status that it does not know has no transition.
 */
function parse<T>(stored: Stored | undefined): Versioned<T> | undefined {
  return stored === undefined ? undefined : { record: parseTrusted<T>(stored.data), revision: stored.revision };
}

export async function readGoal(deps: Reads, goalId: string): Promise<Versioned<GoalRecord> | undefined> {
  return parse(await deps.store.read(deps.subjects.goalKey(goalId)));
}

export async function readTask(
  deps: Reads,
  goalId: string,
  taskId: string,
): Promise<Versioned<TaskRecord> | undefined> {
  return parse(await deps.store.read(deps.subjects.taskKey(goalId, taskId)));
}

/** Records of these tasks that exist, by taskId, as the leader knows them. */
export async function readTasks(
  deps: Reads,
  goalId: string,
  taskIds: readonly string[],
): Promise<ReadonlyMap<string, Versioned<TaskRecord>>> {
  const stored = await deps.store.readMany(taskIds.map((taskId) => deps.subjects.taskKey(goalId, taskId)));
  return byTaskId(stored.values());
}

/** All tasks of a goal, perhaps a little late: only terminal records are to be trusted. */
export async function scanTasks(deps: Reads, goalId: string): Promise<ReadonlyMap<string, Versioned<TaskRecord>>> {
  return byTaskId((await deps.store.scan([deps.subjects.tasksOfGoal(goalId)])).values());
}

/** From this many tasks on, one scan is cheaper than reads. */
const SCAN_FROM = 16;

/** Those of these tasks that are terminal, perhaps not all of them, where that is cheaper to find out together than by reading each. */
export async function scanEnded(
  deps: Reads,
  goalId: string,
  taskIds: readonly string[],
): Promise<ReadonlyMap<string, Versioned<TaskRecord>>> {
  if (taskIds.length < SCAN_FROM) return new Map();
  const keys = taskIds.map((taskId) => deps.subjects.taskKey(goalId, taskId));
  const found = byTaskId((await deps.store.scan(keys)).values());
  return new Map([...found].filter(([, { record }]) => isTerminalTask(record)));
}

/** Records of these tasks that exist, by taskId, as the leader knows them: the same as `readTasks`, cheaper if most of them are terminal. */
export async function readMostlyEnded(
  deps: Reads,
  goalId: string,
  taskIds: readonly string[],
): Promise<ReadonlyMap<string, Versioned<TaskRecord>>> {
  const ended = await scanEnded(deps, goalId, taskIds);
  const others = taskIds.filter((taskId) => !ended.has(taskId));
  return new Map([...ended, ...(await readTasks(deps, goalId, others))]);
}

function byTaskId(stored: Iterable<Stored>): ReadonlyMap<string, Versioned<TaskRecord>> {
  const found = new Map<string, Versioned<TaskRecord>>();
  for (const each of stored) {
    const task = parse<TaskRecord>(each);
    if (task !== undefined) found.set(task.record.taskId, task);
  }
  return found;
}

export function goalWrite(deps: Deps, goal: GoalRecord, expect: number): Write {
  return { subject: deps.subjects.dagSubject(deps.subjects.goalKey(goal.goalId)), data: encode(goal), expect };
}

export function taskWrite(deps: Deps, task: TaskRecord, expect: number): Write {
  return {
    subject: deps.subjects.dagSubject(deps.subjects.taskKey(task.goalId, task.taskId)),
    data: encode(task),
    expect,
  };
}

export type Moved<T> =
  | { readonly ok: true; readonly record: T; readonly revision: number }
  /** The machine refuses the event; `record` is what stands. */
  | { readonly ok: false; readonly refusal: string; readonly record: T | undefined };

/** Repeats read-decide-write until the event is written or the machine refuses it. Bounded: each conflict means that somebody else moved on (I10). */
const CONFLICTS_MAX = 64;

export async function moveGoal(
  deps: Deps,
  goalId: string,
  event: (goal: GoalRecord) => GoalEvent,
  from?: Versioned<GoalRecord>,
): Promise<Moved<GoalRecord>> {
  let standing = from ?? (await readGoal(deps, goalId));
  for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts += 1) {
    if (standing === undefined) return { ok: false, refusal: 'missing', record: undefined };
    const asked = event(standing.record);
    const step: GoalStep = nextGoal(standing.record, asked);
    if (!step.ok) return { ok: false, refusal: step.refusal, record: standing.record };
    const outcome = await deps.store.commit([goalWrite(deps, step.goal, standing.revision)]);
    const ids = { goalId, correlationId: step.goal.correlationId };
    deps.events.transition(`goal.${asked.type}`, outcome.status, ids);
    if (outcome.status === 'committed') {
      if (isTerminalGoal(step.goal)) deps.events.goalEnded(step.goal);
      return { ok: true, record: step.goal, revision: outcome.revisions[0] ?? 0 };
    }
    standing = await readGoal(deps, goalId);
  }
  throw new Error(`goal ${goalId}: ${CONFLICTS_MAX} conflicts in a row`);
}

/** When the attempt under way began, ms since the epoch; undefined when there is none. */
export function lastStartOf(task: TaskRecord): number | undefined {
  return task.status === 'in_progress' ? Date.parse(task.startedAt) : undefined;
}

export async function moveTask(deps: Deps, from: Versioned<TaskRecord>, event: TaskEvent): Promise<Moved<TaskRecord>> {
  let standing: Versioned<TaskRecord> | undefined = from;
  const { goalId, taskId } = from.record;
  for (let conflicts = 0; conflicts < CONFLICTS_MAX; conflicts += 1) {
    if (standing === undefined) return { ok: false, refusal: 'missing', record: undefined };
    const step: TaskStep = nextTask(standing.record, event);
    if (!step.ok) return { ok: false, refusal: step.refusal, record: standing.record };
    const outcome = await deps.store.commit([taskWrite(deps, step.task, standing.revision)]);
    deps.events.transition(step.transition, outcome.status, {
      goalId,
      taskId,
      attempt: step.task.attempt,
      correlationId: step.task.correlationId,
    });
    if (outcome.status === 'committed') {
      const startedAt = lastStartOf(standing.record);
      deps.events.taskMoved?.(standing.record, step.task, startedAt);
      if (isTerminalTask(step.task))
        deps.events.taskEnded(step.task, startedAt === undefined ? undefined : deps.clock.now() - startedAt);
      return { ok: true, record: step.task, revision: outcome.revisions[0] ?? 0 };
    }
    standing = await readTask(deps, goalId, taskId);
  }
  throw new Error(`task ${goalId}/${taskId}: ${CONFLICTS_MAX} conflicts in a row`);
}
