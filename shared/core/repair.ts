/**
 * What can be done about a task that failed for good, before its goal fails: a revision of the graph, made from the records alone, so that everybody who
 * finds the failure makes the same one. Two kinds:
 *
 *   merge   tolerant tasks do without what failed: each is replaced by a copy without those dependencies, which names them (I2 holds for the copy).
 *   replan  the task and what waits for it are replaced by one task that plans: it is told what failed and gets the results that there are.
 */
import type { ErrorInfo, LiveGoal } from '../protocol/goal.ts';
import { type GraphTask, ReplanRequest, type Revision } from '../protocol/plan.ts';
import { PLAN_CAPABILITY } from '../protocol/subjects.ts';
import type { EndedTask, TaskFailure, TaskRecord } from '../protocol/task.ts';
import { validateGraph } from './dag.ts';
import { toldBeside } from './peer.ts';
import { type Draft, limitsOf, liveGraph, plannersOf, revise, stateOf } from './revision.ts';

export type FailedTask = Extract<EndedTask, { status: 'failed' }>;

export interface Situation {
  readonly goal: LiveGoal;
  /** All tasks of the goal, those included that revisions replaced. */
  readonly tasks: ReadonlyMap<string, TaskRecord>;
  readonly revisions: readonly Revision[];
}

export interface Repair {
  readonly draft: Draft<GraphTask>;
  readonly repairs: NonNullable<Revision['repairs']>;
}

/** Failures that no other plan can mend: what they are about is the goal's, not the task's. */
const BEYOND_REPAIR: ReadonlySet<string> = new Set(['budget_exceeded', 'deadline_exceeded', 'cancelled']);
/** A goal that comes to one of its limits fails with that, whatever failed before. */
const ITS_OWN_REASON: ReadonlySet<string> = new Set(['budget_exceeded', 'deadline_exceeded']);
/** Tasks of one kind that a planner is told of (I10). */
const PARTS_MAX = 64;
/** Characters of one task's words in what others are told of it: fewer where so many failed that the revision would become too large. */
const WORDS_MAX = [500, 40] as const;
/** Of a revision's tasks as JSON: with the rest of its record below the payload of 1 MB that a broker allows by default (I10). */
const BYTES_MAX = 768 * 1024;

/** Undefined: there is nothing to be done, the failure is the goal's. */
export function repairOf(situation: Situation, failed: FailedTask): Repair | undefined {
  return fitting((words) => mergeWithout(situation, failed, words) ?? replan(situation, failed, words));
}

/**
 * What becomes of a new plan that cannot be carried out: while it was made something else may have failed that it goes on from. A planner that was asked
 * later knows of that, and this plan is dropped; else there is another new plan, if there may be. Undefined: the goal fails.
 */
export function afterRefusal(
  situation: Situation,
  planner: EndedTask,
  refusal: string,
): (Pick<Repair, 'draft'> & Pick<Revision, 'repairs' | 'reason'>) | undefined {
  const planners = [...plannersOf(situation.revisions)];
  const asked = planners.indexOf(planner.taskId);
  if (asked < 0 || planner.status !== 'completed') return undefined;
  const later = new Set(planners.slice(asked + 1));
  if (countingOf(situation).some(({ taskId }) => later.has(taskId))) {
    const reason = clip(`a later plan stands in for it: ${refusal}`, WORDS_MAX[0]);
    return { draft: { cause: planner.taskId, replaces: [], tasks: [] }, reason };
  }
  return fitting((words) => {
    const error = { code: 'unplannable', message: refusal };
    const failure = failureOfTask(situation.goal, { ...planner, error }, words);
    // What failed meanwhile, and is not mended yet, is planned anew with it.
    const { lost, given } = lossesOf(situation) ?? { lost: new Set<string>(), given: [] };
    const waiting = [...ReplanRequest.parse(planner.input).replan.waiting, ...given.map((task) => partOf(task, words))];
    return newPlan(situation, { cause: planner.taskId, failure, lost, waiting }, words);
  });
}

function fitting(repairWith: (words: number) => Repair | undefined): Repair | undefined {
  for (const words of WORDS_MAX) {
    const repair = repairWith(words);
    if (repair === undefined || bytesOf(repair.draft.tasks) <= BYTES_MAX) return repair;
  }
  return undefined;
}

function bytesOf(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).length;
}

/** Some task's failure is to become a revision: the goal does not end before it has. */
export function awaitsRepair(situation: Situation): boolean {
  const { goal, tasks, revisions } = situation;
  if (revisions.length >= (goal.revisionsMax ?? 0)) return false;
  const settled = new Set(revisions.flatMap(({ cause, replaces }) => [cause, ...replaces]));
  return [...tasks.values()].some((task) => {
    if (task.status !== 'failed' || settled.has(task.taskId)) return false;
    const repair = repairOf(situation, task);
    return repair !== undefined && revise(liveGraph(tasks, revisions), repair.draft, limitsOf(goal, task)).ok;
  });
}

/** Why a goal fails: of one that was planned anew, what made that necessary first; `last` is why no further plan can save it. */
export function endOf(revisions: readonly Revision[], last: ErrorInfo): ErrorInfo {
  const first = revisions.find(({ repairs }) => repairs?.kind === 'replan')?.repairs?.failure;
  if (first === undefined || ITS_OWN_REASON.has(last.code)) return last;
  const { code, message } = failureOf(first.taskId, first.error);
  const times = replansOf(revisions);
  return {
    code,
    message: `${message}; planned anew ${times === 1 ? 'once' : `${times} times`}, in the end: ${last.message}`,
  };
}

/** Limits and votes name themselves in the goal's error; every other failure is `task_failed`, with the task's own error in the message. */
export function failureOf(taskId: string, error: ErrorInfo): ErrorInfo {
  const code =
    error.code === 'budget_exceeded' ||
    error.code === 'no_consensus' ||
    error.code === 'deadline_exceeded' ||
    error.code === 'unplannable'
      ? error.code
      : 'task_failed';
  return { code, message: `task ${taskId} failed (${error.code}): ${error.message}` };
}

/** New plans that were asked for. */
export function replansOf(revisions: readonly Revision[]): number {
  return Math.max(0, ...revisions.map(({ repairs }) => (repairs?.kind === 'replan' ? repairs.number : 0)));
}

type DeadTask = Extract<EndedTask, { status: 'failed' | 'cancelled' }>;

function isDead(task: TaskRecord): task is DeadTask {
  return task.status === 'failed' || task.status === 'cancelled';
}

function failureOfTask(
  goal: LiveGoal,
  task: Pick<DeadTask, 'taskId' | 'description' | 'peer' | 'error'>,
  words: number,
): TaskFailure {
  const { code, message } = task.error ?? { code: 'cancelled', message: 'cancelled without a reason' };
  const description = clip(toldBeside(goal, task), words);
  return { taskId: task.taskId, description, error: { code, message: clip(message, words) } };
}

/** Tasks that count, in an order in which they can run. */
function countingOf({ tasks, revisions }: Situation): readonly TaskRecord[] {
  const replaced = new Set(revisions.flatMap(({ replaces }) => replaces));
  const counting = new Map([...tasks].filter(([taskId]) => !replaced.has(taskId)));
  const nodes = [...counting.values()].map(({ taskId, dependencies }) => ({
    taskId,
    dependencies: dependencies.filter((id) => counting.has(id)),
  }));
  const graph = validateGraph(nodes.toSorted((one, other) => (one.taskId < other.taskId ? -1 : 1)));
  return (graph.ok ? graph.order : [...counting.keys()]).flatMap((taskId) => counting.get(taskId) ?? []);
}

function mergeWithout(situation: Situation, failed: FailedTask, words: number): Repair | undefined {
  const { goal } = situation;
  if (goal.onTaskFailure !== 'continue') return undefined;
  const counting = countingOf(situation);
  // Others may have failed at the same moment.
  const failures = new Map(counting.filter(isDead).map((task) => [task.taskId, failureOfTask(goal, task, words)]));
  /** Tasks that get a copy, and its dependencies before they are renamed. */
  const copied = new Map<string, { readonly task: TaskRecord; readonly without: readonly string[] }>();
  for (const task of counting) {
    if (stateOf(task) !== 'waiting') continue;
    const without = task.dependencies.filter((id) => failures.has(id));
    if (without.length === 0 && !task.dependencies.some((id) => copied.has(id))) continue;
    if (without.length > 0 && (task.tolerant !== true || without.length === task.dependencies.length))
      failures.set(task.taskId, givenUp(task, failed.taskId, words));
    else copied.set(task.taskId, { task, without });
  }
  if (copied.size === 0) return undefined;
  // Given up themselves, but they wait for what gets a copy.
  const beyond = new Set<string>();
  for (const { taskId, dependencies } of counting)
    if (failures.has(taskId) && dependencies.some((id) => copied.has(id) || beyond.has(id))) beyond.add(taskId);
  const number = situation.revisions.length + 1;
  const names = namesFor([...copied.keys()], number, situation.tasks);
  const tasks = [...copied.values()].map(({ task, without }): GraphTask => {
    const kept = task.dependencies.filter((id) => !without.includes(id)).map((id) => names.get(id) ?? id);
    const lost = [...(task.failures ?? []), ...without.flatMap((id) => failures.get(id) ?? [])];
    return {
      ...specOf(task, names.get(task.taskId) ?? task.taskId, kept),
      ...(lost.length === 0 ? {} : { failures: lost }),
    };
  });
  return {
    draft: { cause: failed.taskId, replaces: [...copied.keys(), ...beyond], tasks },
    repairs: { kind: 'merge', failure: failureOfTask(goal, failed, words) },
  };
}

function givenUp({ taskId, description }: TaskRecord, failed: string, words: number): TaskFailure {
  const error = { code: 'dependency_failed', message: `task ${failed}, on which it depends, failed` };
  return { taskId, description: clip(description, words), error };
}

function specOf(task: TaskRecord, taskId: string, dependencies: string[]): GraphTask {
  const { capability, description, input, maxAttempts, timeoutMs, vote, peer, tolerant } = task;
  return {
    taskId,
    capability,
    description,
    dependencies,
    maxAttempts,
    timeoutMs,
    ...(input === undefined ? {} : { input }),
    ...(vote === undefined ? {} : { vote }),
    ...(peer === undefined ? {} : { peer }),
    ...(tolerant === undefined ? {} : { tolerant }),
  };
}

function mayReplan(goal: LiveGoal, failed: FailedTask): boolean {
  return (goal.replansMax ?? 0) > 0 && failed.capability !== PLAN_CAPABILITY && !BEYOND_REPAIR.has(failed.error.code);
}

function replan(situation: Situation, failed: FailedTask, words: number): Repair | undefined {
  const { goal } = situation;
  if (!mayReplan(goal, failed)) return undefined;
  const losses = lossesOf(situation);
  if (losses === undefined) return undefined;
  const { lost, given } = losses;
  const waiting = given.map((task) => partOf(task, words));
  return newPlan(
    situation,
    { cause: failed.taskId, failure: failureOfTask(goal, failed, words), lost, waiting },
    words,
  );
}

/** All that failed and can be planned anew, which may be several tasks at the same moment, with what waits for it. */
function lossesOf(
  situation: Situation,
): { readonly lost: ReadonlySet<string>; readonly given: readonly TaskRecord[] } | undefined {
  const counting = countingOf(situation);
  const broken = counting.filter((task) => task.status === 'failed' && mayReplan(situation.goal, task));
  const lost = new Set(broken.map(({ taskId }) => taskId));
  for (const task of counting) if (task.dependencies.some((id) => lost.has(id))) lost.add(task.taskId);
  const given = counting.filter((task) => lost.has(task.taskId) && task.status !== 'failed');
  // Somebody works on what should have waited: then it is not for us to plan around it.
  if (given.some((task) => stateOf(task) !== 'waiting' && task.status !== 'cancelled')) return undefined;
  return { lost, given };
}

interface Reason {
  readonly cause: string;
  readonly failure: TaskFailure;
  /** Tasks that the new plan stands in for, and those of them that never began. */
  readonly lost: ReadonlySet<string>;
  readonly waiting: readonly Part[];
}

function newPlan(
  situation: Situation,
  { cause, failure, lost, waiting: given }: Reason,
  words: number,
): Repair | undefined {
  const { goal, revisions, tasks } = situation;
  const counting = countingOf(situation);
  // A planner that has not begun yet is told of this failure too. It must be one that a repair asked: what a task's input says proves nothing.
  const asked = plannersOf(revisions);
  const waiting = counting.find((task) => stateOf(task) === 'waiting' && asked.has(task.taskId));
  const earlier = waiting === undefined ? undefined : ReplanRequest.parse(waiting.input).replan;
  const number = earlier?.number ?? replansOf(revisions) + 1;
  if (number > (goal.replansMax ?? 0)) return undefined;

  const finished = finishedOf(counting, lost);
  const running = counting.filter((task) => stateOf(task) === 'started' && task.capability !== PLAN_CAPABILITY);
  const request: ReplanRequest['replan'] = {
    number,
    failed: failedSoFar(tasks).map((task) => {
      return { ...partOf(task, words), error: { code: task.error.code, message: clip(task.error.message, words) } };
    }),
    waiting: [...(earlier?.waiting ?? []), ...given].slice(0, PARTS_MAX),
    finished: finished.map((task) => partOf(task, words)),
    running: running.slice(0, PARTS_MAX).map((task) => partOf(task, words)),
  };
  const plans: GraphTask = {
    taskId: unused(`replan-${number}`, tasks),
    capability: PLAN_CAPABILITY,
    description: goal.description,
    dependencies: finished.map((task) => task.taskId),
    input: { replan: request },
  };
  const replaces = [...lost, ...(waiting === undefined ? [] : [waiting.taskId])];
  return { draft: { cause, replaces, tasks: [plans] }, repairs: { kind: 'replan', number, failure } };
}

/** Completed tasks whose results the planner gets: all whose result would otherwise be the goal's, then the others. */
function finishedOf(counting: readonly TaskRecord[], lost: ReadonlySet<string>): readonly TaskRecord[] {
  const work = counting.filter((task) => task.capability !== PLAN_CAPABILITY);
  const completed = work.filter((task) => task.status === 'completed');
  const needed = new Set(work.filter(({ taskId }) => !lost.has(taskId)).flatMap(({ dependencies }) => dependencies));
  const ends = completed.filter(({ taskId }) => !needed.has(taskId));
  const others = completed.filter(({ taskId }) => needed.has(taskId));
  return [...ends, ...others].slice(0, Math.max(PARTS_MAX, ends.length));
}

/** Also what failed before the plan that failed now: a planner that does not know it would try it again. The oldest first. */
function failedSoFar(tasks: ReadonlyMap<string, TaskRecord>): readonly FailedTask[] {
  return [...tasks.values()]
    .filter((task): task is FailedTask => task.status === 'failed' && task.capability !== PLAN_CAPABILITY)
    .toSorted((one, other) => (one.finishedAt + one.taskId < other.finishedAt + other.taskId ? -1 : 1))
    .slice(0, PARTS_MAX);
}

type Part = ReplanRequest['replan']['waiting'][number];

function partOf({ taskId, capability, description }: TaskRecord, words: number): Part {
  return { taskId, capability, description: clip(description, words) };
}

/** New names for tasks that get a copy: `r<revision>-` and the name that the first of them had. */
function namesFor(
  taskIds: readonly string[],
  revision: number,
  used: ReadonlyMap<string, unknown>,
): ReadonlyMap<string, string> {
  const taken = new Map(used);
  return new Map(
    taskIds.map((taskId) => {
      const name = unused(`r${revision}-${taskId.replace(/^r\d+-/, '')}`, taken);
      taken.set(name, undefined);
      return [taskId, name];
    }),
  );
}

const ID_LENGTH_MAX = 64;
const NUMBER_LENGTH_MAX = 8;

/** `wanted`, or the first of `<wanted>-2`, `<wanted>-3`... that no task has. */
function unused(wanted: string, taken: ReadonlyMap<string, unknown>): string {
  const base = wanted.slice(0, ID_LENGTH_MAX - NUMBER_LENGTH_MAX);
  if (base === wanted && !taken.has(base)) return base;
  for (let count = 2; ; count += 1) if (!taken.has(`${base}-${count}`)) return `${base}-${count}`;
}

function clip(text: string, words: number): string {
  return text.slice(0, words).toWellFormed();
}
