/**
 * The life of one goal as a total function. The caller writes the next record expecting the revision at which it read this one.
 *
 *   (submission) --accept--> planning | running      planning --declare--> planning --materialize--> running
 *   planning | running --stop--> the same, `stopping` set: no task starts any more, the first reason stands
 *   running --revise--> running, `revising` set: its graph is being changed --revised--> running
 *   planning | running --finish--> completed | failed | cancelled          (terminal, never changes: I5)
 */
import type {
  EndedGoal,
  ErrorInfo,
  GoalRecord,
  GoalSubmission,
  LiveGoal,
  Spent,
  TaskCounts,
} from '../protocol/goal.ts';
import { isTerminalGoal } from '../protocol/goal.ts';
import { type Json, timestamp } from '../protocol/ids.ts';
import type { TaskRecord } from '../protocol/task.ts';
import type { Traffic } from '../protocol/ledger.ts';
import { addUsd, goalCost } from './cost.ts';

export type GoalEvent =
  /** How many tasks there will be, before the first of them is written: whoever stops the goal meanwhile knows how many must end. */
  | { readonly type: 'declare'; readonly total: number }
  | {
      readonly type: 'materialize';
      readonly total: number;
      readonly sinks: readonly string[];
      readonly predicted: number;
      /** How often the graph may be revised; absent: never. */
      readonly revisionsMax?: number;
    }
  /** The graph's n-th revision is being carried out: whoever ends the goal waits for it. */
  | {
      readonly type: 'revise';
      readonly revision: number;
      readonly total: number;
      readonly sinks: readonly string[];
      readonly predicted: number;
      /** It asks for the goal's so-manieth new plan. */
      readonly replans?: number;
    }
  /** The n-th revision is carried out. */
  | { readonly type: 'revised'; readonly revision: number }
  /** Tasks that ended since the last progress, none perhaps, and what is spent by now; counts may lag while the goal runs. */
  | {
      readonly type: 'progress';
      readonly completed: number;
      readonly failed: number;
      readonly cancelled: number;
      readonly spending: Spending;
      /** Now, ms since the epoch. */
      readonly at: number;
    }
  | { readonly type: 'stop'; readonly status: 'failed' | 'cancelled'; readonly error: ErrorInfo }
  /** Exact counts of a graph in which every task is terminal. */
  | {
      readonly type: 'finish';
      readonly counts: TaskCounts;
      /** Revisions of the graph that was counted; absent: none. */
      readonly revision?: number;
      /** Replaced tasks that did not complete: they keep the goal from nothing. */
      readonly replaced?: number;
      readonly result: Json | undefined;
      readonly spending: Spending;
      readonly firstFailure?: ErrorInfo;
      readonly at: number;
    };

/** What the goal's ledger says it spent. */
export interface Spending {
  readonly usd: number;
  readonly tokens: number;
  readonly messages: number;
  readonly communicationUsd: number;
  readonly byAgent: Readonly<Record<string, number>>;
  readonly byType: Traffic;
  readonly votesUsd: number;
}

export const NOTHING_SPENT: Spending = {
  usd: 0,
  tokens: 0,
  messages: 0,
  communicationUsd: 0,
  byAgent: {},
  byType: {},
  votesUsd: 0,
};

export type GoalStep =
  | { readonly ok: true; readonly goal: GoalRecord }
  | { readonly ok: false; readonly refusal: 'terminal' | 'unfinished' | 'unchanged'; readonly message: string };

export interface Birth {
  readonly goalId: string;
  readonly receipt: number;
  readonly acceptedBy: string;
  readonly correlationId: string;
  readonly traceparent?: string;
  readonly now: number;
  readonly deadline: number;
  readonly total: number;
  readonly sinks: readonly string[];
  readonly predicted: number;
  /** How often what a failure leaves undone may be planned anew; default never. */
  readonly replansMax?: number;
  /** How often the graph may be revised, where that is known at birth. */
  readonly revisionsMax?: number;
}

/** The first record of an accepted goal. */
export function newGoal(submission: GoalSubmission, birth: Birth, status: 'planning' | 'running'): LiveGoal {
  const { replansMax = 0, revisionsMax = 0 } = birth;
  return {
    goalId: birth.goalId,
    description: submission.description,
    pattern: submission.pattern,
    status,
    ...(submission.input === undefined ? {} : { input: submission.input }),
    ...(submission.metadata === undefined ? {} : { metadata: submission.metadata }),
    ...(submission.budget === undefined ? {} : { budget: submission.budget }),
    tasks: { total: birth.total, completed: 0, failed: 0, cancelled: 0 },
    spent: { usd: 0, tokens: 0, messages: 0, wallMs: 0 },
    cost: { compute: {}, communication: 0, total: 0, predicted: birth.predicted },
    correlationId: birth.correlationId,
    ...(birth.traceparent === undefined ? {} : { traceparent: birth.traceparent }),
    createdAt: timestamp(birth.now),
    onTaskFailure: submission.onTaskFailure,
    deadline: timestamp(birth.deadline),
    receipt: birth.receipt,
    acceptedBy: birth.acceptedBy,
    sinks: [...birth.sinks],
    ...(replansMax === 0 ? {} : { replansMax }),
    ...(revisionsMax === 0 ? {} : { revisionsMax }),
  };
}

/** The record of a submission that was refused before anything was done for it. */
export function rejectedGoal(
  goalId: string,
  description: string,
  error: ErrorInfo,
  now: number,
  traceparent?: string,
): GoalRecord {
  return {
    goalId,
    description,
    pattern: 'orchestrator',
    status: 'rejected',
    error,
    tasks: { total: 0, completed: 0, failed: 0, cancelled: 0 },
    spent: { usd: 0, tokens: 0, messages: 0, wallMs: 0 },
    cost: { compute: {}, communication: 0, total: 0, predicted: 0 },
    correlationId: goalId,
    ...(traceparent === undefined ? {} : { traceparent }),
    createdAt: timestamp(now),
    finishedAt: timestamp(now),
  };
}

function charged(goal: LiveGoal, spending: Spending, at: number): Pick<GoalRecord, 'spent' | 'cost'> {
  const { usd, tokens, messages, communicationUsd, byAgent, byType, votesUsd } = spending;
  const elapsed = Math.max(0, at - Date.parse(goal.createdAt));
  // I4: past its deadline nothing is worked on, so no time of the goal's is spent; its end may be written later.
  const spent: Spent = { usd, tokens, messages, wallMs: Math.min(elapsed, goal.budget?.wallMs ?? elapsed) };
  return {
    spent,
    cost: {
      ...goalCost(Object.entries(byAgent), communicationUsd),
      predicted: goal.cost.predicted,
      ...(messages === 0 ? {} : { byMessageType: byType }),
      ...(votesUsd === 0 ? {} : { votes: votesUsd }),
    },
  };
}

/** The next record of a goal, or why there is none. Total. */
export function nextGoal(goal: GoalRecord, event: GoalEvent): GoalStep {
  if (isTerminalGoal(goal))
    return { ok: false, refusal: 'terminal', message: `goal ${goal.goalId} is ${goal.status} for good` };
  switch (event.type) {
    case 'declare':
      if (goal.status === 'running' || goal.stopping !== undefined || goal.tasks.total === event.total) {
        return {
          ok: false,
          refusal: 'unchanged',
          message: `goal ${goal.goalId} has ${goal.tasks.total} tasks, and ${goal.stopping === undefined ? 'keeps them' : 'is stopping'}`,
        };
      }
      return { ok: true, goal: { ...goal, tasks: { ...goal.tasks, total: event.total } } };
    case 'materialize':
      if (goal.status === 'running')
        return { ok: false, refusal: 'unchanged', message: `goal ${goal.goalId} runs already` };
      return {
        ok: true,
        goal: {
          ...goal,
          status: 'running',
          tasks: { ...goal.tasks, total: event.total },
          sinks: [...event.sinks],
          cost: { ...goal.cost, predicted: event.predicted },
          ...(event.revisionsMax === undefined ? {} : { revisionsMax: event.revisionsMax }),
        },
      };
    case 'revise':
      return revise(goal, event);
    case 'revised': {
      const { revising, ...rest } = goal;
      if (revising === undefined || goal.revision !== event.revision)
        return { ok: false, refusal: 'unchanged', message: `revision ${event.revision} is not being carried out` };
      return { ok: true, goal: rest };
    }
    case 'progress': {
      const { total, completed, failed, cancelled } = goal.tasks;
      // A resumed transition may report a task twice: a lagging count may be early, never more than there are tasks.
      const within = (count: number, used: number): number => Math.min(count, Math.max(0, total - used));
      const done = within(completed + event.completed, 0);
      const lost = within(failed + event.failed, done);
      const dropped = within(cancelled + event.cancelled, done + lost);
      // Clocks of agents differ; time that is spent stays spent.
      const at = Math.max(event.at, Date.parse(goal.createdAt) + goal.spent.wallMs);
      return {
        ok: true,
        goal: {
          ...goal,
          tasks: { total, completed: done, failed: lost, cancelled: dropped },
          ...charged(goal, event.spending, at),
        },
      };
    }
    case 'stop':
      if (goal.stopping !== undefined)
        return {
          ok: false,
          refusal: 'unchanged',
          message: `goal ${goal.goalId} is stopping already: ${goal.stopping.error.code}`,
        };
      return { ok: true, goal: { ...goal, stopping: { status: event.status, error: event.error } } };
    case 'finish':
      return finish(goal, event);
  }
}

function revise(goal: LiveGoal, event: Extract<GoalEvent, { type: 'revise' }>): GoalStep {
  const { goalId, stopping, revision = 0, revisionsMax = 0 } = goal;
  const refuse = (why: string): GoalStep => ({ ok: false, refusal: 'unchanged', message: `goal ${goalId} ${why}` });
  if (goal.status !== 'running') return refuse('does not run yet');
  if (stopping !== undefined) return refuse(`is stopping: ${stopping.error.code}`);
  if (goal.revising !== undefined || event.revision !== revision + 1)
    return refuse(`is at revision ${revision}; ${event.revision} does not follow`);
  if (event.revision > revisionsMax) return refuse(`may be revised ${revisionsMax} times`);
  return {
    ok: true,
    goal: {
      ...goal,
      revision: event.revision,
      revising: true,
      tasks: { ...goal.tasks, total: event.total },
      sinks: [...event.sinks],
      cost: { ...goal.cost, predicted: addUsd([goal.cost.predicted, event.predicted]) },
      ...(event.replans === undefined ? {} : { replans: event.replans }),
    },
  };
}

function finish(goal: LiveGoal, event: Extract<GoalEvent, { type: 'finish' }>): GoalStep {
  const { total, completed, failed, cancelled } = event.counts;
  // What was counted must be the graph that stands: tasks of a revision under way may not be written yet.
  if (goal.revising !== undefined || (event.revision ?? 0) !== (goal.revision ?? 0))
    return { ok: false, refusal: 'unfinished', message: `goal ${goal.goalId}: its graph was revised meanwhile` };
  if (completed + failed + cancelled !== total) {
    return {
      ok: false,
      refusal: 'unfinished',
      message: `goal ${goal.goalId}: ${total - completed - failed - cancelled} of ${total} tasks are not terminal`,
    };
  }
  const { stopping, revising: _none, ...rest } = goal;
  const ended = {
    ...rest,
    tasks: event.counts,
    ...charged(goal, event.spending, event.at),
    finishedAt: timestamp(event.at),
  };
  const result = event.result === undefined ? {} : { result: event.result };
  const goalAfter: EndedGoal =
    completed + (event.replaced ?? 0) === total && stopping === undefined
      ? { ...ended, status: 'completed', ...result }
      : {
          ...ended,
          ...result,
          status: stopping?.status ?? 'failed',
          error: stopping?.error ??
            event.firstFailure ?? {
              code: 'task_failed',
              message: `${failed} of ${total} tasks failed, ${cancelled} were cancelled`,
            },
        };
  return { ok: true, goal: goalAfter };
}

/** Exact counts of a whole graph. */
export function countTasks(tasks: readonly TaskRecord[]): TaskCounts {
  const count = (status: TaskRecord['status']): number => tasks.filter((task) => task.status === status).length;
  return { total: tasks.length, completed: count('completed'), failed: count('failed'), cancelled: count('cancelled') };
}

/** With one sink its result, with several `{taskId: result}` of those that completed. */
export function resultOf(
  sinks: readonly string[],
  resultOfTask: (taskId: string) => Json | undefined,
): Json | undefined {
  const [only] = sinks;
  if (sinks.length === 1 && only !== undefined) return resultOfTask(only);
  const results = sinks.flatMap((taskId): [string, Json][] => {
    const result = resultOfTask(taskId);
    return result === undefined ? [] : [[taskId, result]];
  });
  // fromEntries defines own properties, so a task called `__proto__` stays data.
  return Object.fromEntries(results);
}
