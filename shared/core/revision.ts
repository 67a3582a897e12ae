/**
 * How the graph of a live goal may change: tasks are added, and tasks that have not started, or failed, are replaced. What has begun is never touched,
 * ids are never used twice, and both tasks and revisions are bounded (I10). Total: every draft has an answer.
 *
 * Replaced tasks stay in the graph as records and count for nothing: neither their end nor their failure matters to the goal any more. So it does not
 * matter either when one of them starts while the revision is carried out: it wins, and ends by itself.
 */
import { type LiveGoal, TASKS_MAX } from '../protocol/goal.ts';
import { PEER_TASKS_MAX } from '../protocol/peer.ts';
import { PLAN_TASK, type Revision } from '../protocol/plan.ts';
import { PLAN_CAPABILITY } from '../protocol/subjects.ts';
import type { TaskRecord } from '../protocol/task.ts';
import { ASSIGNEE_GONE } from './peer.ts';
import { dependentsOf, type Node, sinksOf, unreachableAfter, validateGraph } from './dag.ts';

/** `started`: somebody works on it, or has worked on it. */
export type NodeState = 'waiting' | 'started' | 'completed' | 'failed' | 'cancelled';

export interface GraphNode extends Node {
  readonly state: NodeState;
}

/** Everything that was ever in a goal's graph, and what became of it. */
export interface LiveGraph {
  readonly nodes: readonly GraphNode[];
  /** Tasks that earlier revisions replaced. */
  readonly replaced: ReadonlySet<string>;
  /** Tasks whose end led to an earlier revision. */
  readonly causes: ReadonlySet<string>;
  readonly revisions: number;
}

export interface Draft<T extends Node = Node> {
  /** The task whose end leads to this revision. */
  readonly cause: string;
  readonly replaces: readonly string[];
  readonly tasks: readonly T[];
}

interface RevisionLimits {
  /** Tasks of a goal, replaced ones included. */
  readonly tasks: number;
  readonly revisions: number;
}

/** How far a goal's graph may grow from the end of `cause`. */
export function limitsOf(goal: LiveGoal, cause: Pick<TaskRecord, 'peer'> | undefined): RevisionLimits {
  return { tasks: cause?.peer === undefined ? TASKS_MAX : PEER_TASKS_MAX, revisions: goal.revisionsMax ?? 0 };
}

export type RevisionFaultCode =
  | 'too_many_revisions'
  | 'plan_too_large'
  | 'duplicate_task'
  | 'unknown_dependency'
  | 'cyclic_dependencies'
  /** A replaced task is not in the graph, or was replaced before. */
  | 'unknown_task'
  /** A replaced task has begun. */
  | 'task_started'
  /** A task that still counts waits for a replaced one. */
  | 'still_needed'
  /** There would be nothing left whose result is the goal's. */
  | 'nothing_left';

interface RevisionFault {
  readonly code: RevisionFaultCode;
  readonly message: string;
}

export type Revised =
  | {
      readonly ok: true;
      /** In an order in which they could run. */
      readonly replaces: readonly string[];
      /**
       * Tasks whose results are the goal's: those that count and that none that counts waits for, except causes, whose end became graph, and tasks that
       * can have no result any more and that some other was to use: what stands in for the other does without them.
       */
      readonly sinks: readonly string[];
      readonly total: number;
    }
  | { readonly ok: false; readonly fault: RevisionFault };

export function stateOf(task: TaskRecord): NodeState {
  switch (task.status) {
    case 'pending':
      return 'waiting';
    case 'ready':
      return task.attempt === 0 ? 'waiting' : 'started';
    case 'in_progress':
      return 'started';
    case 'completed':
    case 'failed':
    case 'cancelled':
      return task.status;
  }
}

/** Tasks that were asked to plan anew what a failure left undone. */
export function plannersOf(known: readonly Revision[]): ReadonlySet<string> {
  return new Set(
    known.flatMap(({ repairs, tasks }) => (repairs?.kind === 'replan' ? tasks.map(({ taskId }) => taskId) : [])),
  );
}

/** A goal's graph as its records tell it. */
export function liveGraph(tasks: ReadonlyMap<string, TaskRecord>, known: readonly Revision[]): LiveGraph {
  const planners = plannersOf(known);
  return {
    nodes: [...tasks.values()].map((task) => ({
      taskId: task.taskId,
      // It has seen their results. Those that its plan does without are still the goal's.
      dependencies: planners.has(task.taskId) && task.status === 'completed' ? [] : task.dependencies,
      state: stateOf(task),
    })),
    replaced: new Set(known.flatMap(({ replaces }) => replaces)),
    // The first plan became the first graph.
    causes: new Set([PLAN_TASK, ...known.map(({ cause }) => cause)]),
    revisions: known.length,
  };
}

/** The end of this task is for the graph to grow from: its goal does not end, and what waits for the task does not start, before it has. */
export function grows(task: TaskRecord): boolean {
  if (task.revisable !== true) return false;
  switch (task.peer?.role) {
    case undefined:
      return task.status === 'completed' && task.capability === PLAN_CAPABILITY;
    case 'auction':
      return task.status === 'completed';
    case 'work':
      if (task.status === 'cancelled') return task.error?.code === ASSIGNEE_GONE;
      return task.status === 'completed' && task.step !== undefined && task.step.kind !== 'answer';
    case 'part':
      return false;
  }
}

/** What the graph is after this revision, or the first thing that is wrong with it. */
export function revise(graph: LiveGraph, draft: Draft, limits: RevisionLimits): Revised {
  const refuse = (code: RevisionFaultCode, message: string): Revised => ({ ok: false, fault: { code, message } });
  if (graph.revisions >= limits.revisions)
    return refuse('too_many_revisions', `expected at most ${limits.revisions} revisions of this goal's graph`);
  const total = graph.nodes.length + draft.tasks.length;
  if (total > limits.tasks)
    return refuse('plan_too_large', `expected at most ${limits.tasks} tasks, got ${total}, replaced ones included`);

  const counting = new Map(
    graph.nodes.filter(({ taskId }) => !graph.replaced.has(taskId)).map((node) => [node.taskId, node]),
  );
  const replaced = new Map<string, GraphNode>();
  for (const taskId of draft.replaces) {
    const node = counting.get(taskId);
    if (node === undefined) return refuse('unknown_task', `task "${taskId}" is none that could be replaced`);
    if (node.state === 'started' || node.state === 'completed')
      return refuse('task_started', `task "${taskId}" is ${node.state} and cannot be replaced any more`);
    replaced.set(taskId, node);
  }
  for (const taskId of replaced.keys()) counting.delete(taskId);
  const needy = [...counting.values()].find(({ dependencies }) => dependencies.some((id) => replaced.has(id)));
  if (needy !== undefined)
    return refuse('still_needed', `task "${needy.taskId}" waits for a task that would be replaced; replace it too`);

  const fault = faultOfTasks(draft.tasks, graph.nodes, counting);
  if (fault !== undefined) return { ok: false, fault };
  const causes = new Set([...graph.causes, draft.cause]);
  const used = new Set(graph.nodes.flatMap(({ dependencies }) => dependencies));
  const lost = lostOf([...counting.values()]);
  const sinks = sinksOf([...counting.values(), ...draft.tasks]).filter(
    (taskId) => !causes.has(taskId) && !(lost.has(taskId) && used.has(taskId)),
  );
  if (sinks.length === 0) return refuse('nothing_left', 'expected at least one task whose result is that of the goal');
  return { ok: true, replaces: ordered([...replaced.values()]), sinks, total };
}

function faultOfTasks(
  tasks: readonly Node[],
  all: readonly Node[],
  counting: ReadonlyMap<string, GraphNode>,
): { readonly code: RevisionFaultCode; readonly message: string } | undefined {
  const known = new Set(all.map(({ taskId }) => taskId));
  const fresh = new Set(tasks.map(({ taskId }) => taskId));
  for (const { taskId, dependencies } of tasks) {
    if (known.has(taskId))
      return { code: 'duplicate_task', message: `expected new taskIds, got "${taskId}", which this goal has used` };
    for (const dependency of dependencies) {
      if (fresh.has(dependency)) continue;
      const state = counting.get(dependency)?.state;
      if (state === undefined || state === 'failed' || state === 'cancelled') {
        const why = state === undefined ? 'is not a task that counts' : `is ${state}`;
        return { code: 'unknown_dependency', message: `task "${taskId}" depends on "${dependency}", which ${why}` };
      }
    }
  }
  // Tasks that were there before never wait for new ones: a cycle can only be among the new.
  const graph = validateGraph(tasks.map((task) => within(task, fresh)));
  return graph.ok ? undefined : { code: graph.fault.code, message: graph.fault.message };
}

/** Tasks that ended without a result, and all that waits for one of them. */
function lostOf(nodes: readonly GraphNode[]): ReadonlySet<string> {
  const dead = nodes.filter(({ state }) => state === 'failed' || state === 'cancelled').map(({ taskId }) => taskId);
  const dependents = dependentsOf(nodes);
  return new Set(dead.flatMap((taskId) => [taskId, ...unreachableAfter(taskId, (id) => dependents.get(id) ?? [])]));
}

function ordered(nodes: readonly Node[]): readonly string[] {
  const ids = new Set(nodes.map(({ taskId }) => taskId));
  const graph = validateGraph(nodes.map((node) => within(node, ids)));
  return graph.ok ? graph.order : [...ids];
}

function within({ taskId, dependencies }: Node, ids: ReadonlySet<string>): Node {
  return { taskId, dependencies: dependencies.filter((dependency) => ids.has(dependency)) };
}

/** Edges that a revision added to tasks which were there before it: by dependency, the new tasks that wait for it. */
export function lateEdges(tasks: readonly Node[]): ReadonlyMap<string, readonly string[]> {
  const fresh = new Set(tasks.map(({ taskId }) => taskId));
  const late = new Map<string, string[]>();
  for (const { taskId, dependencies } of tasks) {
    for (const dependency of new Set(dependencies)) {
      if (fresh.has(dependency)) continue;
      const waiting = late.get(dependency);
      if (waiting === undefined) late.set(dependency, [taskId]);
      else waiting.push(taskId);
    }
  }
  return late;
}
