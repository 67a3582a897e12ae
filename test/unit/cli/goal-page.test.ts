import { describe, expect, it } from 'vitest';
import { addUsd } from '../../../shared/core/cost.ts';
import type { GoalRecord } from '../../../shared/protocol/goal.ts';
import { Revision } from '../../../shared/protocol/plan.ts';
import type { TaskRecord } from '../../../shared/protocol/task.ts';
import { accountOf, costReport } from '../../../services/cli/cost-report.ts';
import { costPage } from '../../../services/cli/render/cost.ts';
import { goalLine, goalPage, goalTable, resultText, unstaffed } from '../../../services/cli/render/goal.ts';
import { screenOf } from '../../../services/cli/render/screen.ts';
import { taskPage } from '../../../services/cli/render/task.ts';
import { widthOf } from '../../../services/cli/render/text.ts';
import { at, CREATED_MS, goalRecord, presence, taskRecord } from './records.ts';

const wide = screenOf(Number.POSITIVE_INFINITY, false);
const NOW = CREATED_MS + 4_200;

const tasks = [
  taskRecord({ taskId: 'b', capability: 'code', dependencies: ['a'] }),
  taskRecord({
    taskId: 'a',
    status: 'completed',
    agentId: 'researcher-1',
    attempt: 2,
    startedAt: at(1_000),
    finishedAt: at(3_500),
    result: 'found',
    cost: { usd: 0.0003, inputTokens: 300, outputTokens: 20, messages: 1 },
  }),
];

describe('what show says of a goal', () => {
  it('tells how it stands in one line', () => {
    expect(goalLine(wide, goalRecord(), NOW)).toBe('goal brief-42  running  1 of 3 tasks  4.2 s  $0.0012');
    const failed = goalRecord({
      status: 'failed',
      budget: { usd: 0.5 },
      tasks: { total: 3, completed: 1, failed: 1, cancelled: 1 },
      error: { code: 'task_failed', message: 'task b failed' },
      finishedAt: at(2_000),
    });
    expect(goalLine(wide, failed, NOW)).toBe(
      'goal brief-42  failed  1 of 3 tasks (1 failed, 1 cancelled)  2.0 s  $0.0012 of $0.5000',
    );
  });

  it('shows each task with its agent, attempt, time and cost', () => {
    const page = goalPage(wide, goalRecord(), tasks, [presence({ capabilities: ['research', 'code'] })], NOW);
    expect(page).toMatch(/├?└─ a +research +completed +researcher-1 +2 of 3 +2\.5 s +\$0\.00030/);
    expect(page).toMatch(/└─ b +code +pending +a$/m);
    const join = taskRecord({ ...tasks[1], taskId: 'j', dependencies: ['a', 'b'] });
    expect(goalPage(wide, goalRecord(), [...tasks, join], [], NOW)).toMatch(/└─ j .* a, b$/m);
    expect(page).not.toContain('no present agent');
  });

  it('names the capability that nobody has for a ready task', () => {
    const ready = [
      taskRecord({ taskId: 'x', status: 'ready', capability: 'draw' }),
      taskRecord({ taskId: 'y', status: 'ready', capability: 'draw' }),
      taskRecord({ taskId: 'z', status: 'ready', capability: 'research' }),
      taskRecord({ taskId: 'w', status: 'pending', capability: 'sing' }),
    ];
    expect(unstaffed(ready, [presence()])).toEqual([
      'no present agent has the capability "draw"; 2 ready tasks wait for one',
    ]);
    expect(goalPage(wide, goalRecord(), ready, [presence()], NOW)).toContain(
      'no present agent has the capability "draw"',
    );
  });

  it('shows why a goal failed, and which task', () => {
    const error = { code: 'invalid_output', message: 'expected a number\u001b[2J', path: 'total' };
    const goal = goalRecord({
      status: 'failed',
      error: { code: 'task_failed', message: 'task a failed' },
      finishedAt: at(9),
    });
    const page = goalPage(wide, goal, [taskRecord({ status: 'failed', finishedAt: at(9), error })], [], NOW);
    expect(page).toContain('task_failed: task a failed');
    expect(page).toContain('a: invalid_output: expected a number\\u001b[2J (at total)');
  });

  it('shows a result as text or as JSON, and a large one as its reference', () => {
    const page = goalPage(
      wide,
      goalRecord({ status: 'completed', finishedAt: at(9), result: 'line 1\nline 2\u0007' }),
      [],
      [],
      NOW,
    );
    expect(page).toContain('result\nline 1\nline 2\\u0007');
    expect(resultText({ a: [1] })).toBe('{\n  "a": [\n    1\n  ]\n}');
    expect(resultText({ $blob: 'NAME' })).toContain('blob NAME');
  });

  it('lets nothing of what agents wrote reach the terminal as a control character', () => {
    const evil = 'x\u001b[2J\u0007\u009b31m\u202e';
    const goal = goalRecord({
      description: evil,
      metadata: { evil },
      status: 'failed',
      error: { code: evil, message: evil, path: evil },
      finishedAt: at(1),
      result: evil,
    });
    const task = taskRecord({
      status: 'failed',
      description: evil,
      input: evil,
      reasons: [evil],
      error: { code: evil, message: evil },
      finishedAt: at(1),
      correlationId: evil,
    });
    const pages = [
      goalPage(wide, goal, [task], [presence({ version: evil })], NOW),
      taskPage(wide, task, NOW),
      goalTable(wide, [goal], NOW),
      goalLine(wide, goal, NOW),
      costPage(wide, goal, [task], costReport(goal, [task])),
    ].join('\n');
    expect(pages.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  });

  it('keeps the parts that stand in columns within the width of the terminal', () => {
    const goal = goalRecord({ description: 'long '.repeat(100) });
    for (const width of [30, 60, 80]) {
      const [head = '', ...rest] = goalPage(
        screenOf(width, false),
        goal,
        tasks,
        [presence({ capabilities: ['code'] })],
        NOW,
      ).split('\n');
      expect(head).toContain('brief-42');
      expect(rest.filter((line) => widthOf(line) > width)).toEqual([]);
    }
  });
});

describe('what show says of changes to a graph', () => {
  const failure = { taskId: 't2', description: 'd', error: { code: 'broken', message: 'it\nbroke' } };
  const revision = (fields: object) =>
    Revision.parse({
      goalId: 'brief-42',
      revision: 1,
      cause: 't2',
      replaces: ['t2', 't3'],
      tasks: [{ taskId: 'replan-1', capability: 'plan', dependencies: [] }],
      sinks: ['replan-1'],
      total: 5,
      predicted: 0,
      createdAt: at(0),
      ...fields,
    });

  it('names what failed, what was done about it, and how often', () => {
    const goal = goalRecord({ replansMax: 2, replans: 1, revision: 2, revisionsMax: 16 });
    const page = goalPage(wide, goal, tasks, [], NOW, null, [
      revision({ repairs: { kind: 'replan', number: 1, failure } }),
      revision({ revision: 2, cause: 'replan-1', replaces: [] }),
      revision({ revision: 3, replaces: ['t4'], repairs: { kind: 'merge', failure } }),
    ]);
    expect(page).toMatch(/^planned anew +1 of 2 times$/m);
    expect(page).toContain(
      'revision 1  to be planned anew, because task t2 failed (broken: it broke): replan-1 instead of t2, t3',
    );
    expect(page).toContain('revision 2  planned by replan-1: replan-1');
    expect(page).toContain(
      'revision 3  done without, because task t2 failed (broken: it broke): replan-1 instead of t4',
    );
  });
});

describe('what show says of a task', () => {
  it('tells everything of it', () => {
    const page = taskPage(wide, tasks[1] ?? taskRecord(), NOW);
    for (const part of [
      'task a of goal brief-42  completed',
      'agent',
      'researcher-1',
      '2 of 3',
      '2.5 s',
      '300 input tokens',
      'result\nfound',
    ]) {
      expect(page).toContain(part);
    }
  });
});

describe('the list of goals', () => {
  it('has a line for each', () => {
    const lines = goalTable(
      wide,
      [goalRecord(), goalRecord({ goalId: 'other', description: 'two\nlines' })],
      NOW,
    ).split('\n');
    expect(lines[0]).toMatch(/^goal +status +pattern +tasks +cost +age +description$/);
    expect(lines[1]).toMatch(/^brief-42 +running +orchestrator +1\/3 +\$0\.0012 +4\.2 s +Brief this text$/);
    expect(lines[2]).toMatch(/two lines$/);
  });
});

describe('what a goal cost', () => {
  const pageOf = (goal: GoalRecord, of: readonly TaskRecord[]): string =>
    costPage(wide, goal, of, costReport(goal, of));

  it('is told per message type, and what voters and lost attempts cost stands below the tasks', () => {
    const cost = {
      compute: { 'coder-1': 0.0008, 'researcher-1': 0.0003 },
      communication: 0.0001,
      total: 0.0012,
      predicted: 0.001,
      byMessageType: {
        vote: { messages: 1, bytes: 2_000, usd: 0.00004 },
        ballot: { messages: 3, bytes: 600, usd: 0.00006 },
      },
      votes: 0.0005,
    };
    const goal = goalRecord({ cost });
    const page = pageOf(goal, tasks);
    expect(page).toMatch(/^\(votes\) +voters' opinions +\$0\.00050$/m);
    expect(page).toMatch(/^\(lost\) +attempts without a record +\$0\.00030$/m);
    expect(page).toMatch(/^ballot +3 +600 +\$0\.000060$/m);
    const report = costReport(goal, tasks);
    expect(report.messageTypes.map(({ type }) => type)).toEqual(['ballot', 'vote']);
    expect(addUsd([...report.tasks.map(({ usd }) => usd), report.votes, report.lost])).toBe(report.compute);
    expect(addUsd(report.agents.map(({ usd }) => usd))).toBe(report.compute);
    expect(addUsd(report.messageTypes.map(({ usd }) => usd))).toBe(report.communication);
    expect(addUsd([report.compute, report.communication])).toBe(goal.cost.total);
    expect(report.prediction).toEqual({ predicted: 0.001, measured: 0.0012, error: 0.0002, ratio: 1.2 });
  });

  it('says what is held back for calls under way, and what went to calls that nobody reported on', () => {
    const held = { agentId: 'coder-1', taskId: 'b', attempt: 1, usd: 0.002, tokens: 900 };
    const ledger = {
      limits: { usd: 0.01 },
      reserved: { one: held, two: held },
      spent: { usd: 0.0012, tokens: 700, messages: 5, communicationUsd: 0 },
      byAgent: {},
      lost: { usd: 0.0005, tokens: 400, calls: 1 },
      beyond: { usd: 0.25, tokens: 0 },
    };
    const goal = goalRecord({ budget: { usd: 0.01, tokens: 5_000 } });
    const report = costReport(goal, tasks, ledger);
    expect(report.account?.reserved).toEqual({ usd: 0.004, tokens: 1_800, calls: 2 });
    const page = costPage(wide, goal, tasks, report);
    expect(page).toMatch(/^reserved +\$0\.0040 +for 2 calls under way$/m);
    expect(page).toMatch(/^measured, lost +\$0\.00050 +for 1 call that nobody reported the end of$/m);
    expect(page).toMatch(/^beyond +\$0\.2500 +claimed by the endpoint/m);
    const shown = goalPage(wide, goal, tasks, [], NOW, accountOf(ledger));
    expect(shown).toMatch(/^spent +\$0\.0012 of \$0\.0100, .* tokens of 5,000, 5 messages$/m);
    expect(shown).toMatch(
      /^reserved +\$0\.0040 for 2 calls under way; of what is spent, \$0\.00050 for 1 call that nobody reported the end of$/m,
    );
    expect(goalPage(wide, goal, tasks, [], NOW, accountOf(undefined))).not.toContain('reserved');
  });

  it('is told per agent, per task and for communication, predicted beside measured', () => {
    const page = pageOf(goalRecord({ budget: { usd: 0.012 } }), tasks);
    expect(page).toMatch(/^compute +\$0\.0011 +2 agents$/m);
    expect(page).toMatch(/^communication +\$0\.00010 +5 messages$/m);
    expect(page).toMatch(/^measured +\$0\.0012 +1,234 tokens$/m);
    expect(page).toMatch(/^predicted +\$0\.0010 +measured is 20 % more$/m);
    expect(page).toMatch(/^budget +\$0\.0120 +10\.0 %$/m);
    expect(page).toMatch(/^coder-1 +\$0\.00080 +72\.7 %$/m);
    expect(page).toMatch(/^└─ a +research +\$0\.00030 +300 +20 +1$/m);
  });

  it('does not divide by a prediction of nothing', () => {
    const cost = { compute: {}, communication: 0, total: 0, predicted: 0 };
    expect(pageOf(goalRecord({ cost }), [])).toMatch(/^predicted +\$0 +as measured$/m);
    expect(pageOf(goalRecord({ cost: { ...cost, total: 1 } }), [])).toMatch(/^predicted +\$0$/m);
  });
});
