/** Submissions that are refused, and names and values that look like attacks. */
import { expect, test } from 'vitest';
import type { ForeignLetter } from '../support/foreign-records.ts';
import { waitUntil } from '../support/wait.ts';
import { meshOfFile } from './mesh.ts';
import { expectSound } from './verdict.ts';

const mesh = meshOfFile('rejects', (open) => Promise.all([open.agent('echo1'), open.agent('echo2')]));
const foreign = () => mesh().foreign;

const echo = (taskId: string, more: object = {}) => ({ taskId, capability: 'echo', ...more });

/** Of a large payload a letter keeps the head. */
const WHOLE_MAX = 500_000;

/** The dead letter of exactly these bytes. */
function letterOf(body: string): Promise<ForeignLetter> {
  const payload = Buffer.from(body).toString('base64');
  return waitUntil('the submission is dead-lettered', async () =>
    (await foreign().deadLetters()).find((letter) =>
      payload.length > WHOLE_MAX && letter.payload.length > WHOLE_MAX
        ? payload.startsWith(letter.payload)
        : letter.payload === payload,
    ),
  );
}

const base = { description: 'refused' };
const chain = (count: number) => Array.from({ length: count }, (_, index) => echo(`t${index}`));

const refusals: readonly (readonly [string, string, object, RegExp])[] = [
  ['no description', 'invalid_schema', { tasks: [echo('a')] }, /description/],
  ['an empty description', 'invalid_schema', { description: '', tasks: [echo('a')] }, /description/],
  ['a description that is too long', 'invalid_schema', { description: 'x'.repeat(32_769) }, /description/],
  ['an unknown pattern', 'invalid_schema', { ...base, pattern: 'chaos', tasks: [echo('a')] }, /pattern/],
  ['no tasks', 'invalid_schema', { ...base, tasks: [] }, /tasks/],
  ['a task without a capability', 'invalid_schema', { ...base, tasks: [{ taskId: 'a' }] }, /tasks\.0\.capability/],
  ['a wildcard as task id', 'invalid_schema', { ...base, tasks: [echo('a'), echo('>')] }, /tasks\.1\.taskId/],
  ['a path as task id', 'invalid_schema', { ...base, tasks: [echo('../../etc/passwd')] }, /tasks\.0\.taskId/],
  [
    'two tokens as capability',
    'invalid_schema',
    { ...base, tasks: [{ taskId: 'a', capability: 'echo.x' }] },
    /capability/,
  ],
  ['a negative budget', 'invalid_schema', { ...base, tasks: [echo('a')], budget: { usd: -1 } }, /budget\.usd/],
  ['no attempts', 'invalid_schema', { ...base, tasks: [echo('a', { maxAttempts: 0 })] }, /maxAttempts/],
  ['an unknown policy', 'invalid_schema', { ...base, tasks: [echo('a')], onTaskFailure: 'ignore' }, /onTaskFailure/],
  [
    'a cycle',
    'cyclic_dependencies',
    { ...base, tasks: [echo('free'), echo('up', { dependencies: ['down'] }), echo('down', { dependencies: ['up'] })] },
    /up.*down|down.*up/,
  ],
  [
    'a task that waits for itself',
    'cyclic_dependencies',
    { ...base, tasks: [echo('me', { dependencies: ['me'] })] },
    /me/,
  ],
  [
    'an unknown dependency',
    'unknown_dependency',
    { ...base, tasks: [echo('a', { dependencies: ['nobody'] })] },
    /nobody/,
  ],
  ['the same task twice', 'duplicate_task', { ...base, tasks: [echo('same'), echo('same')] }, /same/],
  ['a large input', 'invalid_schema', { ...base, tasks: [echo('a', { input: 'x'.repeat(700_000) })] }, /\$blob/],
  ['large metadata', 'invalid_schema', { ...base, tasks: [echo('a')], metadata: { x: 'x'.repeat(700_000) } }, /655360/],
  ['10,001 tasks', 'plan_too_large', { ...base, tasks: chain(10_001) }, /10,?000/],
];

test.for(refusals)('%s is refused', async ([what, code, submission, says]) => {
  const goalId = what.replaceAll(/[^a-z0-9]+/gi, '-');
  const body = JSON.stringify({ goalId, ...submission });
  await foreign().submit(body);
  const goal = await foreign().ended(goalId);
  expect(goal).toMatchObject({ goalId, status: 'rejected', error: { code, message: expect.stringMatching(says) } });
  expect(goal.tasks).toEqual({ total: 0, completed: 0, failed: 0, cancelled: 0 });
  expect(await letterOf(body)).toMatchObject({
    origin: 'goals',
    subject: `${mesh().name}.goals.submit`,
    goalId,
    reason: goal.error,
  });
  expect((await foreign().tasks(goalId)).size).toBe(0);
});

test('what names no usable goal is dead-lettered and nothing else', async () => {
  const before = await records();
  const bodies: readonly (readonly [string, string])[] = [
    ['{"goalId": "cut', 'invalid_json'],
    ['', 'invalid_json'],
    ['null', 'invalid_schema'],
    ['[1,2]', 'invalid_schema'],
    ['"text"', 'invalid_schema'],
    ['{"description":"x","goalId":"a.b"}', 'invalid_schema'],
    ['{"description":"x","goalId":"*"}', 'invalid_schema'],
    ['{"description":"x","goalId":7}', 'invalid_schema'],
    [`{"description":"x","goalId":"${'i'.repeat(65)}"}`, 'invalid_schema'],
    [`{"description":"x","input":${'['.repeat(5_000)}${']'.repeat(5_000)}}`, 'invalid_schema'],
  ];
  for (const [body] of bodies) await foreign().submit(body);
  const wrongBytes = new Uint8Array([0x22, 0xff, 0xfe, 0x22]);
  await foreign().submit(wrongBytes);
  for (const [body, code] of bodies) {
    const letter = await letterOf(body);
    expect(letter.reason.code, body.slice(0, 40)).toBe(code);
    expect(letter.goalId).toBeUndefined();
  }
  const letters = await waitUntil('the bytes that are no text are refused', async () => {
    const found = (await foreign().deadLetters()).filter(
      ({ payload }) => payload === Buffer.from(wrongBytes).toString('base64'),
    );
    return found.length > 0 ? found : undefined;
  });
  expect(letters).toMatchObject([{ reason: { code: 'invalid_json' } }]);
  expect(await records()).toBe(before);
});

test('input and result that fit no record together end the goal, with the result where large values are', async () => {
  const input = { bytes: 520_000, pad: 'x'.repeat(520_000) };
  const tasks = [{ taskId: 'a', capability: 'echo', description: '', input }];
  await foreign().submit({ goalId: 'full', description: 'full', tasks, input });
  expect(await foreign().ended('full')).toMatchObject({ status: 'completed', result: { $blob: expect.any(String) } });
});

test('a refused shorthand says so at its goal', async () => {
  await foreign().shorthand('echo', { goalId: 'short-bad', description: 7 });
  expect(await foreign().ended('short-bad')).toMatchObject({ status: 'rejected', error: { code: 'invalid_schema' } });
  const body = JSON.stringify({ description: 'bad capability' });
  await foreign().shorthand('@echo', body);
  expect(await letterOf(body)).toMatchObject({
    origin: 'tasks',
    reason: { code: 'invalid_schema', message: expect.stringContaining('@echo') },
  });
});

test('good goals among bad ones are done', async () => {
  const good = Array.from({ length: 30 }, (_, index) => `good-${index}`);
  for (const [index, goalId] of good.entries()) {
    await foreign().submit('{');
    await foreign().submit({
      goalId: `bad-${index}`,
      description: 'cyclic',
      tasks: [echo('a', { dependencies: ['a'] })],
    });
    await foreign().submit({ goalId, description: 'good', tasks: [echo('a', { input: goalId })] });
    await foreign().submit({ goalId: 'bad.name', description: 'x' });
  }
  for (const goalId of good)
    expect(await foreign().ended(goalId)).toMatchObject({ status: 'completed', result: { input: goalId } });
  await waitUntil('every submission is settled', async () => (await foreign().unsettled()) === 0);
});

test('names that JavaScript gives a meaning are names like others', async () => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
  const tasks = names.map((taskId) => echo(taskId, { input: taskId }));
  await foreign().submit({ goalId: '__proto__', description: 'names', tasks });
  const goal = await foreign().ended('__proto__');
  expect(goal.status).toBe('completed');
  expect(Object.keys(goal.result as object).toSorted()).toEqual(names.toSorted());
  await foreign().submit({
    goalId: 'constructor',
    description: 'names',
    tasks: [...tasks, echo('all', { dependencies: names })],
  });
  const { result } = await foreign().ended('constructor');
  expect(Object.keys((result as { dependencies: object }).dependencies).toSorted()).toEqual(names.toSorted());
});

test('what an input says stays data', async () => {
  const graph = [echo('evil'), echo('more')];
  const trick = {
    tasks: graph,
    budget: { usd: 1_000 },
    status: 'failed',
    text: '$JS.API.STREAM.DELETE.x > * ../../..',
    subject: `${mesh().name}.goals.cancel`,
    goalId: 'other',
  };
  const polluting = '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}';
  await foreign().submit(
    `{"goalId":"trick","description":"trick","metadata":${polluting},"tasks":[{"taskId":"a","capability":"echo","input":${JSON.stringify(trick)}},{"taskId":"b","capability":"echo","dependencies":["a"],"input":${polluting}}]}`,
  );
  expect(await foreign().ended('trick')).toMatchObject({ status: 'completed', tasks: { total: 2, completed: 2 } });
  expect((await foreign().task('trick', 'a'))?.result).toEqual({ input: trick, dependencies: {} });
  expect([...(await foreign().tasks('trick')).keys()].toSorted()).toEqual(['a', 'b']);
  expect(await foreign().goal('other')).toBeUndefined();
  await foreign().submit({ goalId: 'control', description: 'after the trick', tasks: [echo('a')] });
  const control = await foreign().ended('control');
  expect(control.result).toEqual({ input: null, dependencies: {} });
  expect(JSON.stringify([control, await foreign().task('control', 'a')])).not.toContain('polluted');
});

test('the streams say that all of this was done once, in order, and counted right', async () => {
  const { goals } = await expectSound(mesh(), ['__proto__', 'constructor', 'trick', 'control', 'short-bad']);
  expect(goals).toBeGreaterThan(4);
});

async function records(): Promise<number> {
  const info = await (await foreign().manager()).streams.info(`KV_${mesh().name}_dag`, {
    subjects_filter: `$KV.${mesh().name}_dag.>`,
  });
  return Object.keys(info.state.subjects ?? {}).length;
}
