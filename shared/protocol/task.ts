/** A task's record in the DAG bucket, and the work item that wakes an agent for it. */
import { z } from 'zod';
import { ErrorInfo, GoalRecord } from './goal.ts';
import { Id, Timestamp } from './ids.ts';
import { Peer, Step } from './peer.ts';
import { Traceparent } from './trace.ts';
import { TaskVote } from './vote.ts';

export const TaskStatus = z.enum(['pending', 'ready', 'in_progress', 'completed', 'failed', 'cancelled']);
export type TaskStatus = z.infer<typeof TaskStatus>;

export const TaskCost = z.object({
  usd: z.number().nonnegative(),
  inputTokens: z.int().nonnegative(),
  outputTokens: z.int().nonnegative(),
  messages: z.int().nonnegative(),
  /** Payload of the messages. */
  bytes: z.int().nonnegative().optional(),
});
export type TaskCost = z.infer<typeof TaskCost>;

export const NO_COST: TaskCost = { usd: 0, inputTokens: 0, outputTokens: 0, messages: 0 };

/** A result that waits for its voters' decision: persisted before the round, so that a takeover votes on it instead of working again. */
const Candidate = z.object({
  result: z.json(),
  rework: z.int().nonnegative(),
  /** Random. Goes into the ids of the rounds about this result, so that nobody knows them before it stands. */
  salt: z.string().optional(),
  step: Step.optional(),
});

/** A task that failed for good, as those that do without its result see it. */
export const TaskFailure = z.object({ taskId: Id, description: z.string(), error: ErrorInfo });
export type TaskFailure = z.infer<typeof TaskFailure>;

const Common = {
  goalId: Id,
  taskId: Id,
  capability: Id,
  description: z.string(),
  /** Attempts started so far. */
  attempt: z.int().nonnegative(),
  dependencies: z.array(Id),
  input: z.json().optional(),
  cost: TaskCost,
  correlationId: z.string(),
  /** The goal's: whoever takes the task over goes on in the same trace. */
  traceparent: Traceparent.optional(),
  createdAt: Timestamp,
  /** Tasks that wait for this one. */
  dependents: z.array(Id),
  maxAttempts: z.int().min(1),
  timeoutMs: z.int().min(1),
  /** The goal's deadline. */
  deadline: Timestamp,
  vote: TaskVote.optional(),
  /** The goal goes on when a task fails (`onTaskFailure: continue`): tasks may end after those that waited for them were given up. */
  continues: z.literal(true).optional(),
  /** The agent that should do it, as the engine decided: whoever else is given its work item hands it over, unless that agent is gone. */
  assignee: Id.optional(),
  /** What it is to a goal of the pattern peer-to-peer. */
  peer: Peer.optional(),
  /** The goal's graph may be revised: tasks that came later may wait for this one without standing in `dependents`. */
  revisable: z.literal(true).optional(),
  /** It does without dependencies that fail, which are then in `failures` instead. */
  tolerant: z.literal(true).optional(),
  failures: z.array(TaskFailure).optional(),
  /** Reasons of voters that sent the result back, oldest first, and how often they did. */
  reworks: z.int().nonnegative().optional(),
  reasons: z.array(z.string()).optional(),
};

/** Data exists only in the status in which it means something. */
export const TaskRecord = z.discriminatedUnion('status', [
  z.object({ ...Common, status: z.literal('pending') }),
  /** `error`: why the attempt before this one failed. */
  z.object({ ...Common, status: z.literal('ready'), error: ErrorInfo.optional(), candidate: Candidate.optional() }),
  z.object({
    ...Common,
    status: z.literal('in_progress'),
    agentId: Id,
    startedAt: Timestamp,
    /** Stream sequence of the work item this claim was made for: only its redelivery proves that the lease ran out (I3). */
    item: z.int().nonnegative(),
    candidate: Candidate.optional(),
  }),
  z.object({
    ...Common,
    status: z.literal('completed'),
    agentId: Id,
    startedAt: Timestamp,
    finishedAt: Timestamp,
    result: z.json(),
    /** How a peer-to-peer goal goes on from here. */
    step: Step.optional(),
  }),
  z.object({
    ...Common,
    status: z.literal('failed'),
    agentId: Id.optional(),
    startedAt: Timestamp.optional(),
    finishedAt: Timestamp,
    error: ErrorInfo,
  }),
  z.object({
    ...Common,
    status: z.literal('cancelled'),
    agentId: Id.optional(),
    startedAt: Timestamp.optional(),
    finishedAt: Timestamp,
    error: ErrorInfo.optional(),
  }),
]);
export type TaskRecord = z.infer<typeof TaskRecord>;
export type CompletedTask = Extract<TaskRecord, { status: 'completed' }>;
export type EndedTask = Extract<TaskRecord, { status: 'completed' | 'failed' | 'cancelled' }>;

export function isTerminalTask(task: TaskRecord): task is EndedTask {
  return task.status === 'completed' || task.status === 'failed' || task.status === 'cancelled';
}

/**
 * Payload of `<m>.ready.<capability>.<goalId>.<taskId>`. A hint, never the truth: `task`, `revision` and `results` spare the first
 * reader three reads, and every write that follows from them is still fenced by that revision (I3).
 */
export const ReadyItem = z.object({
  goalId: Id,
  taskId: Id,
  task: TaskRecord.optional(),
  /** Revision of the task's record that `task` was read at. */
  revision: z.int().positive().optional(),
  /** Results of the task's dependencies, all of them completed. */
  results: z.record(Id, z.json()).optional(),
  /** A small graph travels along whole: records and the revisions at which they were written, guesses like `task`. */
  near: z
    .object({
      goal: z.object({ record: GoalRecord, revision: z.int() }),
      tasks: z.array(z.object({ record: TaskRecord, revision: z.int() })),
      /** The graph is a chain, and no attempt before this task can have spent anything: the goal has no ledger. */
      free: z.boolean(),
    })
    .optional(),
});
export type ReadyItem = z.infer<typeof ReadyItem>;
