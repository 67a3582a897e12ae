/** Work that the engine meant for one agent: it gets there from whoever is given it, and elsewhere when that agent is gone. */
import { describe, expect, inject, test, type TestContext } from 'vitest';
import { sinksOf } from '../../shared/core/dag.ts';
import { newGoal } from '../../shared/core/goal-machine.ts';
import { firstRecords } from '../../shared/core/intake.ts';
import { GoalSubmission } from '../../shared/protocol/goal.ts';
import { GraphTask } from '../../shared/protocol/plan.ts';
import { jsonOf, readStream } from '../support/foreign.ts';
import { ForeignMessage } from '../support/foreign-records.ts';
import { waitUntil } from '../support/wait.ts';
import { type Mesh, openMesh } from './mesh.ts';
import { expectSound } from './verdict.ts';

async function meshOfTest(label: string, hooks: Pick<TestContext, 'onTestFailed' | 'onTestFinished'>): Promise<Mesh> {
  const mesh = await openMesh(label, inject('natsUrl'));
  hooks.onTestFinished(() => mesh.close());
  hooks.onTestFailed(() => void process.stderr.write(`${mesh.tails()}\n`));
  return mesh;
}

/** A goal whose tasks are meant for `assignee`, born as an agent would have written it: no submission can ask for that. */
async function assigned(mesh: Mesh, goalId: string, count: number, assignee: string, delayMs: number): Promise<void> {
  const { foreign, name } = mesh;
  const specs = Array.from({ length: count }, (_, index) => ({
    taskId: `t${index}`,
    capability: 'echo',
    input: { delayMs },
  }));
  const submission = GoalSubmission.parse({ goalId, description: 'directed', tasks: specs });
  const tasks = specs.map((spec) => GraphTask.parse({ ...spec, assignee }));
  const { state } = await (await foreign.manager()).streams.info(`${name}_goals`);
  const now = Date.now();
  const deadline = now + 60_000;
  const birth = { goalId, receipt: state.last_seq + 1, acceptedBy: 'nobody', correlationId: goalId, now, deadline };
  const goal = newGoal(submission, { ...birth, total: count, sinks: sinksOf(tasks), predicted: 0 }, 'running');
  const bucket = await foreign.bucket();
  await bucket.create(`goal.${goalId}`, JSON.stringify(goal));
  const facts = { goalId, correlationId: goalId, deadline: goal.deadline, continues: false, revisable: false, now };
  for (const record of firstRecords(tasks, facts))
    await bucket.create(`task.${goalId}.${record.taskId}`, JSON.stringify(record));
  expect(await foreign.submit(submission)).toBe(birth.receipt);
  for (const { taskId } of specs)
    await foreign.js.publish(`${name}.ready.echo.${goalId}.${taskId}`, JSON.stringify({ goalId, taskId }));
}

async function workersOf(mesh: Mesh, goalId: string): Promise<ReadonlySet<string | undefined>> {
  return new Set([...(await mesh.foreign.tasks(goalId)).values()].map((task) => task.agentId));
}

async function said(mesh: Mesh, subject: string): Promise<ForeignMessage[]> {
  const { foreign, name } = mesh;
  return (await readStream(foreign.nc, `${name}_log`, subject)).map(({ data }) => ForeignMessage.parse(jsonOf(data)));
}

describe.concurrent('work that is meant for one agent', { timeout: 120_000 }, () => {
  test('is done by that agent, whoever was given it, and the log says who handed it over', async (hooks) => {
    const mesh = await meshOfTest('directed', hooks);
    await Promise.all([mesh.agent('a'), mesh.agent('b')]);
    await assigned(mesh, 'g', 24, 'b', 5);
    expect(await mesh.foreign.ended('g')).toMatchObject({ status: 'completed', tasks: { completed: 24 } });
    expect(await workersOf(mesh, 'g')).toEqual(new Set(['b']));
    const handed = await said(mesh, `${mesh.name}.msg.a.b.handover`);
    expect(handed.length).toBeGreaterThan(0);
    const answers = await said(mesh, `${mesh.name}.inbox.a.reply.b.*`);
    expect(answers.map(({ content }) => (content as { status: string }).status)).toContain('taken');
    expect(answers.every(({ correlationId }) => correlationId === 'g')).toBe(true);
    await expectSound(mesh, ['g']);
  });

  test('is done elsewhere at once when nobody has that name', async (hooks) => {
    const mesh = await meshOfTest('ghost', hooks);
    await mesh.agent('a');
    await assigned(mesh, 'g', 2, 'ghost', 0);
    expect(await mesh.foreign.ended('g', 5_000)).toMatchObject({ status: 'completed' });
    expect(await workersOf(mesh, 'g')).toEqual(new Set(['a']));
    await expectSound(mesh, ['g']);
  });

  test('is done elsewhere, once, when that agent is killed in the middle of it', async (hooks) => {
    const mesh = await meshOfTest('killed', hooks);
    const { foreign } = mesh;
    const [, b] = await Promise.all([mesh.agent('a'), mesh.agent('b')]);
    await assigned(mesh, 'g', 1, 'b', 2_000);
    await waitUntil('b works on it', async () => (await foreign.task('g', 't0'))?.agentId === 'b');
    await b.signal('SIGKILL');
    expect(await foreign.ended('g')).toMatchObject({ status: 'completed', tasks: { total: 1, completed: 1 } });
    expect(await foreign.task('g', 't0')).toMatchObject({ status: 'completed', agentId: 'a', attempt: 2 });
    await expectSound(mesh, ['g']);
  });

  test('is done elsewhere when that agent is there and does not answer', async (hooks) => {
    const mesh = await meshOfTest('frozen', hooks);
    const { foreign } = mesh;
    const [, b] = await Promise.all([mesh.agent('a'), mesh.agent('b')]);
    await b.signal('SIGSTOP');
    await assigned(mesh, 'g', 4, 'b', 0);
    expect(await foreign.ended('g')).toMatchObject({ status: 'completed' });
    expect((await foreign.tasks('g')).size).toBe(4);
    expect([...(await foreign.tasks('g')).values()].some(({ agentId }) => agentId === 'a')).toBe(true);
    await b.signal('SIGCONT');
    await expectSound(mesh, ['g']);
  });

  test('is not taken over from a stranger who points elsewhere', async (hooks) => {
    const mesh = await meshOfTest('stranger', hooks);
    const { foreign, name } = mesh;
    await mesh.agent('a');
    const heard: string[] = [];
    const handles = [
      `$JS.API.STREAM.PURGE.KV_${name}_dag`,
      `${name}.goals.submit`,
      `$JS.ACK.${name}_goals.intake.1.1.1.1.0`,
      `$JS.ACK.KV_${name}_dag.cap-plan.1.1.1.1.0`,
      `$JS.ACK.KV_${name}_dag.cap-echo.1.1.1.1.0.>`,
      // An item that is not there, and a message of the stream that is no item.
      `$JS.ACK.KV_${name}_dag.cap-echo.1.999999.1.1.0`,
    ];
    await assigned(mesh, 'g', 1, 'a', 0);
    await foreign.ended('g');
    handles.push(`$JS.ACK.KV_${name}_dag.cap-echo.1.1.1.1.0`);
    for (const handle of handles.slice(0, 2)) {
      foreign.nc.subscribe(handle, { callback: (_error, message) => void heard.push(message.subject) });
    }
    for (const [index, handle] of handles.entries()) {
      const reply = `${name}.inbox.${foreign.id}.reply.a.${index}`;
      const envelope = { id: `${index}`, sender: foreign.id, receiver: 'a', messageType: 'handover', hops: 0 };
      const content = { capability: 'echo', handle };
      const body = { ...envelope, content, timestamp: new Date().toISOString(), correlationId: 'x' };
      const answer = new Promise<unknown>((resolve) => {
        foreign.nc.subscribe(reply, { max: 1, callback: (_error, message) => resolve(message.json()) });
      });
      foreign.nc.publish(`${name}.msg.${foreign.id}.a.handover`, JSON.stringify(body), { reply });
      expect(await answer, handle).toMatchObject({ sender: 'a', content: { status: 'refused' } });
    }
    expect(heard).toEqual([]);
    await expectSound(mesh, ['g']);
  });
});
