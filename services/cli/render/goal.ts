/** A goal and its tasks as tables and lines. */
import type { Presence } from '../../../shared/protocol/agent.ts';
import { type ErrorInfo, type GoalRecord, isTerminalGoal } from '../../../shared/protocol/goal.ts';
import { isBlobRef } from '../../../shared/protocol/ids.ts';
import type { Revision } from '../../../shared/protocol/plan.ts';
import { AUCTION_CAPABILITY } from '../../../shared/protocol/subjects.ts';
import type { TaskRecord } from '../../../shared/protocol/task.ts';
import type { Account } from '../cost-report.ts';
import { lostCalls, underWay } from './cost.ts';
import { factLines } from './facts.ts';
import { paintStatus, type Screen } from './screen.ts';
import { type Column, table } from './table.ts';
import { clip, count, duration, moment, safeBlock, safeJson, safeLine, usd, widthOf } from './text.ts';
import { arrange } from './tree.ts';

/** `goal brief-42  running  2 of 3 tasks  4.2 s  $0.0012 of $0.5000`. `now`: milliseconds since the epoch. */
export function goalLine(screen: Screen, goal: GoalRecord, now: number): string {
  const parts = [
    `goal ${screen.paint('heading', safeLine(goal.goalId))}`,
    paintStatus(screen, goal.status),
    progress(goal),
    duration((isTerminalGoal(goal) ? Date.parse(goal.finishedAt) : now) - Date.parse(goal.createdAt)),
    goal.budget?.usd === undefined ? usd(goal.cost.total) : `${usd(goal.cost.total)} of ${usd(goal.budget.usd)}`,
  ];
  return parts.join('  ');
}

function progress({ tasks }: GoalRecord): string {
  const ended = [
    tasks.failed > 0 ? `${tasks.failed.toLocaleString('en-US')} failed` : '',
    tasks.cancelled > 0 ? `${tasks.cancelled.toLocaleString('en-US')} cancelled` : '',
  ].filter((part) => part !== '');
  const done = `${tasks.completed.toLocaleString('en-US')} of ${count(tasks.total, 'task')}`;
  return ended.length === 0 ? done : `${done} (${ended.join(', ')})`;
}

export function errorLine(screen: Screen, error: ErrorInfo): string {
  const where = error.path === undefined ? '' : ` (at ${safeLine(error.path)})`;
  return `${screen.paint('bad', safeLine(error.code))}: ${safeLine(error.message)}${where}`;
}

/** Everything that `show` says of a goal. */
export function goalPage(
  screen: Screen,
  goal: GoalRecord,
  tasks: readonly TaskRecord[],
  agents: readonly Presence[],
  now: number,
  account: Account | null = null,
  revisions: readonly Revision[] = [],
): string {
  const facts: readonly (readonly [string, string])[] = [
    ['description', safeLine(goal.description)],
    ['pattern', goal.pattern],
    ['created', moment(goal.createdAt)],
    ['finished', isTerminalGoal(goal) ? moment(goal.finishedAt) : ''],
    ['spent', spentOf(goal)],
    ['reserved', heldBack(account)],
    ['predicted', usd(goal.cost.predicted)],
    [
      'planned anew',
      'replansMax' in goal && goal.replans !== undefined ? `${goal.replans} of ${goal.replansMax} times` : '',
    ],
    ['metadata', goal.metadata === undefined ? '' : safeJson(goal.metadata)],
  ];
  const sections = [`${goalLine(screen, goal, now)}\n${factLines(screen, facts)}`];
  if (tasks.length > 0) sections.push(taskTable(screen, tasks, now));
  if (revisions.length > 0) sections.push(revisions.map((revision) => revisionLine(screen, revision)).join('\n'));
  const unjudged = tasks.filter(
    (task) => task.status === 'completed' && task.step?.kind === 'answer' && task.step.approval === 'nobody_to_vote',
  );
  for (const { taskId } of unjudged)
    sections.push(
      screen.paint(
        'warn',
        `nobody was there to vote on ${safeLine(taskId)}: its result stands by its agent's word alone`,
      ),
    );
  const missing = unstaffed(tasks, agents).map((line) => screen.paint('warn', line));
  if (missing.length > 0) sections.push(missing.join('\n'));
  const failures = tasks.flatMap((task) =>
    hasError(task) ? [`${safeLine(task.taskId)}: ${errorLine(screen, task.error)}`] : [],
  );
  if ('error' in goal) sections.push([errorLine(screen, goal.error), ...failures].join('\n'));
  else if (failures.length > 0) sections.push(failures.join('\n'));
  const result = 'result' in goal && goal.result !== undefined ? resultText(goal.result) : '';
  if (result !== '') sections.push(`${screen.paint('faint', 'result')}\n${result}`);
  return sections.join('\n\n');
}

function spentOf({ spent, budget = {} }: GoalRecord): string {
  const of = (limit: number | undefined): string => (limit === undefined ? '' : ` of ${limit.toLocaleString('en-US')}`);
  return [
    `${usd(spent.usd)}${budget.usd === undefined ? '' : ` of ${usd(budget.usd)}`}`,
    `${count(spent.tokens, 'token')}${of(budget.tokens)}`,
    `${count(spent.messages, 'message')}${of(budget.messages)}`,
  ].join(', ');
}

/** What of the budget is neither spent for certain nor free. */
function heldBack(account: Account | null): string {
  if (account === null) return '';
  const { reserved, lost } = account;
  const parts = [
    ...(reserved.calls > 0 ? [`${usd(reserved.usd)} ${underWay(reserved.calls)}`] : []),
    ...(lost.calls > 0 ? [`of what is spent, ${usd(lost.usd)} ${lostCalls(lost.calls)}`] : []),
  ];
  return parts.join('; ');
}

/** `revision 1  planned anew, because task t2 failed (handler_error: ...): replan-1 instead of t2, t3`. */
export function revisionLine(
  screen: Screen,
  { revision, cause, tasks, replaces, repairs, reason = '' }: Revision,
): string {
  const names = (ids: readonly string[]): string => ids.map(safeLine).join(', ');
  const added = tasks.length === 0 ? 'no change' : names(tasks.map(({ taskId }) => taskId));
  const change = replaces.length === 0 ? added : `${added} instead of ${names(replaces)}`;
  const head = screen.paint('faint', `revision ${revision}`);
  if (repairs === undefined)
    return `${head}  planned by ${safeLine(cause)}${reason === '' ? '' : ` (${safeLine(reason)})`}: ${change}`;
  const { taskId, error } = repairs.failure;
  const what = repairs.kind === 'replan' ? 'to be planned anew' : 'done without';
  return `${head}  ${what}, because task ${safeLine(taskId)} failed (${safeLine(error.code)}: ${safeLine(error.message)}): ${change}`;
}

/** A result for people: text as it is, anything else as JSON. */
export function resultText(result: unknown): string {
  if (isBlobRef(result)) return `(larger than 512 KiB: blob ${safeLine(result.$blob)})`;
  return typeof result === 'string' ? safeBlock(result) : safeJson(result, 2);
}

const TASK_COLUMNS = (screen: Screen, now: number): readonly Column<Row>[] => [
  { head: 'task', cell: ({ lead, task }) => `${lead}${task.taskId}` },
  { head: 'capability', cell: ({ task }) => task.capability },
  {
    head: 'status',
    cell: ({ task }) => task.status,
    paint: ({ task }, text) => (text === task.status ? paintStatus(screen, task.status) : text),
  },
  { head: 'agent', cell: ({ task }) => agentOf(task), spare: 4 },
  { head: 'attempt', cell: ({ task }) => attemptOf(task), right: true, spare: 3 },
  { head: 'time', cell: ({ task }) => timeOf(task, now), right: true, spare: 5 },
  { head: 'cost', cell: ({ task }) => costOf(task), right: true, spare: 2 },
  // The tree shows one of a join's, and in a part of a large goal none.
  {
    head: 'after',
    cell: ({ task: { dependencies, status } }) =>
      dependencies.length > 1 || status === 'pending' ? dependencies.join(', ') : '',
    spare: 1,
  },
];

interface Row {
  readonly lead: string;
  readonly task: TaskRecord;
}

export function taskTable(screen: Screen, tasks: readonly TaskRecord[], now: number): string {
  return table(screen, TASK_COLUMNS(screen, now), arrange(tasks));
}

function hasError(task: TaskRecord): task is TaskRecord & { readonly error: ErrorInfo } {
  return 'error' in task && task.error !== undefined;
}

export function agentOf(task: TaskRecord): string {
  return 'agentId' in task ? (task.agentId ?? '') : '';
}

/** Empty before the first attempt; the limit is told once it matters. */
export function attemptOf(task: TaskRecord): string {
  if (task.attempt === 0) return '';
  return task.attempt === 1 ? '1' : `${task.attempt} of ${task.maxAttempts}`;
}

/** How long the last attempt took, or has been running. */
export function timeOf(task: TaskRecord, now: number): string {
  if (!('startedAt' in task) || task.startedAt === undefined) return '';
  const end = task.status === 'in_progress' ? now : Date.parse(task.finishedAt);
  return duration(end - Date.parse(task.startedAt));
}

export function costOf(task: TaskRecord): string {
  return task.cost.usd === 0 ? '' : usd(task.cost.usd);
}

/** What nobody who is present can do, though tasks are ready for it; one line per capability. */
export function unstaffed(tasks: readonly TaskRecord[], agents: readonly Presence[]): readonly string[] {
  // Whoever is present holds auctions.
  const everybody = agents.length === 0 ? [] : [AUCTION_CAPABILITY];
  const offered = new Set([...everybody, ...agents.flatMap((agent) => agent.capabilities)]);
  const waiting = new Map<string, number>();
  for (const task of tasks) {
    if (task.status === 'ready' && !offered.has(task.capability))
      waiting.set(task.capability, (waiting.get(task.capability) ?? 0) + 1);
  }
  return [...waiting].map(
    ([capability, n]) =>
      `no present agent has the capability "${safeLine(capability)}"; ${count(n, 'ready task')} ${n === 1 ? 'waits' : 'wait'} for one`,
  );
}

export function goalTable(screen: Screen, goals: readonly GoalRecord[], now: number): string {
  return table(
    screen,
    [
      { head: 'goal', cell: (goal) => goal.goalId },
      {
        head: 'status',
        cell: (goal) => goal.status,
        paint: (goal, text) => (text === goal.status ? paintStatus(screen, goal.status) : text),
      },
      { head: 'pattern', cell: (goal) => goal.pattern, spare: 1 },
      { head: 'tasks', cell: (goal) => `${goal.tasks.completed}/${goal.tasks.total}`, right: true },
      { head: 'cost', cell: (goal) => usd(goal.cost.total), right: true, spare: 2 },
      { head: 'age', cell: (goal) => duration(now - Date.parse(goal.createdAt)), right: true },
      { head: 'description', cell: (goal) => goal.description },
    ],
    goals,
  );
}

/** Cuts each line of a frame to the terminal's width, so that no line wraps into two. */
export function fitLines(screen: Screen, lines: readonly string[]): readonly string[] {
  return lines.map((line) => (widthOf(line) > screen.width ? clip(stripColours(line), screen.width) : line));
}

function stripColours(line: string): string {
  return line.replace(/\u001b\[[0-9;]*m/g, '');
}
