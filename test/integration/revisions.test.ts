/** Graphs that change while their goal runs, on a real broker, by processes that are killed while they change them. */
import { describe, expect, inject, test, type TestContext } from 'vitest';
import { ForeignRevision } from '../support/foreign-records.ts';
import { type Mesh, openMesh } from './mesh.ts';
import { expectSound } from './verdict.ts';

const replanner = { folder: 'test/support/agents/replanner' };
/** Tasks that the engine writes at once. */
const BATCH = 250;

async function meshOfTest(label: string, hooks: Pick<TestContext, 'onTestFailed' | 'onTestFinished'>): Promise<Mesh> {
  const mesh = await openMesh(label, inject('natsUrl'));
  hooks.onTestFinished(() => mesh.close());
  hooks.onTestFailed(() => void process.stderr.write(`${mesh.tails()}\n`));
  return mesh;
}

describe.concurrent('a plan that is made while its goal runs', { timeout: 120_000 }, () => {
  test('adds tasks, replaces one that nobody has begun, and is there for any client to read', async (hooks) => {
    const mesh = await meshOfTest('revised', hooks);
    const { foreign } = mesh;
    await Promise.all([mesh.agent('planner', replanner), mesh.agent('echo1')]);
    await foreign.submit({ goalId: 'g', description: 'in two steps', input: { count: 2 } });
    expect(await foreign.ended('g')).toMatchObject({
      status: 'completed',
      result: { count: 3 },
      tasks: { total: 7, completed: 6, failed: 0, cancelled: 1 },
    });
    expect(await foreign.task('g', 'old')).toMatchObject({
      status: 'cancelled',
      attempt: 0,
      error: { code: 'replaced' },
    });
    const plans = (await foreign.revisions('plan.g.*')).map(({ record }) => ForeignRevision.parse(record));
    expect(plans).toMatchObject([{ revision: 1, cause: 'again', replaces: ['old'] }]);
    expect(plans[0]?.tasks.map(({ taskId }) => taskId)).toEqual(['n0', 'n1', 'join']);
    await expectSound(mesh, ['g']);
  });

  test('is finished by another planner when the one that carries it out is killed half-way', async (hooks) => {
    const mesh = await meshOfTest('halfway', hooks);
    const { foreign, name } = mesh;
    const count = 1_500;
    const first = await mesh.agent('planner1', replanner);
    await Promise.all([mesh.agent('echo1'), mesh.agent('echo2')]);
    let seen = 0;
    const dead = new Promise<void>((resolve, reject) => {
      foreign.nc.subscribe(`$KV.${name}_dag.task.g.*`, {
        callback: (_error, message) => {
          if (!/\.(n\d+|join)$/.test(message.subject)) return;
          seen += 1;
          // Seen as it is published, which for a batch is before it counts: with the first of the second batch, the first one stands.
          if (seen === BATCH + 1) first.signal('SIGKILL').then(resolve, reject);
        },
      });
    });
    await foreign.submit({ goalId: 'g', description: 'in two steps', input: { count } });
    await dead;
    expect(await foreign.goal('g')).toMatchObject({ status: 'running', tasks: { total: count + 5 } });
    const halfway = (await foreign.tasks('g')).size;
    expect(halfway).toBeGreaterThan(4);
    expect(halfway).toBeLessThan(count + 5);

    await mesh.agent('planner2', replanner);
    expect(await foreign.ended('g', 60_000)).toMatchObject({
      status: 'completed',
      result: { count: count + 1 },
      tasks: { total: count + 5, completed: count + 4, failed: 0, cancelled: 1 },
    });
    expect(await foreign.revisions('plan.g.*')).toHaveLength(1);
    const verdict = await expectSound(mesh, ['g']);
    expect(verdict.tasks).toBe(count + 5);
  });

  test('changes nothing any more when its goal is cancelled in the middle of it, and the goal ends all the same', async (hooks) => {
    const mesh = await meshOfTest('cancelled', hooks);
    const { foreign, name } = mesh;
    const count = 2_000;
    const first = await mesh.agent('planner1', replanner);
    await mesh.agent('echo1');
    let seen = 0;
    const dead = new Promise<void>((resolve, reject) => {
      foreign.nc.subscribe(`$KV.${name}_dag.task.g.*`, {
        callback: (_error, message) => {
          if (!/\.(n\d+|join)$/.test(message.subject)) return;
          seen += 1;
          if (seen === BATCH + 1) first.signal('SIGKILL').then(resolve, reject);
        },
      });
    });
    await foreign.submit({ goalId: 'g', description: 'in two steps', input: { count } });
    await dead;
    // The only agent left has nothing to do with plans, and ends the goal: it writes the tasks that the goal counts, and cancels them.
    await foreign.cancel('g', 'changed my mind');
    const goal = await foreign.ended('g');
    expect(goal).toMatchObject({ status: 'cancelled', tasks: { total: count + 5, failed: 0 } });
    expect(goal.tasks.completed + goal.tasks.cancelled).toBe(count + 5);
    await mesh.agent('planner2', replanner);
    const verdict = await expectSound(mesh, ['g']);
    expect(verdict.tasks).toBe(count + 5);
  });
});
