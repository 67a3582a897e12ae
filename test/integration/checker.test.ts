/** The checker itself: sound streams pass, and any one record that is missing, doubled, or out of order is found. */
import { expect, test } from 'vitest';
import { type Evidence, gather, judge, logHasCaughtUp } from '../support/checker.ts';
import { jsonOf, type StreamMessage } from '../support/foreign.ts';
import { waitUntil } from '../support/wait.ts';
import { meshOfFile } from './mesh.ts';
import { expectSound } from './verdict.ts';

const echo = (taskId: string, more: object = {}) => ({ taskId, capability: 'echo', ...more });
const goals = ['done', 'broken'];
const mesh = meshOfFile('checker', async (open) => {
  await open.agent('echo1');
  const slow = { delayMs: 60 };
  await open.foreign.submit({
    goalId: 'done',
    description: 'x',
    tasks: [
      echo('a', { input: slow }),
      echo('b', { dependencies: ['a'], input: slow }),
      echo('c', { dependencies: ['a', 'b'] }),
    ],
  });
  await open.foreign.submit({
    goalId: 'broken',
    description: 'x',
    tasks: [echo('a', { input: { failTimes: 9 }, maxAttempts: 2 }), echo('b', { dependencies: ['a'] })],
  });
  for (const goalId of goals) await open.foreign.ended(goalId);
  await expectSound(open, goals);
});

async function evidence(streams: { readonly log?: string } = {}): Promise<Evidence> {
  return gather(mesh().foreign.nc, mesh().name, streams);
}

const violations = (found: Evidence, acknowledged: readonly string[] = goals) =>
  judge(mesh().name, found, acknowledged).violations;
const without = (messages: readonly StreamMessage[], index: number) => messages.filter((_, at) => at !== index);
const subject = (key: string) => `$KV.${mesh().name}_dag.${key}`;
const statusOf = (message: StreamMessage) => (jsonOf(message.data) as { readonly status: string }).status;

/** The same record again with other fields, as the next revision of its key, in both streams. */
function appended({ dag, log }: Evidence, key: string, status: string, change: object): Evidence {
  const found = dag.findLast((message) => message.subject === subject(key) && statusOf(message) === status);
  if (found === undefined) throw new Error(`No revision of ${key} is ${status}.`);
  const data = new TextEncoder().encode(JSON.stringify({ ...(jsonOf(found.data) as object), ...change }));
  const forged = { ...found, sequence: (dag.at(-1)?.sequence ?? 0) + 1, data };
  return { dag: [...dag, forged], log: [...log, forged] };
}

test('one record that is missing from either stream is found, whichever it is', async () => {
  const found = await evidence();
  expect(violations(found)).toEqual([]);
  expect(found.dag.length).toBeGreaterThan(10);
  for (const [index, { subject: name }] of found.dag.entries()) {
    expect(
      violations({ ...found, dag: without(found.dag, index) }),
      `revision ${index} of the DAG stream, ${name}`,
    ).not.toEqual([]);
  }
  for (const [index, { subject: name }] of found.log.entries()) {
    expect(violations({ ...found, log: without(found.log, index) }), `record ${index} of the log, ${name}`).not.toEqual(
      [],
    );
  }
});

test('a task that is committed twice, or by another than its holder, is found', async () => {
  const found = await evidence();
  expect(violations(appended(found, 'task.done.a', 'completed', { agentId: 'other' }))).toEqual([
    expect.stringMatching(/^I1 task done\.a: 2 terminal/),
  ]);
  expect(violations(appended(found, 'task.done.a', 'in_progress', {}))).toContainEqual(
    expect.stringMatching(/^I1 task done\.a: in_progress after/),
  );
  const change = (message: StreamMessage) =>
    message.subject === subject('task.done.a') && statusOf(message) === 'completed'
      ? {
          ...message,
          data: new TextEncoder().encode(JSON.stringify({ ...(jsonOf(message.data) as object), agentId: 'other' })),
        }
      : message;
  expect(violations({ dag: found.dag.map(change), log: found.log.map(change) })).toEqual([
    expect.stringMatching(/^I3 task done\.a/),
  ]);
});

test('a task that started before its dependency was completed is found', async () => {
  const found = await evidence();
  const early = (message: StreamMessage) =>
    message.subject === subject('task.done.b') ? { ...message, sequence: 1 } : message;
  expect(violations({ ...found, dag: found.dag.map(early) })).toEqual([
    expect.stringMatching(/^I2 task done\.b: started before a/),
  ]);
});

test('a goal that is not over, not there, or counted wrong is found', async () => {
  const found = await evidence();
  const wrong = { tasks: { total: 3, completed: 2, failed: 0, cancelled: 0 } };
  expect(violations(appended(found, 'goal.done', 'completed', wrong))).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^I5 goal done: 2 terminal/),
      expect.stringMatching(/says tasks\.completed 2, the stream holds 3/),
    ]),
  );
  expect(violations(appended(found, 'goal.done', 'completed', { status: 'running' }))).toEqual([
    expect.stringMatching(/^I5 goal done: running after/),
  ]);
  const unfinished = found.dag.filter(
    (message) => message.subject !== subject('goal.done') || statusOf(message) !== 'completed',
  );
  expect(violations({ dag: unfinished, log: unfinished })).toEqual([
    expect.stringMatching(/^I5 goal done: still running/),
  ]);
  expect(violations(found, [...goals, 'lost'])).toEqual([expect.stringMatching(/^I5 goal lost/)]);
});

test('a record that is deleted by hand is found: in a copy of the log, which alone allows it, and in the DAG stream', async () => {
  const { foreign, name } = mesh();
  const jsm = await foreign.manager();
  await expect(jsm.streams.deleteMessage(`${name}_log`, 1)).rejects.toThrow();
  await expect(jsm.streams.deleteMessage(`KV_${name}_dag`, 1)).rejects.toThrow();

  const copy = `${name}_log_copy`;
  await jsm.streams.add({ name: copy, sources: [{ name: `${name}_log` }] });
  const before = await waitUntil('the copy is complete', async () => {
    const found = await evidence({ log: copy });
    return logHasCaughtUp(found) ? found : undefined;
  });
  expect(violations(before)).toEqual([]);
  const victim = before.log.find((message) => message.subject === subject('task.done.b'));
  await jsm.streams.deleteMessage(copy, victim?.sequence ?? 0);
  expect(violations(await evidence({ log: copy }))).toEqual([
    expect.stringMatching(/^I9 log: 1 of \d+ revisions of \S+task\.done\.b/),
  ]);
  await jsm.streams.delete(copy);

  await jsm.streams.purge(`KV_${name}_dag`, { filter: subject('task.done.b') });
  expect(violations(await evidence())).toEqual(
    expect.arrayContaining([expect.stringMatching(/says tasks\.total 3, the stream holds 2/)]),
  );
});
