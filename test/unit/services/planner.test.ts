import { describe, expect, test } from 'vitest';
import { makePlan, manifest } from '../../../services/planner/handler.ts';
import { HandlerError } from '../../../shared/runtime/context.ts';
import { type FakeOptions, fakeContext, present } from '../../support/fake-context.ts';

const AGENTS = [
  present('planner-1', 'plan'),
  present('researcher-1', 'research'),
  present('coder-1', 'code'),
  ...['r1', 'r2', 'r3'].map((id) => present(id, 'review')),
];
const GOOD = {
  steps: [
    { id: 'find', title: '', description: 'Find', capability: 'research', dependsOn: [] },
    { id: 'make', title: '', description: 'Make', capability: 'code', dependsOn: ['find'] },
  ],
};
const CYCLIC = {
  steps: [
    { id: 'a', title: '', description: 'A', capability: 'research', dependsOn: ['b'] },
    { id: 'b', title: '', description: 'B', capability: 'code', dependsOn: ['a'] },
  ],
};
const FALLBACK = ['research', 'code', 'review'];

function planner(options: FakeOptions<unknown>) {
  return fakeContext({ agents: AGENTS, ...options });
}

describe('plan', () => {
  test('the model gets the goal and the live capabilities, never planning itself; its steps become the plan', async () => {
    const { context, asked, logged } = planner({ goal: { description: 'Brief it' }, replies: { plan: () => GOOD } });
    const plan = await makePlan(context);
    expect(plan).toMatchObject({
      source: 'model',
      tasks: [
        { taskId: 't1', dependencies: [] },
        { taskId: 't2', dependencies: ['t1'], vote: { capability: 'review' } },
      ],
    });
    expect(asked).toMatchObject([{ user: { goal: 'Brief it', capabilities: ['code', 'research', 'review'] } }]);
    expect(asked[0]?.user).not.toHaveProperty('problem');
    expect(logged).toEqual([]);
    expect(manifest.capabilities['plan']?.output.safeParse(plan).success).toBe(true);
  });

  test('a plan that cannot be run is proposed once more, with the problem stated', async () => {
    const { context, asked, logged } = planner({ replies: { plan: (_, time) => (time === 1 ? CYCLIC : GOOD) } });
    expect(await makePlan(context)).toMatchObject({ source: 'model' });
    expect(asked[1]?.user['problem']).toMatch(/in a circle: "[ab]" -> "[ab]" -> "[ab]"/);
    expect(logged).toMatchObject([{ level: 'info', fields: { event: 'plan.refused', code: 'cyclic_dependencies' } }]);
  });

  test('after a second bad plan the fixed three steps stand in, and the log says why', async () => {
    const { context, asked, logged } = planner({ goal: { description: 'Brief it' }, replies: { plan: () => CYCLIC } });
    const plan = await makePlan(context);
    expect(plan.source).toBe('fallback');
    expect(plan.reason).toMatch(/the model's plan cannot be run: .*circle/);
    expect(plan.tasks.map((task) => task.capability)).toEqual(FALLBACK);
    expect(plan.tasks.map((task) => task.description)).toEqual([
      'Analyze: Brief it',
      'Implement: Brief it',
      'Review: Brief it',
    ]);
    expect(asked).toHaveLength(2);
    expect(logged).toMatchObject([{}, {}, { level: 'warn', fields: { event: 'plan.fallback', missing: [] } }]);
  });

  test('the join of a parallel goal that goes on after a failure does without parts that fail', async () => {
    const goal = { pattern: 'parallel', onTaskFailure: 'continue' };
    const { tasks } = await makePlan(planner({ goal, replies: { plan: () => GOOD } }).context);
    expect(tasks).toMatchObject([{ dependencies: [] }, { dependencies: ['t1'], tolerant: true }]);
    expect(tasks[0]).not.toHaveProperty('tolerant');
  });

  test.each(['invalid_output', 'model_refused'])('%s: the fixed steps at once', async (code) => {
    const { context } = planner({ replies: { plan: () => new HandlerError(code, 'no good', { retry: false }) } });
    expect(await makePlan(context)).toMatchObject({ source: 'fallback', reason: `${code}: no good` });
  });

  test('a model that is away: one more attempt, then the fixed steps', async () => {
    const replies = { plan: () => new HandlerError('model_unavailable', 'away') };
    await expect(makePlan(planner({ attempt: 1, replies }).context)).rejects.toMatchObject({
      code: 'model_unavailable',
    });
    expect(await makePlan(planner({ attempt: 2, replies }).context)).toMatchObject({
      source: 'fallback',
      reason: 'model_unavailable: away',
    });
  });

  test.each([new HandlerError('budget_exceeded', 'spent', { retry: false }), new TypeError('a bug')])(
    '%s is not hidden by the fixed steps',
    async (error) => {
      const { context } = planner({ attempt: 3, replies: { plan: () => error } });
      await expect(makePlan(context)).rejects.toBe(error);
    },
  );

  test('an aborted attempt makes no plan', async () => {
    const { context } = planner({
      signal: AbortSignal.abort(),
      replies: { plan: () => new HandlerError('model_refused', 'aborted') },
    });
    await expect(makePlan(context)).rejects.toBeInstanceOf(HandlerError);
  });

  test('steps whose agents are away are planned all the same, and named', async () => {
    const { context, logged } = planner({
      agents: [present('p', 'plan'), present('r', 'research')],
      replies: { plan: () => ({ steps: [] }) },
    });
    const plan = await makePlan(context);
    expect(plan.tasks.map((task) => task.capability)).toEqual(FALLBACK);
    expect(plan.tasks.every((task) => task.vote === undefined)).toBe(true);
    expect(logged.at(-1)?.fields).toMatchObject({ event: 'plan.fallback', missing: ['code', 'review'] });
  });

  test('without any agent for the work no model is asked, and the goal cannot be planned', async () => {
    const { context, asked } = planner({ agents: [present('p', 'plan')] });
    await expect(makePlan(context)).rejects.toMatchObject({ code: 'unplannable' });
    expect(asked).toEqual([]);
  });

  describe('asked for another plan', () => {
    const part = (taskId: string, capability: string) => ({ taskId, capability, description: `does ${taskId}` });
    const replan = {
      number: 1,
      failed: [{ ...part('t2', 'code'), error: { code: 'broken', message: 'it broke' } }],
      waiting: [part('t3', 'review')],
      finished: [part('t1', 'research')],
      running: [],
    };
    const anew = (options: FakeOptions<unknown>) => planner({ taskId: 'replan-1', input: { replan }, ...options });

    test('the model is told what failed and what there is; its steps get names of their own and may wait for what there is', async () => {
      const steps = [
        { id: 'look', title: '', description: 'Look', capability: 'review', dependsOn: ['t1'] },
        { id: 'again', title: '', description: 'Again', capability: 'research', dependsOn: ['look'] },
      ];
      const { context, asked } = anew({ replies: { plan: () => ({ steps }) }, dependencies: { t1: 'x'.repeat(999) } });
      const plan = await makePlan(context);
      expect(plan.tasks).toMatchObject([
        { taskId: 'replan-1-t1', capability: 'review', dependencies: ['t1'] },
        { taskId: 'replan-1-t2', capability: 'research', dependencies: ['replan-1-t1'] },
      ]);
      const { failed, waiting } = replan;
      const finished = [{ ...part('t1', 'research'), result: `"${'x'.repeat(299)}` }];
      expect(asked).toMatchObject([{ user: { failed, waiting, finished, running: [] } }]);
      expect(manifest.capabilities['plan']?.output.safeParse(plan).success).toBe(true);
    });

    test('a step that is named like a task that is there, or waits for one that failed, is proposed once more', async () => {
      const step = (id: string, ...dependsOn: string[]) => ({
        steps: [{ id, title: '', description: id, capability: 'review', dependsOn }],
      });
      const { context, asked } = anew({ replies: { plan: (_, time) => (time === 1 ? step('t1') : step('x', 't2')) } });
      const plan = await makePlan(context);
      expect(asked[1]?.user['problem']).toMatch(/expected new step ids, got "t1"/);
      expect(plan).toMatchObject({
        source: 'fallback',
        reason: expect.stringMatching(/depends on "t2", which is not/),
      });
      expect(plan.tasks).toMatchObject([{ taskId: 'replan-1-t1', capability: 'review', dependencies: ['t1'] }]);
    });

    test('without a usable answer, and with nothing left of the fixed steps, there is no other way', async () => {
      const all = ['research', 'code', 'review'].map((name, at) => ({
        ...part(`t${at}`, name),
        error: { code: 'broken', message: 'it broke' },
      }));
      const input = { replan: { ...replan, failed: all, finished: [] } };
      const { context } = anew({ input, replies: { plan: () => CYCLIC } });
      await expect(makePlan(context)).rejects.toMatchObject({ code: 'unplannable', retry: false });
    });

    test('a goal whose own input looks like that is planned as any other', async () => {
      const { context, asked } = planner({ taskId: 'plan', input: { replan }, replies: { plan: () => GOOD } });
      expect((await makePlan(context)).tasks[0]?.taskId).toBe('t1');
      expect(asked[0]?.user).not.toHaveProperty('failed');
    });
  });

  test.each([
    { pattern: 'sequential', dependencies: [[], ['t1'], ['t2']] },
    { pattern: 'parallel', dependencies: [[], [], ['t1', 't2']] },
    { pattern: 'peer-to-peer', dependencies: [[], [], []] },
  ])('$pattern has the last word on the dependencies', async ({ pattern, dependencies }) => {
    const loose = { steps: FALLBACK.map((id) => ({ id, title: '', description: '', capability: id, dependsOn: [] })) };
    const { context } = planner({ goal: { pattern }, replies: { plan: () => loose } });
    expect((await makePlan(context)).tasks.map((task) => task.dependencies)).toEqual(dependencies);
  });
});
