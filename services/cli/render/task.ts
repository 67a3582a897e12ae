/** Everything of one task. */
import type { TaskRecord } from '../../../shared/protocol/task.ts';
import { agentOf, attemptOf, costOf, errorLine, resultText, timeOf } from './goal.ts';
import { factLines } from './facts.ts';
import { paintStatus, type Screen } from './screen.ts';
import { count, moment, safeLine, safeJson } from './text.ts';

export function taskPage(screen: Screen, task: TaskRecord, now: number): string {
  const { inputTokens, outputTokens, messages } = task.cost;
  const facts: readonly (readonly [string, string])[] = [
    ['capability', task.capability],
    ['description', safeLine(task.description)],
    ['agent', agentOf(task)],
    ['attempt', attemptOf(task)],
    ['created', moment(task.createdAt)],
    ['started', 'startedAt' in task && task.startedAt !== undefined ? moment(task.startedAt) : ''],
    ['time', timeOf(task, now)],
    ['after', task.dependencies.join(', ')],
    ['cost', costOf(task)],
    [
      'used',
      `${count(inputTokens, 'input token')}, ${count(outputTokens, 'output token')}, ${count(messages, 'message')}`,
    ],
    ['sent back', task.reasons === undefined || task.reasons.length === 0 ? '' : task.reasons.map(safeLine).join('; ')],
    ['input', task.input === undefined ? '' : safeJson(task.input)],
  ];
  const sections = [
    `task ${screen.paint('heading', safeLine(task.taskId))} of goal ${safeLine(task.goalId)}  ${paintStatus(screen, task.status)}\n${factLines(screen, facts)}`,
  ];
  if ('error' in task && task.error !== undefined) sections.push(errorLine(screen, task.error));
  if (task.status === 'completed') sections.push(`${screen.paint('faint', 'result')}\n${resultText(task.result)}`);
  return sections.join('\n\n');
}
