/** The article's formula on one goal: C = sum of compute per agent + sum of communication per message; predicted beside measured. */
import type { GoalRecord } from '../../../shared/protocol/goal.ts';
import type { TaskRecord } from '../../../shared/protocol/task.ts';
import { paintStatus, type Screen } from './screen.ts';
import { table } from './table.ts';
import { count, usd } from './text.ts';
import { arrange } from './tree.ts';

export function costPage(screen: Screen, goal: GoalRecord, tasks: readonly TaskRecord[]): string {
  const { compute, communication, total, predicted } = goal.cost;
  const perAgent = Object.entries(compute).sort(([, a], [, b]) => b - a);
  const sum = perAgent.reduce((all, [, amount]) => all + amount, 0);
  const totals = [
    ['compute', usd(sum), count(perAgent.length, 'agent')],
    ['communication', usd(communication), count(goal.spent.messages, 'message')],
    ['measured', usd(total), count(goal.spent.tokens, 'token')],
    ['predicted', usd(predicted), deviation(total, predicted)],
    ...(goal.budget?.usd === undefined ? [] : [['budget', usd(goal.budget.usd), share(total, goal.budget.usd)]]),
  ];
  const sections = [
    `goal ${screen.paint('heading', goal.goalId)}  ${paintStatus(screen, goal.status)}`,
    table(
      screen,
      [
        { head: 'part', cell: (row) => row[0] ?? '' },
        { head: 'usd', cell: (row) => row[1] ?? '', right: true },
        { head: 'of', cell: (row) => row[2] ?? '' },
      ],
      totals,
    ),
  ];
  if (perAgent.length > 0) {
    sections.push(
      table(
        screen,
        [
          { head: 'agent', cell: ([agentId]) => agentId },
          { head: 'usd', cell: ([, amount]) => usd(amount), right: true },
          { head: 'share', cell: ([, amount]) => share(amount, sum), right: true },
        ],
        perAgent,
      ),
    );
  }
  if (tasks.length > 0) {
    sections.push(
      table(
        screen,
        [
          { head: 'task', cell: ({ lead, task }) => `${lead}${task.taskId}` },
          { head: 'capability', cell: ({ task }) => task.capability, spare: 1 },
          { head: 'usd', cell: ({ task }) => usd(task.cost.usd), right: true },
          { head: 'input tokens', cell: ({ task }) => task.cost.inputTokens.toLocaleString('en-US'), right: true },
          { head: 'output tokens', cell: ({ task }) => task.cost.outputTokens.toLocaleString('en-US'), right: true },
          { head: 'messages', cell: ({ task }) => task.cost.messages.toLocaleString('en-US'), right: true, spare: 2 },
        ],
        arrange(tasks),
      ),
    );
  }
  return sections.join('\n\n');
}

function deviation(measured: number, predicted: number): string {
  if (predicted === 0) return measured === 0 ? 'as measured' : '';
  const percent = Math.round(((measured - predicted) / predicted) * 100);
  if (percent === 0) return 'as measured';
  return `measured is ${Math.abs(percent).toLocaleString('en-US')} % ${percent > 0 ? 'more' : 'less'}`;
}

function share(part: number, whole: number): string {
  return whole === 0 ? '' : `${((part / whole) * 100).toFixed(1)} %`;
}
