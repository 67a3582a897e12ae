/** One frame of `watch` on a terminal, and the lines of `watch` everywhere else. */
import type { Presence } from '../../../shared/protocol/agent.ts';
import type { GoalRecord } from '../../../shared/protocol/goal.ts';
import type { TaskRecord, TaskStatus } from '../../../shared/protocol/task.ts';
import { agentOf, attemptOf, costOf, errorLine, fitLines, goalLine, taskTable, timeOf, unstaffed } from './goal.ts';
import { paintStatus, type Screen } from './screen.ts';
import { clip, count, safeLine } from './text.ts';

export interface LiveView {
  readonly goalId: string;
  /** Absent until an agent has accepted the goal. */
  readonly goal: GoalRecord | undefined;
  readonly tasks: readonly TaskRecord[];
  /** Undefined until they were asked for. */
  readonly agents: readonly Presence[] | undefined;
}

/** What a reader wants to see first when not everything fits. */
const URGENCY: Readonly<Record<TaskStatus, number>> = {
  in_progress: 0,
  failed: 1,
  ready: 2,
  cancelled: 3,
  completed: 4,
  pending: 5,
};

/** At most `rows` lines of at most the screen's width. `now`: milliseconds since the epoch. */
export function frame(screen: Screen, view: LiveView, now: number, rows: number): string {
  const { goal, tasks, agents } = view;
  const head = [
    goal === undefined ? waitingLine(screen, view) : goalLine(screen, goal, now),
    ...(goal === undefined ? [] : [screen.paint('faint', clip(safeLine(goal.description), screen.width))]),
  ];
  const foot = agents === undefined ? [] : unstaffed(tasks, agents).map((line) => screen.paint('warn', line));
  const room = Math.max(1, rows - head.length - foot.length - 2);
  const body = tasks.length === 0 ? [] : taskLines(screen, tasks, now, room);
  return fitLines(screen, [...head, ...body, ...foot])
    .slice(0, Math.max(1, rows))
    .join('\n');
}

function waitingLine(screen: Screen, { goalId, agents }: LiveView): string {
  const nobody = agents !== undefined && agents.length === 0 ? '; no agent is present' : '';
  return `goal ${screen.paint('heading', safeLine(goalId))}  waits for an agent to accept it${nobody}`;
}

function taskLines(screen: Screen, tasks: readonly TaskRecord[], now: number, room: number): readonly string[] {
  // A header stands above the tasks.
  if (tasks.length + 1 <= room) return taskTable(screen, tasks, now).split('\n');
  const urgent = tasks.toSorted((a, b) => URGENCY[a.status] - URGENCY[b.status]).slice(0, Math.max(0, room - 2));
  const shown = new Set(urgent.map((task) => task.taskId));
  const left = new Map<TaskStatus, number>();
  for (const task of tasks) if (!shown.has(task.taskId)) left.set(task.status, (left.get(task.status) ?? 0) + 1);
  const rest = [...left].map(([status, n]) => `${n.toLocaleString('en-US')} ${status}`).join(', ');
  const more = screen.paint('faint', `… and ${count(tasks.length - shown.size, 'task')} more: ${rest}`);
  return [...(urgent.length === 0 ? [] : taskTable(screen, urgent, now).split('\n')), more];
}

/** One line for a change of the goal; empty when nothing that is told here changed. */
export function goalChange(screen: Screen, before: GoalRecord | undefined, goal: GoalRecord, now: number): string {
  if (before?.status === goal.status && before.tasks.total === goal.tasks.total) return '';
  const why = 'error' in goal ? `  ${errorLine(screen, goal.error)}` : '';
  return `${goalLine(screen, goal, now)}${why}`;
}

/** One line for a change of a task; empty when nothing that is told here changed. */
export function taskChange(screen: Screen, before: TaskRecord | undefined, task: TaskRecord, now: number): string {
  if (before?.status === task.status && before.attempt === task.attempt && agentOf(before) === agentOf(task)) return '';
  const attempt = attemptOf(task);
  const parts = [
    `task ${screen.paint('heading', safeLine(task.taskId))}`,
    safeLine(task.capability),
    before === undefined || before.status === task.status
      ? paintStatus(screen, task.status)
      : `${before.status} → ${paintStatus(screen, task.status)}`,
    safeLine(agentOf(task)),
    attempt === '' ? '' : `attempt ${attempt}`,
    task.status === 'in_progress' ? '' : timeOf(task, now),
    costOf(task),
    'error' in task && task.error !== undefined ? errorLine(screen, task.error) : '',
  ];
  return parts.filter((part) => part !== '').join('  ');
}
