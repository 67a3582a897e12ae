/**
 * Graphs that grow from the end of a task: a plan that was made while the goal ran becomes a revision of its graph. Whoever ended the task does it,
 * before its work item is acknowledged, so whoever dies is followed. Revisions of one goal come one after the other: who finds one that another agent
 * began carries it out first, and then looks again.
 */
import { tasksOfPlan } from '../../core/intake.ts';
import { doneBefore, growthOfPeer } from '../../core/peer.ts';
import { afterRefusal, endOf, type FailedTask, repairOf } from '../../core/repair.ts';
import { type Draft, lateEdges, limitsOf, liveGraph, revise } from '../../core/revision.ts';
import { encode, fit } from '../../protocol/codec.ts';
import { type ErrorInfo, isTerminalGoal, type LiveGoal } from '../../protocol/goal.ts';
import { timestamp } from '../../protocol/ids.ts';
import { Award } from '../../protocol/peer.ts';
import { type GraphTask, Plan, type Revision } from '../../protocol/plan.ts';
import { type EndedTask, isTerminalTask, type TaskRecord } from '../../protocol/task.ts';
import type { Closing } from './closing.ts';
import type { Deps } from './deps.ts';
import type { Joins } from './joins.ts';
import { moveGoal, moveTask, readGoal, readTask, readTasks, type Versioned } from './records.ts';
import type { Revisions } from './revisions.ts';
import { RECORD_BYTES_MAX, resolved } from './values.ts';

/** `led`: a revision that this failure led to stands and is carried out. `replaced`: the task counts no more. `none`: the failure is the goal's. */
export type Mended = 'led' | 'replaced' | 'over' | 'none';

export interface Growth {
  /** The revision that this task's end leads to stands and is carried out, or the goal is over, or stops because there can be none. */
  after(task: EndedTask): Promise<void>;
  /** The same for what can be done about a failure. */
  mend(task: FailedTask): Promise<Mended>;
  /** Goes on with the revision under way. */
  resume(goal: LiveGoal): Promise<void>;
}

interface Parts {
  readonly deps: Deps;
  readonly joins: Joins;
  readonly closing: Closing;
  readonly revisions: Revisions;
  readonly predict: (tasks: readonly GraphTask[]) => number;
  /** Sends the work items of tasks that may start. */
  readonly release: (tasks: readonly Versioned<TaskRecord>[]) => Promise<void>;
}

type Proposal =
  | { readonly ok: true; readonly draft: Draft<GraphTask>; readonly reason?: string }
  | { readonly ok: false; readonly error: ErrorInfo };

/** Why there can be no such revision; `too_many`: the graph may not grow any more. */
interface Fault {
  readonly kind: 'too_many' | 'unusable';
  readonly message: string;
}

/** Others may each bring a revision in between: so often it is looked again (I10). */
const LOOKS_MAX = 512;

export function growthOf({ deps, joins, closing, revisions, predict, release }: Parts): Growth {
  function proposalOf(goal: LiveGoal, task: EndedTask): Promise<Proposal> {
    return task.peer === undefined ? byPlan(goal, task) : byPeer(goal, task);
  }

  async function byPlan(goal: LiveGoal, task: EndedTask): Promise<Proposal> {
    const plan = fit(Plan, task.status === 'completed' ? await resolved(deps, task.result) : undefined);
    if (!plan.ok) return unplannable(task, plan.message);
    const tasks = tasksOfPlan(plan.value, goal.input, true);
    if (!tasks.ok) return unplannable(task, tasks.error.message);
    const { replaces = [], reason } = plan.value;
    const draft = { cause: task.taskId, replaces, tasks: tasks.tasks };
    return { ok: true, draft, ...(reason === undefined ? {} : { reason }) };
  }

  async function byPeer(goal: LiveGoal, task: EndedTask): Promise<Proposal> {
    const award = task.status === 'completed' ? fit(Award, await resolved(deps, task.result)) : undefined;
    const before = await readTasks(deps, goal.goalId, doneBefore(task));
    const trail = [...before.values()].map(({ record }) => record);
    const growth = growthOfPeer(task, goal, award?.ok === true ? award.value : undefined, trail);
    if (growth === undefined) return unplannable(task, 'its result is no award');
    if (!growth.ok) return growth;
    return { ok: true, draft: { cause: task.taskId, replaces: growth.replaces, tasks: growth.tasks } };
  }

  async function tasksOf(goal: LiveGoal): Promise<ReadonlyMap<string, TaskRecord>> {
    const tasks = await closing.allTasks(goal);
    // Its birth was broken off, and its receipt comes round: a revision of a part would be wrong for the whole.
    if (tasks.size < goal.tasks.total) throw new Error(`tasks of goal ${goal.goalId} are not written yet`);
    return new Map([...tasks].map(([taskId, { record }]) => [taskId, record]));
  }

  /** Persists the next revision, unless somebody else persisted theirs; undefined: it was tried, look again. Otherwise why there can be none. */
  async function persist(
    goal: LiveGoal,
    known: readonly Revision[],
    tasks: ReadonlyMap<string, TaskRecord>,
    draft: Draft<GraphTask>,
    because: Pick<Revision, 'reason' | 'repairs'>,
  ): Promise<Fault | undefined> {
    const revised = revise(liveGraph(tasks, known), draft, limitsOf(goal, tasks.get(draft.cause)));
    if (!revised.ok) {
      const { code, message } = revised.fault;
      return { kind: code === 'plan_too_large' || code === 'too_many_revisions' ? 'too_many' : 'unusable', message };
    }
    const revision: Revision = {
      goalId: goal.goalId,
      revision: known.length + 1,
      cause: draft.cause,
      replaces: [...revised.replaces],
      tasks: [...draft.tasks],
      sinks: [...revised.sinks],
      total: revised.total,
      predicted: predict(draft.tasks),
      ...because,
      createdAt: timestamp(deps.clock.now()),
    };
    const { length } = encode(revision);
    if (length > RECORD_BYTES_MAX) return tooLarge(length);
    if (await revisions.create(revision)) deps.events.goalRevised(goal, revision);
    return undefined;
  }

  async function propose(goal: LiveGoal, known: readonly Revision[], task: EndedTask): Promise<ErrorInfo | undefined> {
    const proposal = await proposalOf(goal, task);
    if (!proposal.ok) return proposal.error;
    const { draft, reason } = proposal;
    const because = reason === undefined ? {} : { reason };
    const fault = await persist(goal, known, await tasksOf(goal), draft, because);
    return fault === undefined ? undefined : refusedBy(task, fault);
  }

  async function begin({ goalId, revision, total, sinks, predicted, repairs }: Revision): Promise<void> {
    const replans = repairs?.kind === 'replan' ? { replans: repairs.number } : {};
    await moveGoal(deps, goalId, () => ({ type: 'revise', revision, total, sinks, predicted, ...replans }));
  }

  async function carryOut(goal: LiveGoal): Promise<void> {
    const n = goal.revision ?? 0;
    const revision = await revisions.read(goal.goalId, n);
    if (revision === undefined) throw new Error(`revision ${n} of goal ${goal.goalId} cannot be read`);
    await revisions.carryOut(goal, revision);
    if (goal.stopping === undefined) await releaseAll(goal, revision);
    await moveGoal(deps, goal.goalId, () => ({ type: 'revised', revision: n }));
  }

  /**
   * New tasks that wait for none of the new ones. A dependency that ended before the goal showed this revision told nobody, so it is looked at here; one
   * that ends later finds the revision (`lateEdges`).
   */
  async function releaseAll(goal: LiveGoal, { goalId, tasks }: Revision): Promise<void> {
    const fresh = new Set(tasks.map(({ taskId }) => taskId));
    const roots = tasks.filter(({ dependencies }) => !dependencies.some((taskId) => fresh.has(taskId)));
    const free = roots.filter(({ dependencies }) => dependencies.length === 0);
    await release([...(await readTasks(deps, goalId, idsOf(free))).values()].filter(isUnborn));
    const bound = roots.filter(({ dependencies }) => dependencies.length > 0);
    await Promise.all(
      bound.map(({ taskId, dependencies }) =>
        joins.whenComplete(goalId, taskId, dependencies, async () => {
          const task = await readTask(deps, goalId, taskId);
          if (task !== undefined && isUnborn(task)) await release([task]);
        }),
      ),
    );
    await giveUp(goal, tasks);
  }

  /**
   * A dependency may have failed before the goal showed this revision: then nobody else gives up what waits for it (I5). What can do without it is
   * replaced, and so not given up: the revision that says so stands first.
   */
  async function giveUp(goal: LiveGoal, tasks: readonly GraphTask[]): Promise<void> {
    const { goalId } = goal;
    const olds = await readTasks(deps, goalId, [...lateEdges(tasks).keys()]);
    const dead = [...olds.values()].map(({ record }) => record).filter(isDead);
    if (dead.length === 0) return;
    for (const each of dead) if (each.status === 'failed') await repair(goal, await revisions.of(goal), each);
    const lost = new Set(dead.map(({ taskId }) => taskId));
    // Each round finds what waits for those of the round before; the tasks may stand in any order.
    for (let before = -1; lost.size > before; ) {
      before = lost.size;
      for (const { taskId, dependencies } of tasks) if (dependencies.some((id) => lost.has(id))) lost.add(taskId);
    }
    const error = { code: 'dependency_failed', message: 'a task on which it depends ended without a result' };
    for (const task of (
      await readTasks(
        deps,
        goalId,
        idsOf(tasks).filter((taskId) => lost.has(taskId)),
      )
    ).values())
      await moveTask(deps, task, { type: 'cancel', error, at: deps.clock.now() });
  }

  /**
   * Looks at the goal, and carries out what others began, until `next` is answered for a graph on which nobody else is at work. It gives undefined to be
   * asked again.
   */
  async function settled<T>(
    goalId: string,
    next: (goal: LiveGoal, known: readonly Revision[]) => Promise<T | undefined>,
  ): Promise<T | 'over'> {
    for (let looks = 0; looks < LOOKS_MAX; looks += 1) {
      const goal = (await readGoal(deps, goalId))?.record;
      if (goal === undefined || isTerminalGoal(goal)) return 'over';
      if (goal.stopping !== undefined) {
        await closing.resume(goalId);
        return 'over';
      }
      if (goal.revising !== undefined) {
        await carryOut(goal);
        continue;
      }
      const known = await revisions.of(goal);
      const following = await revisions.read(goalId, known.length + 1);
      if (following !== undefined) {
        await begin(following);
        continue;
      }
      const answer = await next(goal, known);
      if (answer !== undefined) return answer;
    }
    throw new Error(`goal ${goalId}: no end to its revisions after ${LOOKS_MAX} looks`);
  }

  /** Persists what can be done about this failure, unless somebody else persisted another revision; undefined: it was tried, look again. */
  async function repair(goal: LiveGoal, known: readonly Revision[], failed: FailedTask): Promise<Mended | undefined> {
    if (known.some(({ cause }) => cause === failed.taskId)) return 'led';
    if (known.some(({ replaces }) => replaces.includes(failed.taskId))) return 'replaced';
    const tasks = await tasksOf(goal);
    const found = repairOf({ goal, tasks, revisions: known }, failed);
    if (found === undefined) return 'none';
    const { draft, repairs } = found;
    // A graph that may not be revised any more, or that would be too large, cannot be mended.
    return (await persist(goal, known, tasks, draft, { repairs })) === undefined ? undefined : 'none';
  }

  return {
    resume: carryOut,
    async after(task) {
      const { goalId, taskId } = task;
      await settled(goalId, async (goal, known) => {
        if (known.some(({ cause }) => cause === taskId)) return 'led';
        const refusal = await propose(goal, known, task);
        if (refusal === undefined) return undefined;
        const tasks = await tasksOf(goal);
        const instead = afterRefusal({ goal, tasks, revisions: known }, task, refusal.message);
        if (instead !== undefined) {
          const { draft, ...because } = instead;
          if ((await persist(goal, known, tasks, draft, because)) === undefined) return undefined;
        }
        await closing.stop(goalId, 'failed', endOf(known, refusal));
        return 'refused';
      });
    },
    mend: (task) => settled(task.goalId, (goal, known) => repair(goal, known, task)),
  };
}

function idsOf(tasks: readonly GraphTask[]): string[] {
  return tasks.map(({ taskId }) => taskId);
}

/** Nobody has taken it up: its work item is due. A second one is harmless. */
function isUnborn({ record }: Versioned<TaskRecord>): boolean {
  return record.status === 'pending' || (record.status === 'ready' && record.attempt === 0);
}

function isDead(task: TaskRecord): task is Exclude<EndedTask, { status: 'completed' }> {
  return isTerminalTask(task) && task.status !== 'completed';
}

function unplannable({ taskId }: EndedTask, why: string): Proposal {
  return {
    ok: false,
    error: { code: 'unplannable', message: `the plan of task ${taskId} cannot be carried out: ${why}` },
  };
}

/** A record that no broker takes would be tried for ever. Each new task that waits for none of the new ones carries the goal's input. */
function tooLarge(length: number): Fault {
  const message = `expected new tasks of at most ${RECORD_BYTES_MAX} bytes of JSON together, got ${length}; put the goal's input into the object bucket and submit {"$blob": "<name>"}`;
  return { kind: 'unusable', message };
}

/** A graph that grows by itself reaches its bounds by going on and on; a plan that cannot be carried out is another matter. */
function refusedBy(task: EndedTask, fault: Fault): ErrorInfo {
  if (task.peer === undefined || fault.kind === 'unusable')
    return {
      code: 'unplannable',
      message: `what task ${task.taskId} leads to cannot be carried out: ${fault.message}`,
    };
  return {
    code: 'too_many_tasks',
    message: `task ${task.taskId} leads to more than a goal may grow: ${fault.message}`,
  };
}
