/**
 * What happened between two revisions of a record, told from the records alone: the name of the transition, or undefined where no transition of the
 * machines leads from the one to the other. The reader of a log uses it to tell the story, its verifier to find a revision that is missing (I9).
 */
import type { GoalRecord } from '../protocol/goal.ts';
import { isTerminalGoal } from '../protocol/goal.ts';
import type { Ledger } from '../protocol/ledger.ts';
import type { TaskRecord } from '../protocol/task.ts';
import { NANO_PER_USD } from './cost.ts';
import type { TransitionName } from './task-machine.ts';

/** `takeover`: a claim of a task whose holder lost its lease. */
export type TaskChange = Exclude<TransitionName, 'expire' | 'reject'> | 'create' | 'takeover';
/** `revise`: a revision of the graph begins to be carried out, `revised`: it is. */
export type GoalChange =
  | 'accept'
  | 'reject'
  | 'declare'
  | 'materialize'
  | 'revise'
  | 'revised'
  | 'progress'
  | 'stop'
  | 'finish';

/** All of a task's record that its next change depends on; whoever reads a whole log keeps no more of each task. */
export interface TaskState {
  readonly status: TaskRecord['status'];
  readonly attempt: number;
  readonly agentId: string | undefined;
  readonly reworks: number;
  readonly candidate: boolean;
}

export interface GoalState {
  readonly status: GoalRecord['status'];
  readonly stopping: boolean;
  readonly total: number;
  readonly revision: number;
  readonly revising: boolean;
}

export function taskState(task: TaskRecord): TaskState {
  return {
    status: task.status,
    attempt: task.attempt,
    agentId: 'agentId' in task ? task.agentId : undefined,
    reworks: task.reworks ?? 0,
    candidate: 'candidate' in task && task.candidate !== undefined,
  };
}

export function goalState(goal: GoalRecord): GoalState {
  return {
    status: goal.status,
    stopping: 'stopping' in goal && goal.stopping !== undefined,
    total: goal.tasks.total,
    revision: ('revision' in goal ? goal.revision : undefined) ?? 0,
    revising: 'revising' in goal && goal.revising === true,
  };
}

/** `before` is undefined for the first revision. */
export function taskChange(before: TaskState | undefined, task: TaskRecord): TaskChange | undefined {
  const after = taskState(task);
  if (before === undefined)
    return (after.status === 'pending' || after.status === 'ready') && after.attempt === 0 ? 'create' : undefined;
  switch (before.status) {
    case 'completed':
    case 'failed':
    case 'cancelled':
      // I1: terminal records have no transitions.
      return undefined;
    case 'pending':
    case 'ready':
      return ofWaiting(before, after, task);
    case 'in_progress':
      return ofHeld(before, after, task);
  }
}

/** Nobody holds the task: whatever is done to it but waiting and cancelling is an attempt of its own. */
function ofWaiting(before: TaskState, after: TaskState, task: TaskRecord): TaskChange | undefined {
  const attempts = after.attempt - before.attempt;
  switch (after.status) {
    case 'pending':
      return undefined;
    case 'ready':
      if (attempts === 1) return 'retry';
      return before.status === 'pending' && attempts === 0 ? 'release' : undefined;
    case 'in_progress':
      if (attempts !== 1) return undefined;
      if (after.reworks > before.reworks) return 'rework';
      return after.candidate && !before.candidate ? 'propose' : 'claim';
    case 'completed':
      return attempts === 1 ? 'complete' : undefined;
    case 'failed':
      return attempts === 1 ? 'fail' : undefined;
    case 'cancelled':
      if (attempts !== 0) return undefined;
      // What somebody had begun is never replaced; at the goal's end it may be cancelled for the same reason.
      return after.attempt === 0 && 'error' in task && task.error?.code === 'replaced' ? 'replace' : 'cancel';
  }
}

function ofHeld(before: TaskState, after: TaskState, task: TaskRecord): TaskChange | undefined {
  const attempts = after.attempt - before.attempt;
  const sameHolder = after.agentId === before.agentId;
  if (after.status === 'in_progress' && attempts === 1) return 'takeover';
  if (attempts !== 0) return undefined;
  switch (after.status) {
    case 'pending':
      return undefined;
    case 'ready':
      return 'retry';
    case 'in_progress':
      // I3: only the holder goes on.
      if (!sameHolder) return undefined;
      if (after.reworks > before.reworks) return 'rework';
      return after.candidate ? 'propose' : undefined;
    case 'completed':
      return sameHolder ? 'complete' : undefined;
    case 'failed':
      if ('error' in task && task.error?.code === 'lease_expired') return 'exhaust';
      return sameHolder ? 'fail' : undefined;
    case 'cancelled':
      return 'cancel';
  }
}

export function goalChange(before: GoalState | undefined, goal: GoalRecord): GoalChange | undefined {
  const after = goalState(goal);
  if (before === undefined) {
    if (goal.status === 'rejected') return 'reject';
    return isTerminalGoal(goal) ? undefined : 'accept';
  }
  // I5: a terminal goal never changes.
  if (before.status !== 'planning' && before.status !== 'running') return undefined;
  if (goal.status === 'rejected') return undefined;
  if (isTerminalGoal(goal)) return before.revising || after.revision !== before.revision ? undefined : 'finish';
  if (before.stopping && !after.stopping) return undefined;
  if (after.revision !== before.revision || after.revising !== before.revising) return ofRevision(before, after);
  if (after.stopping && !before.stopping) return after.status === before.status ? 'stop' : undefined;
  if (before.status !== after.status) return after.status === 'running' ? 'materialize' : undefined;
  if (after.total === before.total) return 'progress';
  return after.status === 'planning' ? 'declare' : undefined;
}

/** Revisions come one after the other, and one is over before the next begins. */
function ofRevision(before: GoalState, after: GoalState): GoalChange | undefined {
  if (after.status !== before.status || after.stopping !== before.stopping) return undefined;
  if (!after.revising) return after.revision === before.revision ? 'revised' : undefined;
  const next = !before.revising && after.revision === before.revision + 1;
  return next && after.status === 'running' && !after.stopping ? 'revise' : undefined;
}

/** What one change of a goal's ledger was about. Amounts in USD. */
export interface LedgerChange {
  /** `spend`: something was charged, by `agents` if for model calls. `reserve`: only set aside, or given back. */
  readonly kind: 'spend' | 'reserve';
  readonly usd: number;
  readonly tokens: number;
  readonly messages: number;
  readonly communicationUsd: number;
  readonly agents: readonly string[];
}

export function ledgerChange(before: Ledger | undefined, after: Ledger): LedgerChange {
  const was = before?.spent ?? { usd: 0, tokens: 0, messages: 0, communicationUsd: 0 };
  const { spent, byAgent } = after;
  const earlier = (agent: string): number =>
    before !== undefined && Object.hasOwn(before.byAgent, agent) ? (before.byAgent[agent] ?? 0) : 0;
  const charged = Object.keys(byAgent).filter((agent) => byAgent[agent] !== earlier(agent));
  const held = Object.entries(after.reserved).filter(
    ([id]) => before === undefined || !Object.hasOwn(before.reserved, id),
  );
  const change = {
    usd: difference(spent.usd, was.usd),
    tokens: spent.tokens - was.tokens,
    messages: spent.messages - was.messages,
    communicationUsd: difference(spent.communicationUsd, was.communicationUsd),
  };
  const spends = Object.values(change).some((amount) => amount !== 0) || charged.length > 0;
  return spends
    ? { kind: 'spend', ...change, agents: charged }
    : { kind: 'reserve', ...change, agents: [...new Set(held.map(([, { agentId }]) => agentId))] };
}

/** USD, without the drift of decimal fractions. */
function difference(after: number, before: number): number {
  return (Math.round(after * NANO_PER_USD) - Math.round(before * NANO_PER_USD)) / NANO_PER_USD;
}
