/**
 * The life of one task as a total function `(task, event) -> next task | refusal`. The caller writes the next record expecting the revision
 * at which it read this one; that compare-and-set is the fence (I1, I3), this function is the law.
 *
 *   pending --release--> ready --claim--> in_progress --complete--> completed
 *      |  \________________________________^   |  |  \--propose--> in_progress (candidate) --reject--> in_progress (again) | failed
 *      |                                       |  \--fail--> ready (attempts left) | failed
 *      \--cancel, replace--> cancelled <-------/
 *
 * `pending -> in_progress` and `pending|ready -> completed` are legal: work that ends at once is recorded once.
 */
import type { ErrorInfo } from '../protocol/goal.ts';
import { type Json, timestamp } from '../protocol/ids.ts';
import type { Step } from '../protocol/peer.ts';
import { type EndedTask, isTerminalTask, NO_COST, type TaskCost, type TaskRecord } from '../protocol/task.ts';
import { addUsd } from './cost.ts';
import { mayStart } from './dag.ts';

/** Who works on the task, since when (ms since the epoch), for which work item. */
export interface Claimant {
  readonly agentId: string;
  readonly startedAt: number;
  readonly item: number;
}

export type TaskEvent =
  | { readonly type: 'release' }
  /** `redelivered`: the broker handed the item out before, so whoever had it lost its lease or gave it back. */
  | { readonly type: 'claim'; readonly by: Claimant; readonly redelivered: boolean }
  | {
      readonly type: 'complete';
      readonly by: Claimant;
      readonly result: Json;
      /** How its peer-to-peer goal goes on. */
      readonly step?: Step;
      readonly cost: TaskCost;
      readonly at: number;
    }
  /** The result waits for its voters. */
  | {
      readonly type: 'propose';
      readonly by: Claimant;
      readonly result: Json;
      readonly step?: Step;
      readonly salt: string;
      readonly cost: TaskCost;
    }
  /** The voters refused the candidate. */
  | { readonly type: 'reject'; readonly by: Claimant; readonly reasons: readonly string[]; readonly at: number }
  /** `final`: no further attempt, whatever is left of them. */
  | {
      readonly type: 'fail';
      readonly by: Claimant;
      readonly error: ErrorInfo;
      readonly final: boolean;
      readonly cost: TaskCost;
      readonly at: number;
    }
  /** The broker holds no work item for a claimed task any more: nobody can finish it (found by a sweep only). */
  | { readonly type: 'expire'; readonly at: number }
  | { readonly type: 'cancel'; readonly error?: ErrorInfo; readonly at: number }
  /** A revision of the graph does without it. Only what nobody has begun can be replaced; what has begun ends by itself. */
  | { readonly type: 'replace'; readonly revision: number; readonly at: number };

export type TransitionName = TaskEvent['type'] | 'retry' | 'rework' | 'exhaust';

export type TaskStep =
  | { readonly ok: true; readonly task: TaskRecord; readonly transition: TransitionName }
  /**
   * `done`: the task is terminal, nothing is left to do but to pass it on. `held`: another agent works on it and nothing proves that it lost its
   * lease. `stale`: the caller is not the holder any more. `illegal`: the event means nothing in this status.
   */
  | { readonly ok: false; readonly refusal: 'done' | 'held' | 'stale' | 'illegal'; readonly message: string };

type LiveTask = Exclude<TaskRecord, EndedTask>;

const MAX_REWORKS_DEFAULT = 1;

/** What every status has, and no status-bound field. */
function common(task: TaskRecord) {
  const {
    goalId,
    taskId,
    capability,
    description,
    attempt,
    dependencies,
    cost,
    correlationId,
    createdAt,
    dependents,
    maxAttempts,
    timeoutMs,
    deadline,
  } = task;
  return {
    goalId,
    taskId,
    capability,
    description,
    attempt,
    dependencies,
    ...(task.input === undefined ? {} : { input: task.input }),
    cost,
    correlationId,
    createdAt,
    dependents,
    maxAttempts,
    timeoutMs,
    deadline,
    ...(task.traceparent === undefined ? {} : { traceparent: task.traceparent }),
    ...(task.vote === undefined ? {} : { vote: task.vote }),
    ...(task.continues === undefined ? {} : { continues: task.continues }),
    ...(task.assignee === undefined ? {} : { assignee: task.assignee }),
    ...(task.peer === undefined ? {} : { peer: task.peer }),
    ...(task.revisable === undefined ? {} : { revisable: task.revisable }),
    ...(task.tolerant === undefined ? {} : { tolerant: task.tolerant }),
    ...(task.failures === undefined ? {} : { failures: task.failures }),
    ...(task.reworks === undefined ? {} : { reworks: task.reworks }),
    ...(task.reasons === undefined ? {} : { reasons: task.reasons }),
  };
}

export function addCost(a: TaskCost, b: TaskCost): TaskCost {
  return {
    usd: addUsd([a.usd, b.usd]),
    inputTokens: a.inputTokens + b.inputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    messages: a.messages + b.messages,
    ...(a.bytes === undefined && b.bytes === undefined ? {} : { bytes: (a.bytes ?? 0) + (b.bytes ?? 0) }),
  };
}

/** I3: true when `by` holds the claim that the record shows, or when nobody claimed and the work ended at once. */
function holds(task: LiveTask, by: Claimant): boolean {
  if (task.status === 'in_progress') return task.agentId === by.agentId && task.item === by.item;
  return task.status === 'ready' || task.status === 'pending';
}

/** The attempt under which work that was never claimed is recorded. */
function attemptOf(task: LiveTask): number {
  return task.status === 'in_progress' ? task.attempt : task.attempt + 1;
}

function refuse(refusal: 'done' | 'held' | 'stale' | 'illegal', task: TaskRecord, event: TaskEvent): TaskStep {
  return { ok: false, refusal, message: `task ${task.taskId} is ${task.status}; "${event.type}" is ${refusal}` };
}

/** The next record of a task, or why there is none. Total: every event has an answer in every status. */
export function nextTask(task: TaskRecord, event: TaskEvent): TaskStep {
  if (isTerminalTask(task)) return refuse('done', task, event);
  switch (event.type) {
    case 'release':
      if (task.status !== 'pending') return refuse('illegal', task, event);
      return { ok: true, transition: 'release', task: { ...common(task), status: 'ready' } };
    case 'claim':
      return claim(task, event);
    case 'expire':
      return expire(task, event);
    case 'cancel':
      return {
        ok: true,
        transition: 'cancel',
        task: {
          ...common(task),
          status: 'cancelled',
          ...(task.status === 'in_progress' ? { agentId: task.agentId, startedAt: task.startedAt } : {}),
          ...(event.error === undefined ? {} : { error: event.error }),
          finishedAt: timestamp(event.at),
        },
      };
    case 'replace':
      if (task.status === 'in_progress' || task.attempt > 0) return refuse('illegal', task, event);
      return {
        ok: true,
        transition: 'replace',
        task: {
          ...common(task),
          status: 'cancelled',
          error: { code: 'replaced', message: `revision ${event.revision} of the goal's graph does without this task` },
          finishedAt: timestamp(event.at),
        },
      };
    case 'complete':
    case 'propose':
    case 'reject':
    case 'fail':
      return holds(task, event.by) ? byHolder(task, event) : refuse('stale', task, event);
  }
}

function expire(task: LiveTask, event: Extract<TaskEvent, { type: 'expire' }>): TaskStep {
  if (task.status !== 'in_progress') return refuse('illegal', task, event);
  const by = { agentId: task.agentId, startedAt: Date.parse(task.startedAt), item: task.item };
  const error = { code: 'lease_expired', message: `agent ${task.agentId} lost its work item` };
  return byHolder(task, { type: 'fail', by, error, final: false, cost: NO_COST, at: event.at });
}

function claim(task: LiveTask, event: Extract<TaskEvent, { type: 'claim' }>): TaskStep {
  if (task.status === 'in_progress') {
    // Only a redelivery of the very item that the holder works on proves that its lease ran out.
    if (task.item !== event.by.item || !event.redelivered) return refuse('held', task, event);
    if (task.attempt >= task.maxAttempts) {
      const message = `expected a result within ${task.maxAttempts} attempts; the last agent (${task.agentId}) lost its lease; raise maxAttempts or look at its log`;
      return {
        ok: true,
        transition: 'exhaust',
        task: failed(task, event.by, { code: 'lease_expired', message }, event.by.startedAt),
      };
    }
  }
  const candidate = task.status === 'pending' ? undefined : task.candidate;
  return {
    ok: true,
    transition: 'claim',
    task: {
      ...common(task),
      status: 'in_progress',
      attempt: task.attempt + 1,
      agentId: event.by.agentId,
      startedAt: timestamp(event.by.startedAt),
      item: event.by.item,
      ...(candidate === undefined ? {} : { candidate }),
    },
  };
}

function failed(task: TaskRecord, by: Claimant, error: ErrorInfo, at: number): TaskRecord {
  return {
    ...common(task),
    status: 'failed',
    agentId: by.agentId,
    startedAt: timestamp(by.startedAt),
    finishedAt: timestamp(at),
    error,
  };
}

function byHolder(
  task: LiveTask,
  event: Extract<TaskEvent, { type: 'complete' | 'propose' | 'reject' | 'fail' }>,
): TaskStep {
  const { by } = event;
  const attempt = attemptOf(task);
  const started = { agentId: by.agentId, startedAt: timestamp(by.startedAt) };
  switch (event.type) {
    case 'complete': {
      const cost = addCost(task.cost, event.cost);
      const record = {
        ...common(task),
        ...started,
        status: 'completed' as const,
        attempt,
        cost,
        finishedAt: timestamp(event.at),
        result: event.result,
        ...(event.step === undefined ? {} : { step: event.step }),
      };
      return { ok: true, transition: 'complete', task: record };
    }
    case 'propose': {
      const candidate = {
        result: event.result,
        rework: task.reworks ?? 0,
        salt: event.salt,
        ...(event.step === undefined ? {} : { step: event.step }),
      };
      const record = {
        ...common(task),
        ...started,
        status: 'in_progress' as const,
        attempt,
        cost: addCost(task.cost, event.cost),
        item: by.item,
        candidate,
      };
      return { ok: true, transition: 'propose', task: record };
    }
    case 'reject': {
      const reworks = task.reworks ?? 0;
      const reasons = [...(task.reasons ?? []), ...event.reasons];
      if (task.vote?.onReject !== 'rework' || reworks >= (task.vote.maxReworks ?? MAX_REWORKS_DEFAULT)) {
        const said = event.reasons.join('; ') || 'no reason given';
        const message = `expected the voters' approval, got none after ${reworks} rework(s): ${said}`;
        return {
          ok: true,
          transition: 'fail',
          task: { ...failed(task, by, { code: 'no_consensus', message }, event.at), attempt, reasons },
        };
      }
      const record = {
        ...common(task),
        ...started,
        status: 'in_progress' as const,
        attempt,
        item: by.item,
        reworks: reworks + 1,
        reasons,
      };
      return { ok: true, transition: 'rework', task: record };
    }
    case 'fail': {
      const cost = addCost(task.cost, event.cost);
      if (event.final || attempt >= task.maxAttempts) {
        return { ok: true, transition: 'fail', task: { ...failed(task, by, event.error, event.at), attempt, cost } };
      }
      const candidate = task.status === 'pending' ? undefined : task.candidate;
      const record = {
        ...common(task),
        status: 'ready' as const,
        attempt,
        cost,
        error: event.error,
        ...(candidate === undefined ? {} : { candidate }),
      };
      return { ok: true, transition: 'retry', task: record };
    }
  }
}

/**
 * I2 for whoever is about to start `task`: all of its dependencies completed, by the records that the leader of the stream gave.
 * `statusOf` answers undefined for a record that does not exist.
 */
export function dependenciesDone(
  task: TaskRecord,
  statusOf: (taskId: string) => TaskRecord['status'] | undefined,
): boolean {
  return mayStart(task.dependencies, (taskId) => statusOf(taskId) === 'completed');
}
