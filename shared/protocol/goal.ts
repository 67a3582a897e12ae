/** A goal as it is submitted, and as its record stands in the DAG bucket. */
import { z } from 'zod';
import { Id, Timestamp } from './ids.ts';
import { Traffic } from './ledger.ts';
import { Traceparent } from './trace.ts';
import { TaskVote } from './vote.ts';

export const TASKS_MAX = 10_000;
const DESCRIPTION_MAX = 32_768;
export const WALL_MS_DEFAULT = 24 * 60 * 60 * 1000;
const WALL_MS_MAX = 7 * WALL_MS_DEFAULT;
export const MAX_ATTEMPTS_DEFAULT = 3;
export const TASK_TIMEOUT_MS_DEFAULT = 300_000;
export const REPLANS_DEFAULT = 2;
const REPLANS_MAX = 8;

const Description = z.string().min(1).max(DESCRIPTION_MAX);
const MaxAttempts = z.int().min(1).max(100);
const TimeoutMs = z.int().min(1).max(WALL_MS_MAX);

export const Pattern = z.enum(['sequential', 'parallel', 'orchestrator', 'peer-to-peer']);
export type Pattern = z.infer<typeof Pattern>;

/** Hard limits of one goal and everything it spawns (I4). */
export const Budget = z.object({
  usd: z.number().nonnegative().optional(),
  tokens: z.int().nonnegative().optional(),
  messages: z.int().nonnegative().optional(),
  wallMs: z.int().min(1).max(WALL_MS_MAX).optional(),
});
export type Budget = z.infer<typeof Budget>;

export const TaskSpec = z.object({
  taskId: Id,
  capability: Id,
  description: z.string().max(DESCRIPTION_MAX).default(''),
  input: z.json().optional(),
  dependencies: z.array(Id).default([]),
  maxAttempts: MaxAttempts.optional(),
  timeoutMs: TimeoutMs.optional(),
  /** With `onTaskFailure: continue`: a dependency that fails is taken out and named in `failures`, as long as another one is left. */
  tolerant: z.literal(true).optional(),
  vote: TaskVote.optional(),
});
export type TaskSpec = z.infer<typeof TaskSpec>;

/** Body of `<m>.goals.submit`. */
export const GoalSubmission = z.object({
  goalId: Id.optional(),
  description: Description,
  input: z.json().optional(),
  pattern: Pattern.default('orchestrator'),
  tasks: z.array(TaskSpec).min(1).optional(),
  budget: Budget.optional(),
  onTaskFailure: z.enum(['fail', 'continue']).default('fail'),
  /** How often what a failed task leaves undone may be planned anew; default 2 for a planned `orchestrator` goal, 0 for all others. */
  replans: z.int().min(0).max(REPLANS_MAX).optional(),
  metadata: z.record(z.string(), z.json()).optional(),
});
export type GoalSubmission = z.infer<typeof GoalSubmission>;

/** Body of `<m>.tasks.<capability>`: a goal of one task. */
export const TaskShorthand = z.object({
  description: Description,
  input: z.json().optional(),
  goalId: Id.optional(),
  budget: Budget.optional(),
  maxAttempts: MaxAttempts.optional(),
  timeoutMs: TimeoutMs.optional(),
});
export type TaskShorthand = z.infer<typeof TaskShorthand>;

/** Body of `<m>.goals.cancel`. */
export const CancelRequest = z.object({ goalId: Id, reason: z.string().max(4_096).default('') });
export type CancelRequest = z.infer<typeof CancelRequest>;

/** Why a goal was refused, before anything was done for it. */
export const REJECT_CODES = [
  'invalid_json',
  'invalid_schema',
  'cyclic_dependencies',
  'unknown_dependency',
  'duplicate_task',
  'plan_too_large',
  'unplannable',
] as const;
export type RejectCode = (typeof REJECT_CODES)[number];

/** Error of a goal, a task or a dead letter. `code` is stable, `message` says what was expected, what came and what to do. */
export const ErrorInfo = z.object({ code: z.string(), message: z.string(), path: z.string().optional() });
export type ErrorInfo = z.infer<typeof ErrorInfo>;

export const GoalStatus = z.enum(['planning', 'running', 'completed', 'failed', 'cancelled', 'rejected']);
export type GoalStatus = z.infer<typeof GoalStatus>;

export const TaskCounts = z.object({
  total: z.int().nonnegative(),
  completed: z.int().nonnegative(),
  failed: z.int().nonnegative(),
  cancelled: z.int().nonnegative(),
});
export type TaskCounts = z.infer<typeof TaskCounts>;

export const Spent = z.object({
  usd: z.number().nonnegative(),
  tokens: z.int().nonnegative(),
  messages: z.int().nonnegative(),
  wallMs: z.number().nonnegative(),
});
export type Spent = z.infer<typeof Spent>;

export const GoalCost = z.object({
  compute: z.record(Id, z.number().nonnegative()),
  communication: z.number().nonnegative(),
  total: z.number().nonnegative(),
  predicted: z.number().nonnegative(),
  /** What `communication` is made of. */
  byMessageType: Traffic.optional(),
  /** The part of `compute` that voters' opinions cost; no task's own cost holds it. */
  votes: z.number().nonnegative().optional(),
});
export type GoalCost = z.infer<typeof GoalCost>;

/** What agents need beside the public fields; readers of the protocol ignore it. */
const GoalInternals = {
  onTaskFailure: z.enum(['fail', 'continue']),
  /** When `wallMs` runs out. */
  deadline: Timestamp,
  /** Sequence of the submission in `<m>_goals`: which of several submissions of one goalId this record belongs to. */
  receipt: z.int().nonnegative(),
  /** The agent that holds the receipt and is told when the goal ends. */
  acceptedBy: Id,
  /** Tasks on which no task depends; the goal is complete when they are. */
  sinks: z.array(Id),
  /** Revisions of the graph so far (`plan.<goalId>.<n>`), and how many there may be. Absent: none. */
  revision: z.int().min(1).optional(),
  revisionsMax: z.int().min(1).optional(),
  /** How often what a failure leaves undone may be planned anew, and how often it was. */
  replansMax: z.int().min(1).optional(),
  replans: z.int().min(1).optional(),
};

const GoalPublic = {
  goalId: Id,
  description: z.string(),
  pattern: Pattern,
  input: z.json().optional(),
  metadata: z.record(z.string(), z.json()).optional(),
  budget: Budget.optional(),
  tasks: TaskCounts,
  spent: Spent,
  cost: GoalCost,
  correlationId: z.string(),
  /** The trace context that the goal was submitted with. */
  traceparent: Traceparent.optional(),
  createdAt: Timestamp,
};

/** The first decision to end a goal; the goal becomes terminal once its tasks are (I5). The first one wins. */
const Stopping = z.object({ status: z.enum(['failed', 'cancelled']), error: ErrorInfo });

export const GoalRecord = z.discriminatedUnion('status', [
  z.object({
    ...GoalPublic,
    ...GoalInternals,
    status: z.enum(['planning', 'running']),
    stopping: Stopping.optional(),
    /** The last revision is being carried out: until it is, the goal does not end. */
    revising: z.literal(true).optional(),
  }),
  z.object({
    ...GoalPublic,
    ...GoalInternals,
    status: z.literal('completed'),
    result: z.json().optional(),
    finishedAt: Timestamp,
  }),
  z.object({
    ...GoalPublic,
    ...GoalInternals,
    status: z.enum(['failed', 'cancelled']),
    error: ErrorInfo,
    result: z.json().optional(),
    finishedAt: Timestamp,
  }),
  z.object({ ...GoalPublic, status: z.literal('rejected'), error: ErrorInfo, finishedAt: Timestamp }),
]);
export type GoalRecord = z.infer<typeof GoalRecord>;
export type LiveGoal = Extract<GoalRecord, { status: 'planning' | 'running' }>;
export type EndedGoal = Exclude<GoalRecord, LiveGoal>;

export function isTerminalGoal(goal: GoalRecord): goal is EndedGoal {
  return goal.status !== 'planning' && goal.status !== 'running';
}
