/**
 * What must be true of a finished schedule, judged by the stream alone: by what was written, and by what the queues handed out, never by what an
 * engine says of itself. Each finding begins with the invariant that it breaks.
 */
import { close } from '../../shared/core/budget.ts';
import type { Ledger } from '../../shared/protocol/ledger.ts';
import { type EndedGoal, isTerminalGoal } from '../../shared/protocol/goal.ts';
import { isBlobRef } from '../../shared/protocol/ids.ts';
import { PLAN_TASK, type Revision } from '../../shared/protocol/plan.ts';
import { isTerminalTask, type TaskRecord } from '../../shared/protocol/task.ts';
import { type FinalGraph, finalGraph, MICRO, resultOf, type SimGoal } from './sim-goals.ts';
import { type History, readHistory, type Written } from './sim-history.ts';
import { peerProblems } from './sim-peers.ts';
import { givenUpProblems, repairedProblems } from './sim-repairs.ts';
import type { World } from './sim-world.ts';

const decoder = new TextDecoder();

/** Everything that is wrong, or an empty list. */
export function violations(world: World): readonly string[] {
  const problems: string[] = [];
  const history = readHistory(world.dag.stream, problems);
  const completedAt = new Map<string, number>();
  for (const [id, revisions] of history.tasks) {
    const completed = revisions.find(({ record }) => record.status === 'completed');
    if (completed !== undefined) completedAt.set(id, completed.revision);
  }
  for (const [id, revisions] of history.tasks) checkTask(world, id, revisions, completedAt, problems);
  checkItems(history, completedAt, problems);
  for (const goal of world.goals) checkGoal(world, goal, history, problems);
  for (const [goalId, revisions] of history.revisions) checkRevisions(goalId, revisions, history, problems);
  for (const [goalId, revisions] of history.ledgers) checkLedger(goalId, revisions, problems);
  checkRounds(history, problems);
  checkRest(world, problems);
  problems.push(...world.acks.problems);
  return problems;
}

/** I7: a round has one record, one result one decision, and a task with voters completes only with their approval. */
function checkRounds({ rounds, tasks }: History, problems: string[]): void {
  const decided = new Map<string, string[]>();
  const approved = new Set<string>();
  for (const [roundId, revisions] of rounds) {
    if (revisions.length > 1) problems.push(`I7 round ${roundId} was written ${revisions.length} times`);
    const record = revisions[0]?.record;
    if (record?.consensus !== true) continue;
    // The digest in a round's id is that of the result which it is about.
    const result = roundId.replace(/-\d+$/, '');
    decided.set(result, [...(decided.get(result) ?? []), roundId]);
    if (record.position === 'approve') approved.add(`${record.goalId}.${record.taskId}`);
  }
  for (const roundIds of decided.values())
    if (roundIds.length > 1)
      problems.push(`I7 one result was decided ${roundIds.length} times: ${roundIds.join(', ')}`);
  for (const [id, revisions] of tasks) {
    const last = revisions.at(-1)?.record;
    if (last?.status !== 'completed' || last.vote === undefined) continue;
    // What peers pass on is nobody's answer yet; and one that had nobody to judge it says so.
    const isJudged = last.step === undefined || (last.step.kind === 'answer' && last.step.approval === 'vote');
    if (isJudged && !approved.has(id)) problems.push(`I7 ${id} completed, and its voters never approved it`);
  }
}

function checkTask(
  world: World,
  id: string,
  revisions: readonly Written<TaskRecord>[],
  completedAt: ReadonlyMap<string, number>,
  problems: string[],
): void {
  const terminal = revisions.filter(({ record }) => isTerminalTask(record));
  if (terminal.length > 1)
    problems.push(
      `I1 ${id} ended ${terminal.length} times: ${terminal.map(({ record, revision }) => `${record.status} at ${revision}`).join(', ')}`,
    );
  const last = revisions.at(-1);
  if (terminal.length === 1 && terminal[0] !== last) problems.push(`I1 ${id} changed after its end`);
  for (const [index, { record, revision }] of revisions.entries()) {
    const { goalId, dependencies, attempt, maxAttempts } = record;
    if (record.status === 'in_progress' || record.status === 'completed') {
      for (const dependency of dependencies) {
        const at = completedAt.get(`${goalId}.${dependency}`) ?? Number.POSITIVE_INFINITY;
        if (at > revision)
          problems.push(`I2 ${id} is ${record.status} at ${revision}, before ${dependency} completed (${at})`);
      }
    }
    if (attempt > maxAttempts) problems.push(`I10 ${id} is at attempt ${attempt} of ${maxAttempts}`);
    if ((record.reworks ?? 0) > (record.vote?.maxReworks ?? 1))
      problems.push(`I10 ${id} was sent back ${record.reworks} times`);
    const before = revisions[index - 1]?.record;
    if (before !== undefined) checkStep(world, id, before, record, problems);
  }
}

/** I3: who may follow whom. */
function checkStep(world: World, id: string, before: TaskRecord, after: TaskRecord, problems: string[]): void {
  const steps = after.attempt - before.attempt;
  if (steps < 0 || steps > 1) problems.push(`I10 ${id} went from attempt ${before.attempt} to ${after.attempt}`);
  if (before.status !== 'in_progress') {
    if (after.status === 'pending' || (before.status === 'ready' && after.status === 'ready' && steps === 0))
      problems.push(`I3 ${id} went from ${before.status} to ${after.status}`);
    return;
  }
  if (after.status === 'cancelled' || after.status === 'pending') {
    if (after.status === 'pending') problems.push(`I3 ${id} went back to pending`);
    return;
  }
  const handed = world.queue(before.capability)?.handedOut.get(before.item) ?? 0;
  if (after.status === 'in_progress') {
    if (after.item !== before.item)
      problems.push(`I3 ${id}: the claim for item ${before.item} was taken over for item ${after.item}`);
    if (after.attempt === before.attempt && after.agentId !== before.agentId)
      problems.push(`I3 ${id}: ${after.agentId} wrote on the claim of ${before.agentId}`);
    // A lease that ran out shows as a redelivery of the very item.
    if (after.attempt > before.attempt && handed < 2)
      problems.push(
        `I3 ${id}: ${after.agentId} took the claim of ${before.agentId} over, and its item was handed out once`,
      );
    return;
  }
  if (after.status === 'completed') {
    if (after.attempt !== before.attempt || after.agentId !== before.agentId || after.startedAt !== before.startedAt) {
      problems.push(
        `I3 ${id} was completed by ${after.agentId} (attempt ${after.attempt}) on the claim of ${before.agentId} (attempt ${before.attempt})`,
      );
    }
    return;
  }
  if (after.status === 'failed' && after.error.code !== 'lease_expired' && after.agentId !== before.agentId) {
    problems.push(`I3 ${id} was failed by ${after.agentId} on the claim of ${before.agentId}`);
  }
}

function checkItems(history: History, completedAt: ReadonlyMap<string, number>, problems: string[]): void {
  for (const { task, revision } of history.items) {
    const [goalId = ''] = task.split('.');
    const record = history.tasks.get(task)?.[0]?.record;
    for (const dependency of record?.dependencies ?? []) {
      const at = completedAt.get(`${goalId}.${dependency}`) ?? Number.POSITIVE_INFINITY;
      if (at > revision)
        problems.push(`I2 ${task} was released at ${revision}, before ${dependency} completed (${at})`);
    }
  }
}

function checkGoal(world: World, goal: SimGoal, history: History, problems: string[]): void {
  const { goalId } = goal;
  const revisions = history.goals.get(goalId) ?? [];
  const last = revisions.at(-1)?.record;
  if (last === undefined || !isTerminalGoal(last)) {
    problems.push(`I5 ${goalId} is ${last?.status ?? 'nowhere'}`);
    return;
  }
  const [first = 0, second] = world.receipts.get(goalId) ?? [];
  const { refused, unknown, torn } = world.dag.counts;
  // A death, or a write without an answer, may leave the second one's record behind before it gives way. Of two bad ones either may say why.
  const smooth = world.deaths.length === 0 && refused + unknown + torn === 0 && goal.fate === 'accepted';
  if (second === first + 1 && smooth && last.description !== goal.submission['description'])
    problems.push(`PROTOCOL ${goalId}: of two submissions side by side the second was accepted`);
  const endedAt = revisions.at(-1)?.revision ?? 0;
  for (const [id, written] of history.tasks) {
    const end = written.find(({ record }) => isTerminalTask(record))?.revision ?? Number.POSITIVE_INFINITY;
    if (id.startsWith(`${goalId}.`) && end > endedAt)
      problems.push(`I5 ${goalId} ended at ${endedAt}, before its task ${id} did (${end})`);
  }
  if (revisions.filter(({ record }) => isTerminalGoal(record)).length > 1)
    problems.push(`I5 ${goalId} ended more than once`);
  const tasks = [...history.tasks]
    .filter(([id]) => id.startsWith(`${goalId}.`))
    .map(([, written]) => written.at(-1)?.record);
  const count = (status: TaskRecord['status']): number => tasks.filter((task) => task?.status === status).length;
  const counted = {
    total: tasks.length,
    completed: count('completed'),
    failed: count('failed'),
    cancelled: count('cancelled'),
  };
  if (JSON.stringify(last.tasks) !== JSON.stringify(counted))
    problems.push(`COUNTS ${goalId} says ${JSON.stringify(last.tasks)}, its tasks ${JSON.stringify(counted)}`);
  if (goal.fate === 'rejected' || last.status === 'rejected') {
    if (goal.fate !== 'rejected' || last.status !== 'rejected')
      problems.push(`I5 ${goalId} is ${last.status}, expected ${goal.fate}`);
    return;
  }
  // Whether goals that nobody planned are met is for voters to say, and those of the simulation toss coins.
  const judged = goal.peers !== undefined && world.reviewed;
  if ((goal.mayComplete || (world.calm && goal.mayCompleteCalmly && !judged)) && last.status !== 'completed')
    problems.push(
      `I5 ${goalId} asked for nothing impossible and is ${last.status}: ${last.error.code} ${last.error.message}`,
    );
  const changes = (history.revisions.get(goalId) ?? []).map(({ record }) => record);
  if (goal.peers !== undefined) problems.push(...peerProblems({ goal, last, changes, tasks: tasks.filter(isDefined) }));
  problems.push(...givenUpProblems({ goal, last, changes, tasks: tasks.filter(isDefined) }));
  if (changes.some(({ repairs }) => repairs !== undefined)) {
    const unborn = (goal.tasks ?? []).filter(({ taskId }) => !history.tasks.has(`${goalId}.${taskId}`));
    if (unborn.length > 0)
      problems.push(`I5 ${goalId} was repaired without ${unborn.map(({ taskId }) => taskId).join(', ')} of its graph`);
    problems.push(
      ...repairedProblems({ goal, last, changes, tasks: tasks.filter(isDefined), value: (of) => plain(world, of) }),
    );
    checkSpending(world, goal, last, history, problems);
    return;
  }
  const graph = finalGraph(goal.tasks ?? []);
  const replaced = goal.peers === undefined ? graph.replaced : new Set(changes.flatMap(({ replaces }) => replaces));
  const spared = tasks.filter((task) => task !== undefined && replaced.has(task.taskId)).filter(isLost).length;
  if (last.status === 'completed' && counted.completed + spared !== counted.total)
    problems.push(`I5 ${goalId} is completed, not all of its tasks are`);
  if (last.status === 'cancelled' && goal.cancelAt === undefined) problems.push(`I5 ${goalId} was cancelled by nobody`);
  if (last.status === 'completed' && goal.peers === undefined) {
    const expected = graph.total + (goal.planned ? 1 : 0);
    if (counted.total !== expected)
      problems.push(`I5 ${goalId} is completed with ${counted.total} of ${expected} tasks`);
    checkResults(world, goal, graph, history, last.result, problems);
  }
  checkSpending(world, goal, last, history, problems);
}

function isDefined<T>(value: T | undefined): value is T {
  return value !== undefined;
}

function checkSpending(world: World, goal: SimGoal, last: EndedGoal, history: History, problems: string[]): void {
  const { goalId } = goal;
  const billed = world.billed.get(goalId) ?? 0;
  const spent = Math.round((last.spent.usd - last.cost.communication) / MICRO);
  if (goal.usd !== undefined && billed > Math.round(goal.usd / MICRO))
    problems.push(`I4 ${goalId}: models billed ${billed} of ${Math.round(goal.usd / MICRO)}`);
  if (goal.usd !== undefined && last.spent.usd > goal.usd + MICRO / 2)
    problems.push(`I4 ${goalId} spent ${last.spent.usd} of ${goal.usd}`);
  // Also of calls whose process died in the middle, and of goals without a limit.
  if (spent < billed) problems.push(`I4 ${goalId} says ${spent}, models billed ${billed}`);
  const ledger = history.ledgers.get(goalId)?.at(-1);
  // A goal whose last task asked a model in vain ends without a look at its account, in which nothing stands.
  const empty = ledger !== undefined && close(ledger.record, '').spent.tokens === 0;
  if (ledger !== undefined && ledger.record.state !== 'ended' && !empty)
    problems.push(`I4 ${goalId} is ${last.status}, its ledger is ${ledger.record.state ?? 'open'}`);
}

function isLost(task: TaskRecord | undefined): boolean {
  return task?.status !== 'completed';
}

/** One n-th revision each, one after the other, as often as the goal allows; and what it replaced, nobody had begun. */
function checkRevisions(
  goalId: string,
  revisions: readonly Written<Revision>[],
  history: History,
  problems: string[],
): void {
  const numbers = revisions.map(({ record }) => record.revision);
  if (numbers.some((number, index) => number !== index + 1))
    problems.push(`REVISION ${goalId} was written as ${numbers.join(', ')}`);
  // What follows from the end of a task is not written before that.
  for (const { record, revision } of revisions) {
    const cause = history.tasks.get(`${goalId}.${record.cause}`)?.find((written) => isTerminalTask(written.record));
    if (cause === undefined || cause.revision > revision)
      problems.push(`REVISION ${record.revision} of ${goalId} came before the end of ${record.cause}`);
  }
  const causes = revisions.map(({ record }) => record.cause);
  if (new Set(causes).size !== causes.length)
    problems.push(`REVISION ${goalId} has two of one cause: ${causes.join(', ')}`);
  const goals = history.goals.get(goalId)?.map(({ record }) => record) ?? [];
  const last = goals.at(-1);
  const stood = last !== undefined && 'revision' in last ? (last.revision ?? 0) : 0;
  const most = last !== undefined && 'revisionsMax' in last ? (last.revisionsMax ?? 0) : 0;
  if (stood > numbers.length || numbers.length > stood + 1 || numbers.length > most)
    problems.push(`REVISION ${goalId} is at ${stood} of ${most}, and ${numbers.length} were written`);
  const replaced = new Set(revisions.flatMap(({ record }) => record.replaces));
  for (const [id, written] of history.tasks) {
    const end = written.at(-1)?.record;
    if (end?.status !== 'cancelled' || end.error?.code !== 'replaced' || end.goalId !== goalId) continue;
    if (!replaced.has(end.taskId)) problems.push(`REVISION ${id} was replaced by none`);
    const begun = written.some(({ record }) => record.status === 'in_progress' || record.attempt > 0);
    if (begun && end.error.message.startsWith('revision '))
      problems.push(`REVISION ${id} was replaced after it had begun`);
  }
}

/** Every result, computed again from the graph alone. */
function checkResults(
  world: World,
  goal: SimGoal,
  graph: FinalGraph,
  history: History,
  said: unknown,
  problems: string[],
): void {
  const right = new Map<string, unknown>();
  for (const task of graph.tasks) {
    const dependencies = Object.fromEntries(task.dependencies.map((taskId) => [taskId, right.get(taskId)]));
    right.set(task.taskId, task.input.revises ?? resultOf(task.taskId, task.input.bulk, dependencies));
    const record = history.tasks.get(`${goal.goalId}.${task.taskId}`)?.at(-1)?.record;
    const got = record?.status === 'completed' ? plain(world, record.result) : undefined;
    if (JSON.stringify(got) !== JSON.stringify(right.get(task.taskId)))
      problems.push(`RESULT ${goal.goalId}.${task.taskId} is ${short(got)}, expected ${short(right.get(task.taskId))}`);
  }
  const needed = new Set(graph.tasks.flatMap((task) => task.dependencies));
  const sinks = graph.tasks
    .map((task) => task.taskId)
    .filter((taskId) => !needed.has(taskId) && !graph.causes.has(taskId));
  const [only = ''] = sinks;
  const expected =
    sinks.length === 1 ? right.get(only) : Object.fromEntries(sinks.map((taskId) => [taskId, right.get(taskId)]));
  const whole = plain(world, said);
  const got =
    sinks.length === 1 || typeof whole !== 'object' || whole === null
      ? whole
      : Object.fromEntries(Object.entries(whole).map(([taskId, result]) => [taskId, plain(world, result)]));
  // The order of several sinks is that of the revisions that brought them.
  if (sortedJson(got) !== sortedJson(expected))
    problems.push(`RESULT ${goal.goalId} is ${short(got)}, expected ${short(expected)}`);
  if (goal.planned && history.tasks.get(`${goal.goalId}.${PLAN_TASK}`)?.at(-1)?.record.status !== 'completed')
    problems.push(`RESULT ${goal.goalId} ran without its plan`);
}

function sortedJson(value: unknown): string | undefined {
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : undefined;
  return JSON.stringify(entries?.toSorted(([one], [other]) => (one < other ? -1 : 1)) ?? value);
}

function plain(world: World, value: unknown): unknown {
  if (!isBlobRef(value)) return value;
  const bytes = world.blobs.get(value.$blob);
  return bytes === undefined ? `blob ${value.$blob} is not there` : JSON.parse(decoder.decode(bytes));
}

function short(value: unknown): string {
  return (JSON.stringify(value) ?? 'undefined').slice(0, 200);
}

/** I4, at every revision: what is spent and reserved stays within the limits. */
function checkLedger(goalId: string, revisions: readonly Written<Ledger>[], problems: string[]): void {
  for (const { record, revision } of revisions) {
    const { usd, tokens, messages } = record.limits;
    const { spent } = close(record, '');
    const over = (limit: number | undefined, value: number): boolean =>
      limit !== undefined && value > limit + MICRO / 2;
    if (over(usd, spent.usd + spent.communicationUsd) || over(tokens, spent.tokens) || over(messages, spent.messages)) {
      problems.push(`I4 ${goalId} at ${revision}: ${JSON.stringify(spent)} of ${JSON.stringify(record.limits)}`);
    }
  }
}

function checkRest(world: World, problems: string[]): void {
  const { running, receipts } = world.held;
  if (!world.rested)
    problems.push(`I11 the mesh does not come to rest: ${running} tasks run, ${receipts} receipts are held`);
  const queues = [['intake', world.intake], ['cancels', world.cancels], ...world.queues] as const;
  for (const [name, queue] of queues) if (queue.open > 0) problems.push(`I11 ${queue.open} left in the queue ${name}`);
}
