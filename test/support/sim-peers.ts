/** What must be true of a goal that nobody planned: one award after the other, its work by nobody else than the one who won it, and one answer. */
import type { EndedGoal } from '../../shared/protocol/goal.ts';
import { Award, PEER_TASKS_MAX } from '../../shared/protocol/peer.ts';
import type { Revision } from '../../shared/protocol/plan.ts';
import type { TaskRecord } from '../../shared/protocol/task.ts';
import type { SimGoal } from './sim-goals.ts';

interface Unplanned {
  readonly goal: SimGoal;
  readonly last: Exclude<EndedGoal, { status: 'rejected' }>;
  readonly changes: readonly Revision[];
  /** All tasks of the goal, as they stand in the end. */
  readonly tasks: readonly TaskRecord[];
}

export function peerProblems(unplanned: Unplanned): readonly string[] {
  const { goal, last, tasks } = unplanned;
  const problems = [...tasks.flatMap((task) => workProblems(unplanned, task)), ...partProblems(unplanned)];
  const answers = tasks.filter(isAnswer);
  // Also one that has to do without a part: it is failed then, and yet has a result.
  for (const { taskId, result } of answers)
    if (JSON.stringify(last.result) !== JSON.stringify(result))
      problems.push(`is ${last.status} with another result than ${taskId} answered`);
  if (answers.length > 1 || (last.status === 'completed' && answers.length !== 1))
    problems.push(`is ${last.status} with ${answers.length} answers`);
  return problems.map((problem) => `PEERS ${goal.goalId} ${problem}`);
}

function isAnswer(task: TaskRecord): task is Extract<TaskRecord, { status: 'completed' }> {
  return task.status === 'completed' && task.peer?.role === 'work' && task.step?.kind === 'answer';
}

function workProblems({ tasks }: Unplanned, task: TaskRecord): string[] {
  const { taskId, assignee, capability, dependencies } = task;
  if (task.peer?.role !== 'work') return [];
  const auction = tasks.find((each) => each.taskId === dependencies[0]);
  const award = auction?.status === 'completed' ? Award.safeParse(auction.result).data : undefined;
  const problems: string[] = [];
  if (award === undefined) problems.push(`has work ${taskId} that was awarded by none`);
  else if (award.agentId !== assignee || award.capability !== capability)
    problems.push(`has work ${taskId} for ${assignee}, the award went to ${award.agentId}`);
  if (task.status === 'completed' && task.agentId !== assignee)
    problems.push(`has work ${taskId}, which was meant for ${assignee}, done by ${task.agentId}`);
  return problems;
}

/** Whoever goes on has the result, or the name, of every part that was split off before; and somebody goes on, if the goal allows it. */
function partProblems({ goal, last, changes, tasks }: Unplanned): string[] {
  const problems: string[] = [];
  const parts = tasks.filter(({ peer }) => peer?.role === 'part');
  for (const { taskId, peer, dependencies, failures = [] } of tasks) {
    if (peer?.role !== 'work') continue;
    const before = parts.filter((part) => (part.peer?.turn ?? 0) < peer.turn);
    const having = (status: TaskRecord['status']): string[] =>
      before.filter((part) => part.status === status).map((part) => part.taskId);
    const named = failures.map((each) => each.taskId);
    if (named.toSorted().join() !== having('failed').toSorted().join())
      problems.push(`names ${named.join(', ') || 'no part'} in ${taskId}, failed are ${having('failed').join(', ')}`);
    const lost = having('completed').filter((id) => !dependencies.includes(id));
    if (lost.length > 0) problems.push(`has ${taskId} go on without ${lost.join(', ')}, which did not fail`);
  }
  const merges = changes.filter(({ repairs }) => repairs !== undefined);
  if (goal.onTaskFailure === 'fail' && merges.length > 0) problems.push('goes on without a part under `fail`');
  const full = tasks.length >= PEER_TASKS_MAX || changes.length >= (last.revisionsMax ?? 0);
  const others = tasks.filter(({ peer, status }) => peer?.role !== 'part' && status === 'failed');
  const gaveUp = last.status === 'failed' && last.error.code === 'task_failed' && others.length === 0;
  if (goal.onTaskFailure === 'continue' && gaveUp && !full && !tasks.some(isAnswer))
    problems.push(`failed because a part did: ${last.error.message}`);
  return problems;
}
