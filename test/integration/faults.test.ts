/** Agents that die, or freeze, with work in their hands. Each test has a mesh of its own, because they wait for leases side by side. */
import { describe, expect, inject, type TestContext, test } from 'vitest';
import type { ForeignTask } from '../support/foreign-records.ts';
import type { AgentProcess } from '../support/processes.ts';
import { waitUntil } from '../support/wait.ts';
import { type Mesh, openMesh } from './mesh.ts';
import { expectSound } from './verdict.ts';

/** PROTOCOL names no lease; LEASE_MS of the deployment, and the second that SCORECARD R13 adds. */
const LEASE_MS = 5_000;
const TAKEOVER_MS_MAX = LEASE_MS + 1_000;

const echo = (taskId: string, more: object = {}) => ({ taskId, capability: 'echo', description: '', ...more });
/** Tasks that the engine writes at once. Where in the plan the planner dies is this test's evidence, checked below. */
const BATCH = 250;
const planner = { folder: 'test/support/agents/bulk-planner' };

async function meshOfTest(label: string, hooks: Pick<TestContext, 'onTestFailed' | 'onTestFinished'>): Promise<Mesh> {
  const mesh = await openMesh(label, inject('natsUrl'));
  hooks.onTestFinished(() => mesh.close());
  hooks.onTestFailed(() => void process.stderr.write(`${mesh.tails()}\n`));
  return mesh;
}

/** The revisions of a task with one of these statuses. */
async function revisionsOf(
  mesh: Mesh,
  goalId: string,
  taskId: string,
  status: ForeignTask['status'],
): Promise<ForeignTask[]> {
  const revisions = await mesh.foreign.revisions(`task.${goalId}.${taskId}`);
  return revisions.map(({ record }) => record as ForeignTask).filter((record) => record.status === status);
}

describe.concurrent('faults', { timeout: 120_000 }, () => {
  test('the task of an agent that was killed is completed by another, once, within its lease', async (hooks) => {
    const mesh = await meshOfTest('killed', hooks);
    const { foreign } = mesh;
    const agents = { one: await mesh.agent('one'), two: await mesh.agent('two') };
    await foreign.submit({
      goalId: 'g',
      description: 'killed',
      tasks: [echo('slow', { input: { delayMs: 1_500 } }), echo('after', { dependencies: ['slow'] })],
    });
    const held = await waitUntil('the task is in progress', async () => {
      const task = await foreign.task('g', 'slow');
      return task?.status === 'in_progress' ? task : undefined;
    });
    const [holder, other] = held.agentId === 'one' ? ([agents.one, 'two'] as const) : ([agents.two, 'one'] as const);
    await holder.signal('SIGKILL');
    const taken = await waitUntil(
      'another agent holds the task',
      async () => {
        const task = await foreign.task('g', 'slow');
        return task?.agentId === other ? task : undefined;
      },
      TAKEOVER_MS_MAX,
    );
    expect(taken).toMatchObject({ status: 'in_progress', attempt: 2 });
    expect(await foreign.ended('g')).toMatchObject({
      status: 'completed',
      tasks: { total: 2, completed: 2, failed: 0, cancelled: 0 },
    });
    expect(await revisionsOf(mesh, 'g', 'slow', 'completed')).toMatchObject([{ agentId: other, attempt: 2 }]);
    await expectSound(mesh, ['g']);
  });

  test('an agent that is killed with the second task of a chain leaves it to another, within its lease', async (hooks) => {
    const mesh = await meshOfTest('chain', hooks);
    const { foreign } = mesh;
    const agents = { one: await mesh.agent('one'), two: await mesh.agent('two') };
    await foreign.submit({
      goalId: 'g',
      description: 'chain',
      tasks: [
        echo('first'),
        echo('slow', { dependencies: ['first'], input: { delayMs: 1_500 } }),
        echo('last', { dependencies: ['slow'] }),
      ],
    });
    const held = await waitUntil('the second task is in progress', async () => {
      const task = await foreign.task('g', 'slow');
      return task?.status === 'in_progress' ? task : undefined;
    });
    // It went on with the second task on the item of the first.
    expect(await foreign.task('g', 'first')).toMatchObject({ status: 'completed', agentId: held.agentId });
    const [holder, other] = held.agentId === 'one' ? ([agents.one, 'two'] as const) : ([agents.two, 'one'] as const);
    await holder.signal('SIGKILL');
    await waitUntil(
      'another agent holds the task',
      async () => (await foreign.task('g', 'slow'))?.agentId === other,
      TAKEOVER_MS_MAX,
    );
    expect(await foreign.ended('g')).toMatchObject({ status: 'completed', tasks: { total: 3, completed: 3 } });
    expect(await revisionsOf(mesh, 'g', 'slow', 'completed')).toMatchObject([{ agentId: other, attempt: 2 }]);
    await expectSound(mesh, ['g']);
  });

  test('an agent that froze past its lease cannot commit what it finishes when it thaws', async (hooks) => {
    const mesh = await meshOfTest('frozen', hooks);
    const { foreign } = mesh;
    const zombie = await mesh.agent('zombie', { env: { SLOTS: '1' } });
    await foreign.submit({ goalId: 'g', description: 'frozen', tasks: [echo('slow', { input: { delayMs: 1_500 } })] });
    await waitUntil('the task is in progress', async () => (await foreign.task('g', 'slow'))?.status === 'in_progress');
    await zombie.signal('SIGSTOP');
    await mesh.agent('heir', { env: { SLOTS: '1' } });
    await waitUntil(
      'the heir holds the task',
      async () => (await foreign.task('g', 'slow'))?.agentId === 'heir',
      TAKEOVER_MS_MAX,
    );
    // It thaws while the heir works: its own delay has run out, so it finishes at once, before the heir.
    await zombie.signal('SIGCONT');
    const refused = 'conclave_transitions_total{transition="complete",outcome="conflict"} 1';
    await waitUntil('the late finish is refused', async () => (await zombie.metrics()).includes(refused));
    expect(await foreign.ended('g')).toMatchObject({ status: 'completed', tasks: { total: 1, completed: 1 } });
    expect(await revisionsOf(mesh, 'g', 'slow', 'completed')).toMatchObject([{ agentId: 'heir', attempt: 2 }]);

    await foreign.submit({
      goalId: 'after',
      description: 'both still work',
      tasks: Array.from({ length: 40 }, (_, index) => echo(`t${index}`, { input: { delayMs: 20 } })),
    });
    expect(await foreign.ended('after')).toMatchObject({ status: 'completed' });
    const workers = new Set([...(await foreign.tasks('after')).values()].map((task) => task.agentId));
    expect(workers).toEqual(new Set(['heir', 'zombie']));
    await expectSound(mesh, ['g', 'after']);
  });

  test('a planner that is killed while its plan becomes tasks leaves one plan, of which every task is done', async (hooks) => {
    const mesh = await meshOfTest('planner', hooks);
    const { foreign } = mesh;
    const count = 2_000;
    const first = await mesh.agent('planner1', planner);
    const dead = killAmidTasks(mesh, first);
    await foreign.submit({ goalId: 'g', description: 'many', input: { count } });
    await dead;
    expect(await foreign.goal('g')).toMatchObject({ status: 'planning' });
    const halfway = (await foreign.tasks('g')).size;
    expect(halfway).toBeGreaterThan(1);
    expect(halfway).toBeLessThan(count + 1);

    await Promise.all([mesh.agent('planner2', planner), mesh.agent('echo1'), mesh.agent('echo2')]);
    const goal = await foreign.ended('g', 60_000);
    expect(goal).toMatchObject({
      status: 'completed',
      result: { count: count - 1 },
      tasks: { total: count + 1, completed: count + 1, failed: 0, cancelled: 0 },
    });
    expect(await revisionsOf(mesh, 'g', 'plan', 'completed')).toHaveLength(1);
    const verdict = await expectSound(mesh, ['g']);
    expect(verdict.tasks).toBe(count + 1);
  });

  test('an agent that is killed while it accepts a large goal leaves one graph, of which every task is done', async (hooks) => {
    const mesh = await meshOfTest('acceptor', hooks);
    const { foreign } = mesh;
    const count = 1_500;
    const first = await mesh.agent('acceptor');
    const dead = killAmidTasks(mesh, first);
    const tasks = Array.from({ length: count }, (_, index) => echo(`t${index}`, { description: 'long '.repeat(100) }));
    await foreign.submit({ goalId: 'g', description: 'many', tasks });
    await dead;
    expect(await foreign.goal('g')).toMatchObject({ status: 'planning' });
    const halfway = (await foreign.tasks('g')).size;
    expect(halfway).toBeGreaterThan(0);
    expect(halfway).toBeLessThan(count);

    await Promise.all([mesh.agent('echo1'), mesh.agent('echo2')]);
    expect(await foreign.ended('g', 60_000)).toMatchObject({
      status: 'completed',
      tasks: { total: count, completed: count, failed: 0, cancelled: 0 },
    });
    const verdict = await expectSound(mesh, ['g']);
    expect(verdict.tasks).toBe(count);
  });
});

/** Kills the agent that writes the tasks of goal `g` when a part of them stands. */
function killAmidTasks({ foreign, name }: Mesh, writer: AgentProcess): Promise<void> {
  let seen = 0;
  return new Promise((resolve, reject) => {
    foreign.nc.subscribe(`$KV.${name}_dag.task.g.*`, {
      callback: (_error, message) => {
        if (message.subject.endsWith('.plan')) return;
        seen += 1;
        // Seen as it is published, which for a batch is before it counts: with the first of the second batch, the first one stands.
        if (seen === BATCH + 1) writer.signal('SIGKILL').then(resolve, reject);
      },
    });
  });
}
