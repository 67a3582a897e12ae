/** The broker itself is killed under load and comes back with what it had on disk. */
import { expect, test } from 'vitest';
import { startBroker } from '../support/broker.ts';
import { waitUntil } from '../support/wait.ts';
import { openMesh } from './mesh.ts';
import { expectSound } from './verdict.ts';

const GOALS = 200;
const DONE_BEFORE = 20;
/** SCORECARD R5: progress within 10 s of the end of a fault. */
const PROGRESS_MS_MAX = 10_000;

test('a broker that is killed amid 200 goals loses none of them, and no agent needs help to come back', {
  timeout: 120_000,
}, async ({ onTestFailed, onTestFinished }) => {
  const broker = await startBroker({ jetstream: 'sync_interval: always' });
  onTestFinished(() => broker.stop());
  const mesh = await openMesh('restart', broker.url);
  onTestFinished(() => mesh.close());
  onTestFailed(() => void process.stderr.write(`${mesh.tails()}\n`));
  const { foreign, name } = mesh;
  const agents = await Promise.all([mesh.agent('echo1'), mesh.agent('echo2')]);
  const done = new Set<string>();
  foreign.nc.subscribe(`$KV.${name}_dag.goal.*`, {
    callback: (_error, message) => {
      if (message.string().includes('"status":"completed"')) done.add(message.subject);
    },
  });

  const goals = Array.from({ length: GOALS }, (_, index) => `goal-${index}`);
  const tasks = [
    { taskId: 'a', capability: 'echo', input: { delayMs: 40 } },
    { taskId: 'b', capability: 'echo', input: { delayMs: 40 }, dependencies: ['a'] },
  ];
  await Promise.all(goals.map((goalId) => foreign.submit({ goalId, description: goalId, tasks })));
  await waitUntil('some goals are done', () => done.size >= DONE_BEFORE, 30_000);
  await broker.kill('SIGKILL');
  const before = done.size;
  expect(before).toBeLessThan(GOALS);
  await Promise.all(agents.map((agent) => agent.logged('broker.disconnect')));
  await broker.restart();
  await Promise.all(agents.map((agent) => agent.logged('broker.reconnect')));
  await foreign.nc.flush();

  await foreign.submit({
    goalId: 'after',
    description: 'after',
    tasks: Array.from({ length: 40 }, (_, index) => ({
      taskId: `t${index}`,
      capability: 'echo',
      input: { delayMs: 20 },
    })),
  });
  expect(await foreign.ended('after', PROGRESS_MS_MAX)).toMatchObject({ status: 'completed' });
  for (const goalId of goals)
    expect(await foreign.ended(goalId, 40_000)).toMatchObject({
      status: 'completed',
      tasks: { total: 2, completed: 2, failed: 0, cancelled: 0 },
    });
  const verdict = await expectSound(mesh, [...goals, 'after']);
  expect(verdict).toMatchObject({ goals: GOALS + 1, tasks: 2 * GOALS + 40 });
  // Presence may have run out meanwhile: it comes back by itself, and both agents work again.
  for (const agentId of ['echo1', 'echo2'])
    await waitUntil(`${agentId} is present again`, () => foreign.presence(agentId));
  const workers = new Set([...(await foreign.tasks('after')).values()].map((task) => task.agentId));
  expect(workers).toEqual(new Set(['echo1', 'echo2']));
});
