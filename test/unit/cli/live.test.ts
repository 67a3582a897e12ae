import { describe, expect, it } from 'vitest';
import { frame, goalChange, taskChange } from '../../../services/cli/render/live.ts';
import { screenOf } from '../../../services/cli/render/screen.ts';
import { widthOf } from '../../../services/cli/render/text.ts';
import { at, CREATED_MS, goalRecord, presence, taskRecord } from './records.ts';

const wide = screenOf(Number.POSITIVE_INFINITY, false);
const NOW = CREATED_MS + 4_200;

const running = taskRecord({
  status: 'in_progress',
  agentId: 'researcher-1',
  attempt: 1,
  startedAt: at(1_200),
  item: 1,
});

describe('a frame of watch', () => {
  it('shows the goal, its tasks and how long they have been running', () => {
    const text = frame(
      wide,
      { goalId: 'brief-42', goal: goalRecord(), tasks: [running], agents: [presence()] },
      NOW,
      24,
    );
    expect(text).toContain('goal brief-42  running');
    expect(text).toMatch(/└─ a +research +in_progress +researcher-1 +1 +3\.0 s$/m);
  });

  it('says that a goal waits to be accepted, and that nobody is there to do it', () => {
    const view = { goalId: 'g-7', goal: undefined, tasks: [], agents: undefined };
    expect(frame(wide, view, NOW, 24)).toBe('goal g-7  waits for an agent to accept it');
    expect(frame(wide, { ...view, agents: [] }, NOW, 24)).toContain('no agent is present');
  });

  it('says which capability nobody has', () => {
    const tasks = [taskRecord({ status: 'ready', capability: 'draw' })];
    const view = { goalId: 'brief-42', goal: goalRecord(), tasks, agents: [presence()] };
    expect(frame(wide, view, NOW, 24)).toContain('no present agent has the capability "draw"');
  });

  it('fits any terminal, and shows what is urgent when not everything fits', () => {
    const tasks = [
      ...Array.from({ length: 500 }, (_, n) =>
        taskRecord({
          taskId: `done-${n}`,
          status: 'completed',
          agentId: 'r',
          startedAt: at(1),
          finishedAt: at(2),
          result: null,
          attempt: 1,
        }),
      ),
      ...Array.from({ length: 500 }, (_, n) => taskRecord({ taskId: `later-${n}` })),
      { ...running, taskId: 'now' },
      taskRecord({ taskId: 'broken', status: 'failed', error: { code: 'x', message: 'y' }, finishedAt: at(3) }),
    ];
    const view = { goalId: 'brief-42', goal: goalRecord({ description: '数'.repeat(200) }), tasks, agents: [] };
    for (const rows of [1, 3, 6, 10, 24, 60]) {
      for (const width of [20, 45, 80]) {
        const lines = frame(screenOf(width, true), view, NOW, rows).split('\n');
        expect(lines.length).toBeLessThanOrEqual(rows);
        expect(lines.filter((line) => widthOf(line) > width)).toEqual([]);
      }
    }
    const text = frame(screenOf(80, false), view, NOW, 10);
    expect(text).toContain('now');
    expect(text).toContain('broken');
    expect(text).toMatch(/… and \d+ tasks more: \d+ completed, 500 pending/);
  });
});

describe('a line of watch', () => {
  it('tells how a task changed', () => {
    const ready = taskRecord({ status: 'ready' });
    expect(taskChange(wide, undefined, ready, NOW)).toBe('task a  research  ready');
    expect(taskChange(wide, ready, running, NOW)).toBe(
      'task a  research  ready → in_progress  researcher-1  attempt 1',
    );
    const again = taskRecord({ status: 'ready', attempt: 1, error: { code: 'invalid_output', message: 'no\nJSON' } });
    expect(taskChange(wide, running, again, NOW)).toBe(
      'task a  research  in_progress → ready  attempt 1  invalid_output: no JSON',
    );
    const other = taskRecord({
      status: 'in_progress',
      agentId: 'researcher-2',
      attempt: 2,
      startedAt: at(2_000),
      item: 1,
    });
    expect(taskChange(wide, running, other, NOW)).toBe('task a  research  in_progress  researcher-2  attempt 2 of 3');
    const done = taskRecord({
      status: 'completed',
      agentId: 'researcher-2',
      attempt: 2,
      startedAt: at(2_000),
      finishedAt: at(2_500),
      result: 1,
    });
    expect(taskChange(wide, other, done, NOW)).toBe(
      'task a  research  in_progress → completed  researcher-2  attempt 2 of 3  500 ms',
    );
  });

  it('is silent about what is not shown', () => {
    expect(taskChange(wide, running, { ...running, reworks: 1 }, NOW)).toBe('');
    const before = goalRecord();
    expect(goalChange(wide, before, goalRecord({ spent: { usd: 1, tokens: 2, messages: 3, wallMs: 4 } }), NOW)).toBe(
      '',
    );
  });

  it('tells how a goal changed, and why it ended', () => {
    const rejected = {
      ...goalRecord(),
      status: 'rejected',
      error: { code: 'invalid_json', message: 'expected JSON' },
      finishedAt: at(0),
    };
    expect(goalChange(wide, undefined, goalRecord(rejected), NOW)).toContain(
      'rejected  1 of 3 tasks  0 ms  $0.0012  invalid_json: expected JSON',
    );
    expect(goalChange(wide, goalRecord({ status: 'planning' }), goalRecord(), NOW)).toContain('running');
  });
});
