/** What must be true of a goal whose graph was changed because a task failed, judged by its records alone: the drawn graph does not foretell which. */
import { type EndedGoal, TASKS_MAX } from '../../shared/protocol/goal.ts';
import { PEER_TASKS_MAX } from '../../shared/protocol/peer.ts';
import type { Revision } from '../../shared/protocol/plan.ts';
import { AUCTION_CAPABILITY } from '../../shared/protocol/subjects.ts';
import type { TaskRecord } from '../../shared/protocol/task.ts';
import { behaviourOf, resultOf, type SimGoal } from './sim-goals.ts';

/** New plans that a goal may get by itself. */
const REPLANS_MAX = 2;
/** Failures that are the goal's own reason, whatever failed before. */
const LIMITS = ['budget_exceeded', 'deadline_exceeded', 'cancelled'];

interface Repaired {
  readonly goal: SimGoal;
  readonly last: Exclude<EndedGoal, { status: 'rejected' }>;
  readonly changes: readonly Revision[];
  /** All tasks of the goal, as they stand in the end. */
  readonly tasks: readonly TaskRecord[];
  /** A value, or what its blob holds. */
  readonly value: (of: unknown) => unknown;
}

export function repairedProblems(repaired: Repaired): readonly string[] {
  const { goal, last, changes, tasks } = repaired;
  const said = (problem: string): string => `REPAIR ${goal.goalId} ${problem}`;
  const replaced = new Set(changes.flatMap(({ replaces }) => replaces));
  const counting = tasks.filter(({ taskId }) => !replaced.has(taskId));
  const complete = counting.every(({ status }) => status === 'completed');
  const problems = [...resultProblems(repaired, counting), ...namingProblems(repaired)];
  if (last.status === 'completed' && !complete) problems.push('is completed, and a task that counts is not');
  // A plan of the goal's own may ask for what a repair has made impossible.
  const contradicted = last.status === 'failed' && last.error.message.includes('cannot be carried out');
  if (last.status === 'failed' && complete && last.error.code === 'task_failed' && !contradicted)
    problems.push(`is failed, and all that counts is completed: ${last.error.message}`);

  const plans = changes.flatMap(({ repairs }) => (repairs?.kind === 'replan' ? [repairs] : []));
  const numbers = [...new Set(plans.map(({ number }) => number))];
  if (numbers.length > REPLANS_MAX || numbers.some((number, index) => number !== index + 1))
    problems.push(`was planned anew as ${numbers.join(', ')}`);
  const refused =
    last.status === 'failed'
      ? /(?:the plan of|what) task (replan-\S+) (?:leads to )?cannot/.exec(last.error.message)?.[1]
      : undefined;
  const planners = changes.flatMap(({ repairs, tasks: asked }) => (repairs?.kind === 'replan' ? asked : []));
  if (refused !== undefined && (planners.at(-1)?.taskId !== refused || numbers.length < REPLANS_MAX))
    problems.push(`fails by the plan of ${refused}, which is not its last`);
  const [first] = plans;
  if (last.status === 'failed' && first !== undefined && !LIMITS.includes(last.error.code) && !contradicted) {
    const reason = `task ${first.failure.taskId} failed (${first.failure.error.code})`;
    if (!last.error.message.startsWith(reason))
      problems.push(`fails with "${last.error.message}", first was: ${reason}`);
  }
  return problems.map(said);
}

/** A tolerant task is given up only when nothing is left that it waits for, or the graph may not be changed any more. */
export function givenUpProblems({ goal, last, changes, tasks }: Omit<Repaired, 'value'>): readonly string[] {
  const most = goal.peers === undefined ? TASKS_MAX : PEER_TASKS_MAX;
  if (goal.onTaskFailure === 'fail' || tasks.length >= most || changes.length >= (last.revisionsMax ?? 0)) return [];
  const replaced = new Set(changes.flatMap(({ replaces }) => replaces));
  const completed = new Set(tasks.filter(({ status }) => status === 'completed').map(({ taskId }) => taskId));
  return tasks
    .filter((task) => task.tolerant === true && !replaced.has(task.taskId))
    .filter((task) => task.status === 'cancelled' && task.error?.code === 'dependency_failed')
    .filter(({ dependencies }) => dependencies.some((id) => completed.has(id)))
    .map(({ taskId }) => `REPAIR ${goal.goalId} gave ${taskId} up, which could do without what failed`);
}

/** Every result, computed again from the records' own edges. */
function resultProblems({ goal, last, changes, tasks, value }: Repaired, counting: readonly TaskRecord[]): string[] {
  const problems: string[] = [];
  const results = new Map<string, unknown>(
    tasks.flatMap((task) => (task.status === 'completed' ? [[task.taskId, value(task.result)]] : [])),
  );
  for (const task of tasks) {
    if (task.status !== 'completed' || task.capability === 'plan' || task.capability === AUCTION_CAPABILITY) continue;
    const dependencies = Object.fromEntries(task.dependencies.map((taskId) => [taskId, results.get(taskId)]));
    const missing = (task.failures ?? []).map(({ taskId }) => taskId);
    const { bulk } = behaviourOf(task, task.input);
    const right = JSON.stringify(resultOf(task.taskId, bulk, dependencies, missing));
    if (JSON.stringify(results.get(task.taskId)) !== right) problems.push(`has another result of ${task.taskId}`);
  }
  // Who planned anew has seen what was finished, and that stays the goal's where the new plan does without it.
  const planners = changes.flatMap(({ repairs, tasks: asked }) => (repairs?.kind === 'replan' ? asked : []));
  const needy = counting.filter(({ taskId }) => !planners.some((planner) => planner.taskId === taskId));
  const needed = new Set(needy.flatMap(({ dependencies }) => dependencies));
  const causes = new Set(['plan', ...changes.map(({ cause }) => cause)]);
  const sinks = counting.map(({ taskId }) => taskId).filter((taskId) => !needed.has(taskId) && !causes.has(taskId));
  const some = last.sinks.filter((taskId) => results.has(taskId));
  if (some.length > 0 && last.result === undefined) problems.push(`says no result, though ${some.join(', ')} has one`);
  if (last.status !== 'completed') return problems;
  const whole = value(last.result);
  const got =
    sinks.length === 1
      ? new Map([[sinks[0], whole]])
      : new Map(Object.entries(whole ?? {}).map(([taskId, result]) => [taskId, value(result)]));
  if (sinks.length !== got.size || sinks.some((taskId) => json(got.get(taskId)) !== json(results.get(taskId))))
    problems.push(`says ${json(whole).slice(0, 200)} is the result of ${sinks.join(', ')} (${goal.onTaskFailure})`);
  return problems;
}

function json(value: unknown): string {
  return JSON.stringify(value) ?? 'undefined';
}

/** A copy that does without something names it, and has every other dependency of its original. */
function namingProblems({ changes, tasks }: Repaired): string[] {
  const byId = new Map(tasks.map((task) => [task.taskId, task]));
  return changes.flatMap(({ repairs, tasks: copies, replaces }) => {
    if (repairs?.kind !== 'merge') return [];
    return copies.flatMap((copy): string[] => {
      const name = copy.taskId.replace(/^r\d+-/, '');
      const original = replaces.map((id) => byId.get(id)).find((task) => task?.taskId.replace(/^r\d+-/, '') === name);
      if (original === undefined) return [`has a copy ${copy.taskId} of nothing`];
      const before = (original.failures ?? []).map(({ taskId }) => taskId);
      const named = (copy.failures ?? []).map(({ taskId }) => taskId).filter((id) => !before.includes(id));
      const problems = named
        .filter((id) => byId.get(id)?.status === 'completed' || !original.dependencies.includes(id))
        .map((id) => `names ${id} in ${copy.taskId}, which did not fail it`);
      if (copy.dependencies.length + named.length !== original.dependencies.length)
        problems.push(`loses a dependency of ${original.taskId} without a word`);
      return problems;
    });
  });
}
