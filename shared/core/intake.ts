/** What becomes of a submission, decided from its bytes alone: the same bytes give the same graph, whoever accepts them, however often. */
import { decode, encode, fit, type Decoded } from '../protocol/codec.ts';
import {
  type ErrorInfo,
  GoalSubmission,
  MAX_ATTEMPTS_DEFAULT,
  type RejectCode,
  REPLANS_DEFAULT,
  TASKS_MAX,
  TASK_TIMEOUT_MS_DEFAULT,
  TaskShorthand,
  type TaskSpec,
  WALL_MS_DEFAULT,
} from '../protocol/goal.ts';
import { isId, type Json, SUBMITTED_BYTES_MAX, timestamp } from '../protocol/ids.ts';
import { type GraphTask, PLAN_TASK, type Plan, REVISIONS_MAX } from '../protocol/plan.ts';
import { PLAN_CAPABILITY } from '../protocol/subjects.ts';
import { NO_COST, type TaskRecord } from '../protocol/task.ts';
import { dependentsOf, validateGraph } from './dag.ts';
import { firstAuction } from './peer.ts';

/** A valid submission with everything that was optional filled in. */
export interface Accepted {
  readonly ok: true;
  readonly goalId: string;
  readonly submission: GoalSubmission;
  /** False: one task of capability `plan` decides what the tasks are, or, for `peer-to-peer`, an auction who begins. */
  readonly explicit: boolean;
  readonly tasks: readonly GraphTask[];
  /** How often the graph may grow while the goal runs; absent: a plan says. */
  readonly growsTo?: number;
}

export interface Refused {
  readonly ok: false;
  /** Present when the submission named a usable one. */
  readonly goalId?: string;
  readonly error: ErrorInfo & { readonly code: RejectCode };
  readonly description: string;
}

const SHORTHAND_TASK = 'task';

/** `capability`: that of the `<m>.tasks.<capability>` subject; undefined for `<m>.goals.submit`. `sequence`: in `<m>_goals`. */
export function readSubmission(
  bytes: Uint8Array,
  sequence: number,
  capability: string | undefined,
): Accepted | Refused {
  const decoded = capability === undefined ? decode(GoalSubmission, bytes) : expandShorthand(bytes, capability);
  if (!decoded.ok) return refusedBySchema(decoded);
  const submission = decoded.value;
  const goalId = submission.goalId ?? `g-${sequence}`;
  const refuse = (error: Refused['error']): Refused => ({
    ok: false,
    goalId,
    error,
    description: submission.description,
  });
  const bulk = bytes.length > SUBMITTED_BYTES_MAX ? bulkOf(submission) : undefined;
  if (bulk !== undefined) return refuse(bulk);
  if (submission.tasks === undefined) {
    const accepted = { ok: true, goalId, submission, explicit: false } as const;
    return submission.pattern === 'peer-to-peer'
      ? { ...accepted, tasks: [firstAuction(submission.description)], growsTo: REVISIONS_MAX }
      : { ...accepted, tasks: [planTask(submission)] };
  }
  const fault = graphFault(submission.tasks);
  if (fault !== undefined) return refuse(fault);
  return { ok: true, goalId, submission, explicit: true, tasks: submission.tasks };
}

/** The first part of a large submission that would make a record which no broker takes: with it the goal could never end (I5). */
function bulkOf({ description, input, metadata, tasks = [] }: GoalSubmission): Refused['error'] | undefined {
  const parts: { readonly path: string; readonly part: object }[] = [
    { path: 'input', part: { description, input, metadata } },
    ...tasks.map((part, index) => ({ path: `tasks.${index}`, part })),
  ];
  for (const { path, part } of parts) {
    const { length } = encode(part);
    if (length <= SUBMITTED_BYTES_MAX) continue;
    const message = `expected at most ${SUBMITTED_BYTES_MAX} bytes of JSON, got ${length}; put the input into the object bucket and send {"$blob": "<name>"}`;
    return { code: 'invalid_schema', message, path };
  }
  return undefined;
}

/** The first reason for which these tasks cannot be a goal's graph. */
function graphFault(tasks: readonly TaskSpec[]): Refused['error'] | undefined {
  if (tasks.length > TASKS_MAX) {
    return {
      code: 'plan_too_large',
      message: `expected at most ${TASKS_MAX} tasks, got ${tasks.length}; split the goal`,
      path: 'tasks',
    };
  }
  const graph = validateGraph(tasks);
  if (graph.ok) return undefined;
  const { code, message, path } = graph.fault;
  return { code, message, path };
}

function expandShorthand(bytes: Uint8Array, capability: string): Decoded<GoalSubmission> {
  const decoded = decode(TaskShorthand, bytes);
  if (!decoded.ok) return decoded;
  if (!isId(capability)) {
    return {
      ok: false,
      code: 'invalid_schema',
      message: `expected a capability of 1 to 64 characters A-Z a-z 0-9 _ - in the subject, got "${capability.slice(0, 80)}"`,
      raw: decoded.value,
    };
  }
  const { description, input, goalId, budget, maxAttempts, timeoutMs } = decoded.value;
  const task = {
    taskId: SHORTHAND_TASK,
    capability,
    description,
    dependencies: [],
    ...defined({ input, maxAttempts, timeoutMs }),
  };
  return fit(GoalSubmission, { description, tasks: [task], ...defined({ goalId, budget, input }) });
}

function defined<T extends Record<string, unknown>>(fields: T): Partial<T> {
  const kept: Partial<T> = {};
  for (const key of Object.keys(fields) as (keyof T)[]) if (fields[key] !== undefined) kept[key] = fields[key];
  return kept;
}

/** Also a submission that fits no schema may name its goal: then the refusal can be read at that goal's key. */
function refusedBySchema(decoded: Extract<Decoded<unknown>, { ok: false }>): Refused {
  const raw: Record<string, unknown> =
    typeof decoded.raw === 'object' && decoded.raw !== null ? { ...decoded.raw } : {};
  const named = Object.hasOwn(raw, 'goalId') ? raw['goalId'] : undefined;
  const description = typeof raw['description'] === 'string' ? raw['description'].slice(0, 1_000) : '';
  const tooMany = Array.isArray(raw['tasks']) && raw['tasks'].length > TASKS_MAX;
  const code: RejectCode = tooMany ? 'plan_too_large' : decoded.code;
  const error = { code, message: decoded.message, ...(decoded.path === undefined ? {} : { path: decoded.path }) };
  return { ok: false, ...(isId(named) ? { goalId: named } : {}), error, description };
}

function planTask(submission: GoalSubmission): TaskSpec {
  return {
    taskId: PLAN_TASK,
    capability: PLAN_CAPABILITY,
    description: submission.description,
    dependencies: [],
    ...defined({ input: submission.input }),
  };
}

/** The tasks of a plan, those that wait for nothing with the goal's own input, or why they cannot be tasks of its goal. */
export function tasksOfPlan(
  plan: Plan,
  goalInput: Json | undefined,
  mayPlan: boolean,
):
  | { readonly ok: true; readonly tasks: readonly TaskSpec[] }
  | { readonly ok: false; readonly error: Refused['error'] } {
  // A plan within a plan is bounded by the goal's revisions; without any it would call for plans without end (I10).
  const reserved = plan.tasks.find(
    (task) => task.taskId === PLAN_TASK || (task.capability === PLAN_CAPABILITY && !mayPlan),
  );
  if (reserved !== undefined) {
    const message = `a plan must not contain "${PLAN_TASK}" as task, nor as capability unless it may be revised`;
    return { ok: false, error: { code: 'invalid_schema', message, path: 'tasks' } };
  }
  const tasks = plan.tasks.map((task) =>
    task.input === undefined && task.dependencies.length === 0 && goalInput !== undefined
      ? { ...task, input: goalInput }
      : task,
  );
  return { ok: true, tasks };
}

/** The first of these tasks that would make a record which no broker takes; as for a submission, the goal could never end (I5). */
function bulkOfTasks(tasks: readonly TaskSpec[]): Refused['error'] | undefined {
  const dependents = dependentsOf(tasks);
  for (const [index, task] of tasks.entries()) {
    const { length } = encode({ ...task, dependents: dependents.get(task.taskId) });
    if (length <= SUBMITTED_BYTES_MAX) continue;
    const message = `expected at most ${SUBMITTED_BYTES_MAX} bytes of JSON for task "${task.taskId}" with its input and edges, got ${length}; put the input into the object bucket and name it: {"$blob": "<name>"}`;
    return { code: 'plan_too_large', message, path: `tasks.${index}` };
  }
  return undefined;
}

/** The graph of a committed plan beside its `plan` task, or why it cannot be one. */
export function graphOfPlan(
  plan: Plan,
  goalInput: Json | undefined,
):
  | { readonly ok: true; readonly tasks: readonly TaskSpec[] }
  | { readonly ok: false; readonly error: Refused['error'] } {
  const tasks = tasksOfPlan(plan, goalInput, (plan.revisions ?? 0) > 0);
  const error = tasks.ok ? (graphFault(tasks.tasks) ?? bulkOfTasks(tasks.tasks)) : tasks.error;
  return error === undefined ? tasks : { ok: false, error };
}

/** What every task of one goal has in common. `now`: ms since the epoch. */
export interface GoalFacts {
  readonly goalId: string;
  readonly correlationId: string;
  readonly traceparent?: string;
  readonly deadline: string;
  readonly continues: boolean;
  readonly revisable: boolean;
  readonly now: number;
}

/** First records of a goal's tasks: those without dependencies are ready, the others pending. */
export function firstRecords(tasks: readonly GraphTask[], goal: GoalFacts): readonly TaskRecord[] {
  const dependents = dependentsOf(tasks);
  return tasks.map((task) => ({
    goalId: goal.goalId,
    taskId: task.taskId,
    capability: task.capability,
    description: task.description,
    attempt: 0,
    dependencies: [...new Set(task.dependencies)],
    ...(task.input === undefined ? {} : { input: task.input }),
    cost: NO_COST,
    correlationId: goal.correlationId,
    ...(goal.traceparent === undefined ? {} : { traceparent: goal.traceparent }),
    createdAt: timestamp(goal.now),
    dependents: [...(dependents.get(task.taskId) ?? [])],
    maxAttempts: task.maxAttempts ?? MAX_ATTEMPTS_DEFAULT,
    timeoutMs: task.timeoutMs ?? TASK_TIMEOUT_MS_DEFAULT,
    deadline: goal.deadline,
    ...(task.vote === undefined ? {} : { vote: task.vote }),
    ...(goal.continues ? { continues: true as const } : {}),
    ...(task.assignee === undefined ? {} : { assignee: task.assignee }),
    ...(task.peer === undefined ? {} : { peer: task.peer }),
    ...(goal.revisable ? { revisable: true as const } : {}),
    ...(task.tolerant === undefined ? {} : { tolerant: task.tolerant }),
    ...(task.failures === undefined ? {} : { failures: task.failures }),
    status: task.dependencies.length === 0 ? ('ready' as const) : ('pending' as const),
  }));
}

/** New plans that a failure may lead to: as the user said, else some for a goal whose plan is the planner's own. */
export function replansOf({ replans, pattern }: GoalSubmission, explicit: boolean): number {
  // What nobody planned is not planned anew.
  if (!explicit && pattern === 'peer-to-peer') return 0;
  return replans ?? (!explicit && pattern === 'orchestrator' ? REPLANS_DEFAULT : 0);
}

/** A new plan is asked for by one revision and brought by another; more where several tasks fail at once. */
const REVISIONS_PER_REPLAN = 8;

/** How often the graph of these tasks may be revised: as its plan asks for, and by every repair that there may be (I10). */
export function revisionsMaxOf(
  goal: { readonly replansMax?: number | undefined; readonly onTaskFailure: 'fail' | 'continue' },
  tasks: readonly TaskSpec[],
  asked: number,
): number {
  const tolerant = goal.onTaskFailure === 'continue' && tasks.some((task) => task.tolerant === true);
  const repairs = REVISIONS_PER_REPLAN * (goal.replansMax ?? 0) + (tolerant ? tasks.length : 0);
  return Math.min(REVISIONS_MAX, asked + repairs);
}

/** When the goal's wall clock runs out, ms since the epoch. */
export function deadlineOf(submission: GoalSubmission, now: number): number {
  return now + (submission.budget?.wallMs ?? WALL_MS_DEFAULT);
}
