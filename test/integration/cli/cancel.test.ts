import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { at, goalRecord, presence, taskRecord } from '../../unit/cli/records.ts';
import { openTestMesh, type TestMesh } from './mesh.ts';

let mesh: TestMesh;
beforeAll(async () => {
  mesh = await openTestMesh();
});
afterAll(() => mesh.close());

/** Ends a goal as an agent would, when it is told to. */
function agent(status: 'cancelled' | 'completed') {
  return mesh.bus.subscribe(mesh.subjects.goalsCancel, ({ data }) => {
    const { goalId, reason } = JSON.parse(Buffer.from(data).toString());
    const error = { code: 'cancelled', message: reason };
    void mesh.putGoal(
      goalRecord({ goalId, status, finishedAt: at(1_000), ...(status === 'cancelled' ? { error } : { result: 1 }) }),
    );
  });
}

describe('cancel', () => {
  it('tells the mesh, with the reason', async () => {
    await mesh.putGoal(goalRecord({ goalId: 'running' }));
    const { code, stdout, stderr } = await mesh.run(['cancel', 'running', '--reason', 'too dear']);
    expect([code, stdout]).toEqual([0, 'asked the mesh to cancel goal running']);
    expect(stderr).toBe('not confirmed: no agent is present; the first that comes cancels it');
    const request = (await mesh.messages(mesh.subjects.goalsStream)).at(-1);
    expect(request?.subject).toBe(mesh.subjects.goalsCancel);
    expect(request?.json()).toEqual({ goalId: 'running', reason: 'too dear' });
  });

  it('cancels a goal that nobody has accepted yet', async () => {
    const { stdout: goalId } = await mesh.run(['submit', 'x']);
    expect((await mesh.run(['cancel', goalId])).code).toBe(0);
    expect((await mesh.messages(mesh.subjects.goalsStream)).at(-1)?.json()).toEqual({ goalId, reason: '' });
  });

  it('waits for the end: cancelled is what was asked for', async () => {
    await mesh.putGoal(goalRecord({ goalId: 'waited' }));
    const leave = agent('cancelled');
    const { code, stdout } = await mesh.run(['cancel', 'waited', '--reason', 'why', '--wait', '--json']);
    leave();
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ status: 'cancelled', error: { message: 'why' } });
  });

  it('ends with 1 when the goal ended otherwise', async () => {
    await mesh.putGoal(goalRecord({ goalId: 'quick' }));
    const leave = agent('completed');
    const { code, stdout } = await mesh.run(['cancel', 'quick', '--wait']);
    leave();
    expect(code).toBe(1);
    expect(stdout).toContain('goal quick  completed');
  });

  it('ends with 124 when no agent is there to do it', async () => {
    await mesh.putGoal(goalRecord({ goalId: 'stuck' }));
    expect((await mesh.run(['cancel', 'stuck', '--wait', '--timeout-ms', '1'])).code).toBe(124);
  });

  it('asks for nothing when the goal has ended', async () => {
    const before = (await mesh.messages(mesh.subjects.goalsStream)).length;
    const error = { code: 'cancelled', message: '' };
    await mesh.putGoal(goalRecord({ goalId: 'gone', status: 'cancelled', finishedAt: at(1), error }));
    await mesh.putGoal(goalRecord({ goalId: 'done', status: 'completed', finishedAt: at(1), result: 1 }));
    const gone = await mesh.run(['cancel', 'gone']);
    expect([gone.code, gone.stderr]).toEqual([0, 'goal gone is cancelled already; there is nothing to cancel']);
    expect((await mesh.run(['cancel', 'done'])).code).toBe(1);
    expect((await mesh.messages(mesh.subjects.goalsStream)).length).toBe(before);
  });
});

/** Answers as an agent does that is asked what it works on; `stop` ends it. */
function works(agentId: string, running: readonly string[], meshName = mesh.name): () => void {
  const stats = JSON.stringify({ metadata: { mesh: meshName, agentId }, running });
  const subscription = mesh.nc.subscribe('$SRV.STATS', { callback: (_error, message) => void message.respond(stats) });
  return () => subscription.unsubscribe();
}

describe('the confirmation of a cancel', () => {
  it('counts as stopped only what its own agent says it has let go of, and names the others', async () => {
    const put = (taskId: string, fields: object) =>
      mesh.putTask(
        taskRecord({ goalId: 'split', taskId, status: 'cancelled', attempt: 1, finishedAt: at(1_000), ...fields }),
      );
    await mesh.putGoal(goalRecord({ goalId: 'split' }));
    await mesh.join(presence({ agentId: 'ann' }));
    for (const [taskId, agentId] of [
      ['a', 'ann'],
      ['b', 'bob'],
      ['c', 'cleo'],
    ] as const)
      await put(taskId, { agentId, startedAt: at(0) });
    await put('d', { attempt: 0 });
    const stops = [
      agent('cancelled'),
      works('ann', ['other.b']),
      works('bob', ['split.b', 'split.a']),
      works('cleo', [], 'another-mesh'),
    ];
    const { code, stderr } = await mesh.run(['cancel', 'split']);
    for (const stop of stops) stop();
    expect(code).toBe(0);
    expect(stderr.split('\n')).toEqual([
      expect.stringMatching(
        /^goal split is over: cancelled 1 task that had not begun, stopped 1 of 3 running tasks, as their agents confirm/,
      ),
      'not confirmed: task b, agent bob still works on it; its result will not count',
      'not confirmed: task c, agent cleo does not answer; its result will not count',
    ]);
  });

  it('says what is open when agents are there and the goal is not over in time', async () => {
    await mesh.putGoal(goalRecord({ goalId: 'slow' }));
    await mesh.join(presence({ agentId: 'ann' }));
    await mesh.putTask(taskRecord({ goalId: 'slow', taskId: 'a', status: 'ready' }));
    const { code, stderr } = await mesh.run(['cancel', 'slow']);
    expect(code).toBe(0);
    expect(stderr).toContain('the goal is not over yet; 1 open task, a is ready');
  });
});
