/**
 * Plans and their revisions. A plan is the committed result of a goal's `plan` task; task ids and capabilities in it were given by the planner's
 * code, never by a model. A revision changes the graph of a running goal: one record each, written once, carried out by whoever finds it.
 */
import { z } from 'zod';
import { TASKS_MAX, TaskSpec } from './goal.ts';
import { Id, Timestamp } from './ids.ts';
import { Peer } from './peer.ts';
import { TaskFailure } from './task.ts';

/** taskId of the task that plans first; reserved in planned graphs. */
export const PLAN_TASK = 'plan';

/** The graph of one goal is revised at most this often, whatever a plan asks for (I10). */
export const REVISIONS_MAX = 64;

export const Plan = z.object({
  tasks: z.array(TaskSpec).min(1).max(TASKS_MAX),
  /** `fallback`: the fixed three steps, because no usable plan came from a model; `reason` says why. */
  source: z.enum(['model', 'fallback']),
  reason: z.string().optional(),
  /** In a first plan: how often its graph may be revised; default never. Such a graph may hold tasks of capability `plan`, whose plans revise it. */
  revisions: z.int().min(0).max(REVISIONS_MAX).optional(),
  /** In a later plan: tasks that its own stand in for. They have not started, or failed. */
  replaces: z.array(Id).max(TASKS_MAX).optional(),
});
export type Plan = z.infer<typeof Plan>;

/** A task as the engine makes it. What it adds to a TaskSpec comes neither with a submission nor with a plan. */
export const GraphTask = TaskSpec.extend({
  assignee: Id.optional(),
  /** Tasks that it does without, because they failed. */
  failures: z.array(TaskFailure).optional(),
  peer: Peer.optional(),
});
export type GraphTask = z.infer<typeof GraphTask>;

const Part = z.object({ taskId: Id, capability: Id, description: z.string() });

/** Input of a task of capability `plan` by which the engine asks for another plan of what a failure left undone. */
export const ReplanRequest = z.object({
  replan: z.object({
    /** 1 for the first new plan of the goal; new tasks are named after it. */
    number: z.int().min(1),
    failed: z.array(Part.extend({ error: z.object({ code: z.string(), message: z.string() }) })),
    /** Never begun, given up with what failed. */
    waiting: z.array(Part),
    /** Their results are the dependencies of the task that plans. */
    finished: z.array(Part),
    /** Under way; they go on. */
    running: z.array(Part),
  }),
});
export type ReplanRequest = z.infer<typeof ReplanRequest>;

/**
 * `plan.<goalId>.<n>` in the DAG bucket, n from 1: the n-th change of a running goal's graph, created once and followed from there on, whoever dies.
 * It counts when `revision` of the goal's record has reached n.
 */
export const Revision = z.object({
  goalId: Id,
  revision: z.int().min(1).max(REVISIONS_MAX),
  /** The task whose end led to it; no other revision has the same. */
  cause: Id,
  /** Tasks that do not count any more, in an order in which they could run. Those that had not started are cancelled, the others end by themselves. */
  replaces: z.array(Id),
  /** New tasks; they wait for each other, or for tasks that still count. */
  tasks: z.array(GraphTask),
  /** Tasks whose results are the goal's from now on. */
  sinks: z.array(Id),
  /** Number of the goal's tasks from now on, replaced ones included. */
  total: z.int().nonnegative(),
  /** Expected price of the new tasks, USD. */
  predicted: z.number().nonnegative(),
  reason: z.string().optional(),
  /** A failure made it necessary. `merge`: tolerant tasks do without what failed. `replan`: the number-th new plan of the goal is asked for. */
  repairs: z
    .discriminatedUnion('kind', [
      z.object({ kind: z.literal('merge'), failure: TaskFailure }),
      z.object({ kind: z.literal('replan'), number: z.int().min(1), failure: TaskFailure }),
    ])
    .optional(),
  createdAt: Timestamp,
});
export type Revision = z.infer<typeof Revision>;
