/** Goals as a stranger submits and reads them. */
import { expect, test } from 'vitest';
import { jsonOf } from '../support/foreign.ts';
import type { ForeignGoal, ForeignTask } from '../support/foreign-records.ts';
import type { AgentProcess } from '../support/processes.ts';
import { waitUntil } from '../support/wait.ts';
import { meshOfFile } from './mesh.ts';
import { expectSound } from './verdict.ts';

const agents: AgentProcess[] = [];
const mesh = meshOfFile('goals', async (open) => {
  agents.push(...(await Promise.all([open.agent('echo1'), open.agent('echo2')])));
});
const foreign = () => mesh().foreign;

const echo = (taskId: string, more: object = {}) => ({
  taskId,
  capability: 'echo',
  description: `echo ${taskId}`,
  ...more,
});

test('a goal runs to the end however it was published', async () => {
  const { nc, js, ended, mesh: m } = foreign();
  const body = (goalId: string) =>
    JSON.stringify({ goalId, description: 'one task', tasks: [echo('a', { input: goalId })] });
  nc.publish(`${m}.goals.submit`, body('plain'));
  const receipt = jsonOf((await nc.request(`${m}.goals.submit`, body('request'))).data);
  const ack = await js.publish(`${m}.goals.submit`, body('jetstream'));
  expect(receipt).toMatchObject({ stream: `${m}_goals`, seq: expect.any(Number) });
  expect(ack.stream).toBe(`${m}_goals`);
  for (const goalId of ['plain', 'request', 'jetstream']) {
    expect(await ended(goalId)).toMatchObject({ status: 'completed', result: { input: goalId, dependencies: {} } });
  }
});

test('the records of a goal and its tasks are those of the protocol', async () => {
  const metadata = { owner: 'me', tags: ['x', { deep: [1, null, true] }], 'odd key.*>': 'ü' };
  const submission = {
    goalId: 'shapes',
    description: 'two tasks',
    input: { text: 'abc' },
    pattern: 'sequential',
    tasks: [
      echo('first', { input: { n: 1 } }),
      echo('second', { dependencies: ['first'], maxAttempts: 2, timeoutMs: 9_000 }),
    ],
    budget: { usd: 1, tokens: 10, messages: 7, wallMs: 60_000 },
    onTaskFailure: 'continue',
    metadata,
  };
  await foreign().submit(submission);
  const goal = await foreign().ended('shapes');
  const firstResult = { input: { n: 1 }, dependencies: {} };
  const result = { input: null, dependencies: { first: firstResult } };
  expect(goal).toEqual({
    goalId: 'shapes',
    description: 'two tasks',
    pattern: 'sequential',
    status: 'completed',
    input: { text: 'abc' },
    result,
    metadata,
    budget: submission.budget,
    tasks: { total: 2, completed: 2, failed: 0, cancelled: 0 },
    spent: { usd: 0, tokens: 0, messages: 0, wallMs: expect.any(Number) },
    cost: { compute: {}, communication: 0, total: 0, predicted: 0 },
    correlationId: expect.any(String),
    createdAt: expect.any(String),
    finishedAt: expect.any(String),
  } satisfies ForeignGoal);
  expect(goal.spent.wallMs).toBe(Date.parse(goal.finishedAt ?? '') - Date.parse(goal.createdAt));

  const tasks = await foreign().tasks('shapes');
  const common = {
    goalId: 'shapes',
    capability: 'echo',
    status: 'completed' as const,
    attempt: 1,
    correlationId: goal.correlationId,
  };
  const cost = { usd: 0, inputTokens: 0, outputTokens: 0, messages: 0 };
  const times = { createdAt: expect.any(String), startedAt: expect.any(String), finishedAt: expect.any(String) };
  const agentId = expect.stringMatching(/^echo[12]$/);
  expect(Object.fromEntries(tasks)).toEqual({
    first: {
      ...common,
      taskId: 'first',
      description: 'echo first',
      agentId,
      dependencies: [],
      input: { n: 1 },
      result: firstResult,
      cost,
      ...times,
    },
    second: {
      ...common,
      taskId: 'second',
      description: 'echo second',
      agentId,
      dependencies: ['first'],
      result,
      cost,
      ...times,
    },
  } satisfies Record<string, ForeignTask>);
  const [first, second] = [tasks.get('first'), tasks.get('second')];
  const order = [
    goal.createdAt,
    first?.startedAt,
    first?.finishedAt,
    second?.startedAt,
    second?.finishedAt,
    goal.finishedAt,
  ].map(String);
  expect(order).toEqual(order.toSorted());
});

test('a goal without an id is named after its receipt', async () => {
  const sequence = await foreign().submit({ description: 'nameless', tasks: [echo('a')] });
  expect(await foreign().ended(`g-${sequence}`)).toMatchObject({
    goalId: `g-${sequence}`,
    status: 'completed',
    pattern: 'orchestrator',
  });
});

test('the shorthand is a goal of one task', async () => {
  const named = {
    goalId: 'short',
    description: 'do it',
    input: { x: 1 },
    budget: { wallMs: 30_000 },
    maxAttempts: 2,
    timeoutMs: 5_000,
  };
  await foreign().shorthand('echo', named);
  const sequence = await foreign().shorthand('echo', { description: 'nameless' });
  expect(await foreign().ended('short')).toMatchObject({
    status: 'completed',
    description: 'do it',
    budget: { wallMs: 30_000 },
    result: { input: { x: 1 } },
  });
  expect([...(await foreign().tasks('short')).keys()]).toEqual(['task']);
  expect(await foreign().ended(`g-${sequence}`)).toMatchObject({
    status: 'completed',
    tasks: { total: 1, completed: 1 },
  });
});

test('of two goals of one id side by side, in the hands of two agents, the second is ignored', async () => {
  const { js, ended, mesh: m } = foreign();
  const ids = Array.from({ length: 100 }, (_, index) => `pair-${index}`);
  const body = (goalId: string, description: string) =>
    JSON.stringify({ goalId, description, tasks: [echo('a', { input: description })] });
  for (const goalId of ids) {
    await Promise.all(['first', 'second'].map((which) => js.publish(`${m}.goals.submit`, body(goalId, which))));
    expect(await ended(goalId)).toMatchObject({ description: 'first', result: { input: 'first' } });
  }
});

test('a bad submission right behind a good one of its id does not take the id from it', async () => {
  const { js, ended, mesh: m } = foreign();
  for (const goalId of Array.from({ length: 50 }, (_, index) => `behind-${index}`)) {
    const good = { goalId, description: 'good', tasks: [echo('a')] };
    const bad = { goalId, description: 'bad', tasks: [echo('a', { dependencies: ['a'] })] };
    await Promise.all([good, bad].map((body) => js.publish(`${m}.goals.submit`, JSON.stringify(body))));
    expect(await ended(goalId)).toMatchObject({ description: 'good', status: 'completed' });
  }
});

test('a second goal of the same id is ignored', async () => {
  await foreign().submit({ goalId: 'twice', description: 'first', tasks: [echo('a', { input: 1 })] });
  await waitUntil('the first is accepted', () => foreign().goal('twice'));
  await foreign().submit({ goalId: 'twice', description: 'second', tasks: [echo('b', { input: 2 })] });
  await foreign().ended('twice');
  await foreign().submit({ goalId: 'twice', description: 'third', tasks: [echo('c', { input: 3 })] });
  await foreign().shorthand('echo', { goalId: 'twice', description: 'fourth', input: 4 });
  await foreign().submit({ goalId: 'twice', description: 'refused', tasks: [] });
  await waitUntil('every submission is settled', async () => (await foreign().unsettled()) === 0);
  expect(await foreign().goal('twice')).toMatchObject({
    description: 'first',
    status: 'completed',
    result: { input: 1 },
  });
  expect([...(await foreign().tasks('twice')).keys()]).toEqual(['a']);
  const letters = (await foreign().deadLetters()).filter((letter) => letter.goalId === 'twice');
  expect(letters).toMatchObject([{ reason: { code: 'invalid_schema' } }]);
});

test('of goals with one id that are submitted at the same time exactly one runs', async () => {
  const sequences = await Promise.all(
    ['a', 'b', 'c', 'd', 'e', 'f'].map((taskId) =>
      foreign().submit({ goalId: 'at-once', description: taskId, tasks: [echo(taskId)] }),
    ),
  );
  expect(new Set(sequences).size).toBe(6);
  const { description, tasks } = await foreign().ended('at-once');
  await waitUntil('every submission is settled', async () => (await foreign().unsettled()) === 0);
  expect(tasks).toEqual({ total: 1, completed: 1, failed: 0, cancelled: 0 });
  expect([...(await foreign().tasks('at-once')).keys()]).toEqual([description]);
});

test('several last tasks give a result by task', async () => {
  await foreign().submit({
    goalId: 'sinks',
    description: 'fork',
    tasks: [
      echo('root'),
      echo('left', { dependencies: ['root'], input: 'l' }),
      echo('right', { dependencies: ['root'], input: 'r' }),
    ],
  });
  const { result } = await foreign().ended('sinks');
  expect(result).toEqual({
    left: { input: 'l', dependencies: { root: { input: null, dependencies: {} } } },
    right: { input: 'r', dependencies: { root: { input: null, dependencies: {} } } },
  });
});

test('a result over 512 KiB is a reference to an object, and its dependents are given the value itself', async () => {
  const bytes = 600_000;
  await foreign().submit({
    goalId: 'large',
    description: 'large',
    tasks: [
      echo('big', { input: { bytes } }),
      echo('seen', { dependencies: ['big'], input: { digest: true } }),
      echo('alone', { input: { bytes } }),
    ],
  });
  const { status, result } = await foreign().ended('large');
  expect(status).toBe('completed');
  const alone = { $blob: expect.any(String) };
  expect(result).toEqual({ seen: { count: 1, bytes: JSON.stringify({ big: 'x'.repeat(bytes) }).length }, alone });
  const big = (await foreign().task('large', 'big'))?.result as { readonly $blob: string };
  const object = await (await foreign().blobs()).getBlob(big.$blob);
  expect(jsonOf(object ?? new Uint8Array())).toBe('x'.repeat(bytes));
  await foreign().submit({
    goalId: 'limit',
    description: 'just below',
    tasks: [echo('a', { input: { bytes: 524_286 } })],
  });
  expect((await foreign().ended('limit')).result).toBe('x'.repeat(524_286));
});

test('an input may be a reference to an object; one that is not there fails the task', async () => {
  const text = 'y'.repeat(700_000);
  await (await foreign().blobs()).putBlob({ name: 'my-input' }, new TextEncoder().encode(JSON.stringify({ text })));
  await foreign().submit({
    goalId: 'by-blob',
    description: 'input elsewhere',
    tasks: [echo('a', { input: { $blob: 'my-input' } }), echo('b', { dependencies: ['a'], input: { digest: true } })],
  });
  await foreign().submit({
    goalId: 'no-blob',
    description: 'input nowhere',
    tasks: [echo('a', { input: { $blob: 'nothing' }, maxAttempts: 1 })],
  });
  expect((await foreign().ended('by-blob')).result).toEqual({
    count: 1,
    bytes: JSON.stringify({ a: { input: { text }, dependencies: {} } }).length,
  });
  const failed = await foreign().ended('no-blob', 5_000);
  expect(failed).toMatchObject({ status: 'failed', error: { code: 'task_failed' } });
  expect(failed.error?.message).toContain('nothing');
});

test('agents count each task once', async () => {
  const goals = Array.from({ length: 50 }, (_, index) => `counted-${index}`);
  const before = await tasksCounted();
  await Promise.all(
    goals.map((goalId) =>
      foreign().submit({ goalId, description: 'three sinks', tasks: ['a', 'b', 'c'].map((id) => echo(id)) }),
    ),
  );
  for (const goalId of goals) await foreign().ended(goalId);
  // Counted just after the record stands, and acknowledged after that.
  await waitUntil('no item is held', async () => (await foreign().queues()).get('echo')?.held === 0);
  expect((await tasksCounted()) - before).toBe(3 * goals.length);
});

test('a watcher sees every transition in order', async () => {
  const kv = await foreign().bucket();
  const seen: { readonly key: string; readonly status: unknown }[] = [];
  const watch = await kv.watch({ key: ['goal.watched', 'task.watched.*'], ignoreDeletes: true });
  const reading = (async () => {
    for await (const entry of watch) {
      seen.push({ key: entry.key, status: entry.json<ForeignTask>().status });
      if (entry.key === 'goal.watched' && entry.json<ForeignGoal>().status === 'completed') return;
    }
  })();
  await foreign().submit({
    goalId: 'watched',
    description: 'slow pair',
    tasks: [echo('a', { input: { delayMs: 150 } }), echo('b', { dependencies: ['a'], input: { delayMs: 150 } })],
  });
  await reading;
  watch.stop();
  const of = (key: string) => seen.filter((each) => each.key === key).map((each) => each.status);
  expect(of('goal.watched')).toEqual(['running', 'completed']);
  expect(of('task.watched.a')).toEqual(['ready', 'in_progress', 'completed']);
  expect(of('task.watched.b').filter((status) => status !== 'ready')).toEqual(['pending', 'in_progress', 'completed']);
  const at = (key: string, status: string) => seen.findIndex((each) => each.key === key && each.status === status);
  expect(at('task.watched.a', 'completed')).toBeLessThan(at('task.watched.b', 'in_progress'));
});

test('the streams say that all of this was done once, in order, and counted right', async () => {
  const { goals } = await expectSound(mesh(), [
    'plain',
    'request',
    'jetstream',
    'shapes',
    'short',
    'twice',
    'at-once',
    'sinks',
    'large',
    'by-blob',
    'no-blob',
    'watched',
  ]);
  expect(goals).toBeGreaterThan(4);
});

/** Completed tasks by the word of all agents. */
async function tasksCounted(): Promise<number> {
  const text = (await Promise.all(agents.map((agent) => agent.metrics()))).join('\n');
  const counts = text.matchAll(/^conclave_tasks_total\{capability="echo",status="completed"\} (\d+)$/gm);
  return [...counts].reduce((total, match) => total + Number(match[1]), 0);
}
