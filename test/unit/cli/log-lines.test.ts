/** Lines of `conclave log`. */
import { describe, expect, it } from 'vitest';
import { logLine } from '../../../services/cli/render/log.ts';
import { screenOf } from '../../../services/cli/render/screen.ts';
import { widthOf } from '../../../services/cli/render/text.ts';
import { ledgerChange } from '../../../shared/core/history.ts';
import type { LogEntry } from '../../../shared/core/log-entry.ts';
import { at, CREATED_AT, CREATED_MS, goalRecord, roundRecord, taskRecord } from './records.ts';

const wide = screenOf(Number.POSITIVE_INFINITY, false);
const place = { sequence: 1, at: CREATED_MS + 1_234, subject: 'mesh.x' };
const revised = { ...place, revision: 7, replaces: 3 };

describe('a line of the log', () => {
  const goal = (change: Extract<LogEntry, { kind: 'goal' }>['change'], fields: object) =>
    logLine(wide, { ...revised, kind: 'goal', change, record: goalRecord({ ...fields }) });
  const task = (change: Extract<LogEntry, { kind: 'task' }>['change'], fields: object, agentId?: string) =>
    logLine(wide, {
      ...revised,
      kind: 'task',
      change,
      ...(agentId === undefined ? {} : { agentId }),
      record: taskRecord({ ...fields }),
    });
  const started = { agentId: 'coder-1', startedAt: at(0), attempt: 2 };
  const error = { code: 'timeout', message: 'too\nslow' };

  it('tells what became of the goal', () => {
    expect(goal('accept', { status: 'planning' })).toBe(
      '12:00:01.234Z goal     planning  accepted by planner-1, orchestrator, 3 tasks  Brief this text',
    );
    expect(goal('materialize', {})).toBe('12:00:01.234Z goal     running  3 tasks, predicted $0.0010');
    expect(goal('progress', {})).toBe('12:00:01.234Z goal     running  1 of 3 tasks  $0.0012');
    expect(goal('stop', { stopping: { status: 'failed', error } })).toContain('running  stopping  timeout: too slow');
    expect(goal('finish', { status: 'completed', finishedAt: at(1), result: { $blob: 'b-1' } })).toBe(
      '12:00:01.234Z goal     completed  1 of 3 tasks  $0.0012  blob b-1',
    );
    expect(goal('finish', { status: 'failed', finishedAt: at(1), error })).toMatch(/failed .* timeout: too slow$/);
    expect(goal(undefined, {})).toBe('12:00:01.234Z goal     running  no transition leads here');
  });

  it('tells what became of a task, and who did it', () => {
    expect(task('create', { dependencies: ['x', 'y'] })).toBe('12:00:01.234Z task     a  created: research after x, y');
    expect(task('claim', { ...started, status: 'in_progress', item: 1 }, 'coder-1')).toBe(
      '12:00:01.234Z task     a  in_progress  coder-1, attempt 2',
    );
    expect(task('takeover', { ...started, status: 'in_progress', item: 1 }, 'coder-1')).toBe(
      '12:00:01.234Z task     a  taken over by coder-1, attempt 2: the holder lost its lease',
    );
    // The record of a failed attempt does not name its agent; the one before it does.
    expect(task('retry', { status: 'ready', attempt: 1, error }, 'coder-2')).toBe(
      '12:00:01.234Z task     a  failed  coder-2, attempt 1 of 3  timeout: too slow',
    );
    expect(task('complete', { ...started, status: 'completed', finishedAt: at(1), result: 'done' }, 'coder-1')).toBe(
      '12:00:01.234Z task     a  completed  coder-1, attempt 2  done',
    );
    expect(task('rework', { ...started, status: 'in_progress', item: 1, reworks: 1, reasons: ['a', 'b'] }, 'c')).toBe(
      '12:00:01.234Z task     a  sent back to c, rework 1  b',
    );
  });

  it('tells what was spent, by whom and on what', () => {
    const before = {
      limits: { usd: 1 },
      reserved: {},
      spent: { usd: 0.1, tokens: 10, messages: 0, communicationUsd: 0 },
      byAgent: { ann: 0.1 },
    };
    const held = { agentId: 'bob', taskId: 'a', attempt: 1, usd: 0.5, tokens: 9 };
    const cost = (record: typeof before & { reserved: Record<string, typeof held> }) =>
      logLine(wide, { ...revised, kind: 'cost', record, change: ledgerChange(before, record) });
    expect(cost({ ...before, reserved: { r: held } })).toBe(
      '12:00:01.234Z cost     bob reserves the worst case of a call; $0.5000 is reserved',
    );
    const byAgent = { ann: 0.1, bob: 0.2 };
    expect(cost({ ...before, byAgent, spent: { ...before.spent, usd: 0.3, tokens: 15 } })).toBe(
      '12:00:01.234Z cost     bob: $0.2000, 5 tokens',
    );
    expect(cost({ ...before, spent: { ...before.spent, messages: 4, communicationUsd: 0.004 } })).toBe(
      '12:00:01.234Z cost     $0.0040 for 4 messages',
    );
  });

  it('tells messages and votes, made safe and cut', () => {
    const common = { goalId: 'brief-42', correlationId: 'c', timestamp: CREATED_AT };
    const message = {
      ...common,
      id: '1',
      sender: 'coder-1',
      receiver: 'review',
      messageType: 'ask',
      content: { text: '\u001b[2J'.repeat(99) },
      hops: 0,
    };
    const line = logLine(screenOf(80, false), { ...place, kind: 'message', record: message });
    expect(line).toMatch(/^12:00:01\.234Z message {2}coder-1 → review {2}ask {2}\{"text":"\\u001b\[2J.*…$/);
    expect(widthOf(line)).toBeLessThanOrEqual(80);
    const request = {
      roundId: 'r',
      taskId: 'a',
      proposal: 'ok?',
      options: ['yes'],
      rule: { method: 'majority' as const },
      roster: ['a', 'b'],
      deadline: CREATED_AT,
      correlationId: 'c',
    };
    expect(logLine(wide, { ...place, kind: 'vote', record: request })).toBe(
      '12:00:01.234Z vote     a  majority of 2 voters  ok?',
    );
    const ballot = {
      roundId: 'r',
      agent: 'a',
      position: 'yes',
      confidence: 0.5,
      rationale: 'why\nnot',
      timestamp: CREATED_AT,
    };
    expect(logLine(wide, { ...place, kind: 'ballot', record: ballot })).toBe(
      '12:00:01.234Z ballot   a: yes (0.50)  why not',
    );
    expect(logLine(wide, { ...revised, kind: 'round', record: roundRecord() })).toBe(
      '12:00:01.234Z round    round-1  approve  3 of 4 ballots counted',
    );
    expect(logLine(wide, { ...place, kind: 'unreadable', detail: 'agent: too long' })).toContain(
      'mesh.x  does not fit the protocol: agent: too long',
    );
  });
});
