/** Goals that wait for what does not come, run out of time, or are called off. They wait side by side. */
import { describe, expect, test } from 'vitest';
import type { AgentProcess } from '../support/processes.ts';
import { waitUntil } from '../support/wait.ts';
import { meshOfFile } from './mesh.ts';
import { expectSound } from './verdict.ts';

/** PROTOCOL: terminal within 5 s while agents are alive. */
const CANCEL_MS_MAX = 5_000;
const MINUTE = 60_000;
/** A goal of 1 s is over before its receipt comes round for the first time (10 s), which would end it anyway. */
const LATE_MS_MAX = 6_000;

const agents: AgentProcess[] = [];
const submitted: string[] = [];
const mesh = meshOfFile('waiting', async (open) => {
  agents.push(...(await Promise.all([open.agent('echo1'), open.agent('echo2')])));
});
const foreign = () => mesh().foreign;
const echo = (taskId: string, more: object = {}) => ({ taskId, capability: 'echo', ...more });

async function submit(goalId: string, more: object): Promise<void> {
  submitted.push(goalId);
  await foreign().submit({ goalId, description: goalId, ...more });
}

async function metrics(): Promise<string> {
  return (await Promise.all(agents.map((agent) => agent.metrics()))).join('\n');
}

describe.concurrent('waiting', () => {
  test('a task of a capability that nobody has waits as ready, is named by a metric, and can be cancelled', async () => {
    await submit('nobody', { tasks: [{ taskId: 'a', capability: 'telepathy' }] });
    await waitUntil('the task is ready', async () => (await foreign().task('nobody', 'a'))?.status === 'ready');
    await waitUntil(
      'a metric names it',
      async () => (await metrics()).includes('conclave_capability_missing{capability="telepathy"} 1'),
      30_000,
    );
    const idle = [...(await metrics()).matchAll(/^conclave_goals_idle_seconds ([\d.]+)$/gm)].map(([, seconds]) =>
      Number(seconds),
    );
    expect(Math.max(...idle)).toBeGreaterThan(5);
    expect(await foreign().goal('nobody')).toMatchObject({ status: 'running' });
    expect(await foreign().task('nobody', 'a')).toMatchObject({ status: 'ready', attempt: 0 });
    await foreign().cancel('nobody', 'no such agent');
    const goal = await foreign().ended('nobody', CANCEL_MS_MAX);
    expect(goal).toMatchObject({ status: 'cancelled', tasks: { total: 1, completed: 0, failed: 0, cancelled: 1 } });
    expect(JSON.stringify(goal.error)).toContain('no such agent');
    expect(await metrics()).toContain('conclave_tasks_total{capability="telepathy",status="cancelled"} 1\n');
  });

  test('a goal whose time is up fails, whether its task waits or runs', async () => {
    await submit('late-waits', { tasks: [{ taskId: 'a', capability: 'clairvoyance' }], budget: { wallMs: 1_000 } });
    await submit('late-runs', {
      tasks: [echo('a', { input: { delayMs: MINUTE } }), echo('b', { dependencies: ['a'] })],
      budget: { wallMs: 1_000 },
    });
    for (const goalId of ['late-waits', 'late-runs']) {
      const goal = await foreign().ended(goalId, LATE_MS_MAX);
      expect(goal).toMatchObject({ status: 'failed', error: { code: 'deadline_exceeded' } });
      expect(goal.spent.wallMs).toBeGreaterThanOrEqual(1_000);
      expect(goal.tasks).toMatchObject({ completed: 0, total: goalId === 'late-waits' ? 1 : 2 });
    }
  });

  test('a goal without a planner waits, and is cancelled', async () => {
    await submit('unplanned', { input: 'x' });
    await waitUntil(
      'the goal is being planned',
      async () => (await foreign().goal('unplanned'))?.status === 'planning',
    );
    await foreign().cancel('unplanned', 'never mind');
    const goal = await foreign().ended('unplanned', CANCEL_MS_MAX);
    expect(goal).toMatchObject({ status: 'cancelled', error: { message: expect.stringContaining('never mind') } });
    expect(goal.tasks).toEqual({ total: 1, completed: 0, failed: 0, cancelled: 1 });
  });

  test('a cancelled goal is over within 5 s, its running tasks are stopped and no new one starts', async () => {
    const slow = Array.from({ length: 24 }, (_, index) => echo(`slow${index}`, { input: { delayMs: MINUTE } }));
    await submit('called-off', {
      tasks: [echo('quick'), ...slow, echo('after', { dependencies: slow.map((task) => task.taskId) })],
    });
    await waitUntil('some of it runs', async () => {
      const tasks = [...(await foreign().tasks('called-off')).values()];
      return (
        tasks.some((task) => task.status === 'in_progress') &&
        tasks.find((task) => task.taskId === 'quick')?.status === 'completed'
      );
    });
    await foreign().cancel('called-off', 'changed my mind');
    const goal = await foreign().ended('called-off', CANCEL_MS_MAX);
    expect(goal.status).toBe('cancelled');
    expect(goal.tasks).toEqual({ total: 26, completed: 1, failed: 0, cancelled: 25 });
    const tasks = [...(await foreign().tasks('called-off')).values()].filter((task) => task.taskId !== 'quick');
    expect(new Set(tasks.map((task) => task.status))).toEqual(new Set(['cancelled']));
    // Slots are free again long before the minute that the tasks would have taken.
    await submit('next', { tasks: Array.from({ length: 16 }, (_, index) => echo(`t${index}`)) });
    expect(await foreign().ended('next', 20_000)).toMatchObject({ status: 'completed' });
    await foreign().cancel('next', 'too late');
    await foreign().cancel('called-off', 'twice');
  });

  test('a cancel that makes no sense is dead-lettered', async () => {
    await foreign().cancel('never-submitted', 'why not');
    await foreign().js.publish(`${mesh().name}.goals.cancel`, '{"goalId":"*"}');
    const letters = await waitUntil(
      'both are dead-lettered',
      async () => {
        const found = (await foreign().deadLetters()).filter((letter) => letter.origin === 'cancel');
        return found.length === 2 ? found : undefined;
      },
      20_000,
    );
    expect(letters.map((letter) => letter.reason.code).toSorted()).toEqual(['invalid_schema', 'unknown_goal']);
    expect(letters.find((letter) => letter.reason.code === 'unknown_goal')?.goalId).toBe('never-submitted');
  });
});

describe('afterwards', () => {
  test('no queue holds anything, nothing runs, and the streams are sound', async () => {
    await waitUntil(
      'nothing runs',
      async () => !/conclave_tasks_in_progress\{capability="echo"\} [1-9]/.test(await metrics()),
    );
    await expectSound(mesh(), submitted);
    expect(await foreign().goal('next')).toMatchObject({ status: 'completed' });
    expect(await foreign().goal('called-off')).toMatchObject({
      status: 'cancelled',
      error: { message: expect.stringContaining('changed my mind') },
    });
  });
});
