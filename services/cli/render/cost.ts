/** The article's formula on one goal: C = sum of compute per agent + sum of communication per message; predicted beside measured. */
import type { GoalRecord } from '../../../shared/protocol/goal.ts';
import type { TaskRecord } from '../../../shared/protocol/task.ts';
import type { Account, CostReport } from '../cost-report.ts';
import { paintStatus, type Screen } from './screen.ts';
import { table } from './table.ts';
import { count, usd } from './text.ts';
import { arrange } from './tree.ts';

export function costPage(screen: Screen, goal: GoalRecord, tasks: readonly TaskRecord[], report: CostReport): string {
  const heading = `goal ${screen.paint('heading', goal.goalId)}  ${paintStatus(screen, goal.status)}`;
  const sections = [
    totals(screen, goal, report),
    ...(report.agents.length > 0 ? [agentTable(screen, report)] : []),
    ...(tasks.length > 0 ? [taskTable(screen, tasks, report)] : []),
    ...(report.messageTypes.length > 0 ? [messageTable(screen, report)] : []),
  ];
  return [heading, ...sections].join('\n\n');
}

function totals(screen: Screen, { cost, spent, budget }: GoalRecord, report: CostReport): string {
  const { agents, compute, communication, account } = report;
  const rows = [
    ['compute', usd(compute), count(agents.length, 'agent')],
    ['communication', usd(communication), count(spent.messages, 'message')],
    ['measured', usd(cost.total), count(spent.tokens, 'token')],
    ['predicted', usd(cost.predicted), deviation(report.prediction)],
    ...(budget?.usd === undefined ? [] : [['budget', usd(budget.usd), share(cost.total, budget.usd)]]),
    ...accountRows(account),
  ];
  return table(
    screen,
    [
      { head: 'part', cell: (row) => row[0] ?? '' },
      { head: 'usd', cell: (row) => row[1] ?? '', right: true },
      { head: 'of', cell: (row) => row[2] ?? '' },
    ],
    rows,
  );
}

/** What the account says beside the sums, where there is something to say. */
function accountRows(account: Account | null): string[][] {
  if (account === null) return [];
  const { reserved, lost, beyond } = account;
  return [
    ...(reserved.calls > 0 ? [['reserved', usd(reserved.usd), underWay(reserved.calls)]] : []),
    ...(lost.calls > 0 ? [['measured, lost', usd(lost.usd), lostCalls(lost.calls)]] : []),
    ...(beyond.usd > 0 ? [['beyond', usd(beyond.usd), 'claimed by the endpoint over its limits, not counted']] : []),
  ];
}

export function underWay(calls: number): string {
  return `for ${count(calls, 'call')} under way`;
}

export function lostCalls(calls: number): string {
  return `for ${count(calls, 'call')} that nobody reported the end of`;
}

function agentTable(screen: Screen, { agents, compute }: CostReport): string {
  return table(
    screen,
    [
      { head: 'agent', cell: ({ agentId }) => agentId },
      { head: 'usd', cell: (row) => usd(row.usd), right: true },
      { head: 'share', cell: (row) => share(row.usd, compute), right: true },
    ],
    agents,
  );
}

interface Row {
  readonly name: string;
  readonly capability: string;
  readonly usd: number;
  readonly counts?: TaskRecord['cost'];
}

function taskTable(screen: Screen, tasks: readonly TaskRecord[], { votes, lost }: CostReport): string {
  const number = (of: 'inputTokens' | 'outputTokens' | 'messages') => (row: Row) =>
    row.counts === undefined ? '' : row.counts[of].toLocaleString('en-US');
  const outside = [
    { name: '(votes)', capability: "voters' opinions", usd: votes },
    { name: '(lost)', capability: 'attempts without a record', usd: lost },
  ];
  return table<Row>(
    screen,
    [
      { head: 'task', cell: ({ name }) => name },
      { head: 'capability', cell: ({ capability }) => capability, spare: 1 },
      { head: 'usd', cell: (row) => usd(row.usd), right: true },
      { head: 'input tokens', cell: number('inputTokens'), right: true },
      { head: 'output tokens', cell: number('outputTokens'), right: true },
      { head: 'messages', cell: number('messages'), right: true, spare: 2 },
    ],
    [
      ...arrange(tasks).map(({ lead, task }) => ({
        name: `${lead}${task.taskId}`,
        capability: task.capability,
        usd: task.cost.usd,
        counts: task.cost,
      })),
      ...outside.filter((row) => row.usd > 0),
    ],
  );
}

function messageTable(screen: Screen, { messageTypes }: CostReport): string {
  return table(
    screen,
    [
      { head: 'message type', cell: ({ type }) => type },
      { head: 'messages', cell: ({ messages }) => messages.toLocaleString('en-US'), right: true },
      { head: 'bytes', cell: ({ bytes }) => bytes.toLocaleString('en-US'), right: true },
      { head: 'usd', cell: (row) => usd(row.usd), right: true },
    ],
    messageTypes,
  );
}

function deviation({ measured, ratio }: CostReport['prediction']): string {
  if (ratio === null) return measured === 0 ? 'as measured' : '';
  const percent = Math.round((ratio - 1) * 100);
  if (percent === 0) return 'as measured';
  return `measured is ${Math.abs(percent).toLocaleString('en-US')} % ${percent > 0 ? 'more' : 'less'}`;
}

function share(part: number, whole: number): string {
  return whole === 0 ? '' : `${((part / whole) * 100).toFixed(1)} %`;
}
