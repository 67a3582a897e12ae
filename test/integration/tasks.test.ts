/** What becomes of single tasks, of goals whose tasks fail, and of graphs of every form. The streams of the whole file are judged at the end. */
import { expect, test } from 'vitest';
import type { ForeignTask } from '../support/foreign-records.ts';
import { waitUntil } from '../support/wait.ts';
import { meshOfFile } from './mesh.ts';
import { expectSound } from './verdict.ts';

const submitted: string[] = [];
const mesh = meshOfFile('tasks', (open) =>
  Promise.all([
    open.agent('echo1'),
    open.agent('echo2'),
    open.agent('gatherer', { folder: 'test/support/agents/gatherer' }),
  ]),
);
const foreign = () => mesh().foreign;

const echo = (taskId: string, more: object = {}) => ({ taskId, capability: 'echo', ...more });
const MINUTE = 60_000;

async function submit(goalId: string, tasks: readonly object[], more: object = {}): Promise<void> {
  submitted.push(goalId);
  await foreign().submit({ goalId, description: goalId, tasks, ...more });
}

async function statuses(goalId: string): Promise<Record<string, ForeignTask['status']>> {
  const tasks = await foreign().tasks(goalId);
  return Object.fromEntries([...tasks].map(([taskId, task]) => [taskId, task.status]));
}

async function lettersOf(goalId: string, count: number) {
  return waitUntil('the failure is dead-lettered', async () => {
    const letters = (await foreign().deadLetters()).filter((letter) => letter.goalId === goalId);
    return letters.length >= count ? letters : undefined;
  });
}

test('failed attempts are counted and repeated up to maxAttempts', async () => {
  await submit('third-time', [echo('a', { input: { failTimes: 2 }, maxAttempts: 3 })]);
  await submit('never', [echo('a', { input: { failTimes: 9 }, maxAttempts: 2 })]);
  expect(await foreign().ended('third-time')).toMatchObject({
    status: 'completed',
    tasks: { total: 1, completed: 1, failed: 0 },
  });
  expect(await foreign().task('third-time', 'a')).toMatchObject({ status: 'completed', attempt: 3 });
  const goal = await foreign().ended('never');
  expect(goal).toMatchObject({
    status: 'failed',
    error: { code: 'task_failed' },
    tasks: { total: 1, completed: 0, failed: 1, cancelled: 0 },
  });
  expect(goal.result).toBeUndefined();
  const task = await foreign().task('never', 'a');
  expect(task).toMatchObject({
    status: 'failed',
    attempt: 2,
    error: { code: 'echo_failed' },
    finishedAt: expect.any(String),
  });
  expect(await lettersOf('never', 1)).toMatchObject([
    { origin: 'tasks', taskId: 'a', attempts: 2, reason: { code: 'echo_failed' }, spent: { usd: 0 } },
  ]);
});

test('the knobs of echo', async () => {
  await submit('knobs', [
    echo('bytes', { input: { bytes: 1_000 } }),
    echo('text', { input: 'plain' }),
    echo('digest', { dependencies: ['bytes', 'text'], input: { digest: true } }),
  ]);
  const textResult = { input: 'plain', dependencies: {} };
  const bytes = JSON.stringify({ bytes: 'x'.repeat(1_000), text: textResult }).length;
  expect((await foreign().ended('knobs')).result).toEqual({ count: 2, bytes });
  expect((await foreign().task('knobs', 'bytes'))?.result).toBe('x'.repeat(1_000));
});

test('an input that does not fit fails its task without another attempt', async () => {
  await submit('misfit', [echo('a', { input: { delayMs: -1 }, maxAttempts: 3 })]);
  expect(await foreign().ended('misfit')).toMatchObject({ status: 'failed', error: { code: 'task_failed' } });
  expect(await foreign().task('misfit', 'a')).toMatchObject({
    status: 'failed',
    attempt: 1,
    error: { code: 'invalid_input', message: expect.stringContaining('delayMs') },
  });
});

test('a task that takes longer than its timeoutMs is a failed attempt', async () => {
  await submit('too-slow', [echo('a', { input: { delayMs: MINUTE }, timeoutMs: 100, maxAttempts: 2 })]);
  expect(await foreign().ended('too-slow')).toMatchObject({ status: 'failed', error: { code: 'task_failed' } });
  expect(await foreign().task('too-slow', 'a')).toMatchObject({
    status: 'failed',
    attempt: 2,
    error: { code: 'timeout', message: expect.stringContaining('100 ms') },
  });
});

test('under "fail" the first failure cancels the rest', async () => {
  await submit('fail', [
    echo('done'),
    echo('bad', { dependencies: ['done'], input: { failTimes: 9, delayMs: 100 }, maxAttempts: 1 }),
    echo('after-bad', { dependencies: ['bad'] }),
    echo('running', { dependencies: ['done'], input: { delayMs: MINUTE } }),
    echo('after-running', { dependencies: ['running'] }),
  ]);
  const goal = await foreign().ended('fail');
  expect(goal).toMatchObject({
    status: 'failed',
    error: { code: 'task_failed', message: expect.stringContaining('bad') },
  });
  expect(goal.tasks).toEqual({ total: 5, completed: 1, failed: 1, cancelled: 3 });
  expect(await statuses('fail')).toEqual({
    done: 'completed',
    bad: 'failed',
    'after-bad': 'cancelled',
    running: 'cancelled',
    'after-running': 'cancelled',
  });
  expect(await lettersOf('fail', 1)).toMatchObject([{ taskId: 'bad', attempts: 1, reason: { code: 'echo_failed' } }]);
});

test('under "continue" what does not depend on the failure is done', async () => {
  const tasks = [
    echo('bad', { input: { failTimes: 9 }, maxAttempts: 1 }),
    echo('after-bad', { dependencies: ['bad'] }),
    echo('after-that', { dependencies: ['after-bad', 'good'] }),
    echo('good', { input: { delayMs: 300 } }),
    echo('after-good', { dependencies: ['good'] }),
  ];
  await submit('continue', tasks, { onTaskFailure: 'continue' });
  const goal = await foreign().ended('continue');
  expect(goal).toMatchObject({ status: 'failed', error: { code: 'task_failed' } });
  expect(goal.tasks).toEqual({ total: 5, completed: 2, failed: 1, cancelled: 2 });
  expect(await statuses('continue')).toEqual({
    bad: 'failed',
    'after-bad': 'cancelled',
    'after-that': 'cancelled',
    good: 'completed',
    'after-good': 'completed',
  });
  expect(goal.finishedAt).toBeDefined();
});

test('a diamond joins once', async () => {
  await submit('diamond', [
    echo('top', { input: 1 }),
    echo('left', { dependencies: ['top'] }),
    echo('right', { dependencies: ['top'] }),
    echo('end', { dependencies: ['left', 'right', 'top'] }),
  ]);
  const top = { input: 1, dependencies: {} };
  const side = { input: null, dependencies: { top } };
  expect((await foreign().ended('diamond')).result).toEqual({
    input: null,
    dependencies: { left: side, right: side, top },
  });
  const revisions = await foreign().revisions('task.diamond.end');
  expect(revisions.filter(({ record }) => (record as ForeignTask).status === 'completed')).toHaveLength(1);
});

test('one task becomes a hundred, and a hundred become one', async () => {
  const wide = Array.from({ length: 100 }, (_, index) => `w${index}`);
  await submit('fan', [
    echo('first'),
    ...wide.map((taskId) => echo(taskId, { dependencies: ['first'], input: taskId })),
    echo('last', { dependencies: wide, input: { digest: true } }),
  ]);
  const first = { first: { input: null, dependencies: {} } };
  const bytes = JSON.stringify(
    Object.fromEntries(wide.map((taskId) => [taskId, { input: taskId, dependencies: first }])),
  ).length;
  expect(await foreign().ended('fan')).toMatchObject({
    status: 'completed',
    tasks: { total: 102, completed: 102 },
    result: { count: 100, bytes },
  });
});

test('a thousand tasks and their join', async () => {
  const wide = Array.from({ length: 1_000 }, (_, index) => `w${index}`);
  await submit('thousand', [
    ...wide.map((taskId) => echo(taskId)),
    echo('join', { dependencies: wide, input: { digest: true } }),
  ]);
  expect(await foreign().ended('thousand')).toMatchObject({
    status: 'completed',
    tasks: { total: 1_001, completed: 1_001, failed: 0, cancelled: 0 },
    result: { count: 1_000 },
  });
});

test.for([3, 300])('a task is given the results of its %i dependencies, and of no other task', async (count) => {
  const wide = Array.from({ length: count }, (_, index) => `w${index}`);
  const goalId = `given-${count}`;
  await submit(goalId, [
    echo('other'),
    ...wide.map((taskId) => echo(taskId, { dependencies: ['other'] })),
    { taskId: 'join', capability: 'gather', dependencies: wide },
  ]);
  const { status, result } = await foreign().ended(goalId);
  expect(status).toBe('completed');
  expect(new Set(result as string[])).toEqual(new Set(wide));
});

test('the streams say that all of this was done once, in order, and counted right', async () => {
  const { tasks, goals } = await expectSound(mesh(), submitted);
  expect(goals).toBe(submitted.length);
  expect(tasks).toBeGreaterThan(1_100);
});
