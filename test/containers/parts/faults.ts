/** Goals while agents and brokers are killed and restarted. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { root } from '../../support/stack.ts';
import { waitUntil } from '../../support/wait.ts';
import { PATIENCE_MS, admin, agents, brokers, load, loads, say, soundStreams, stack, stranger } from '../site.ts';

const GOALS_AFTER_FAULT = 20;

test('a goal goes through planners, researchers, coders and reviewers to its end', () => {
  const input = readFileSync(join(root, 'deploy/demo/input.txt'), 'utf8');
  const printed = stack.cli(
    ['submit', 'Brief this text', '--input', '-', '--wait', '--timeout-ms', '120000', '--json'],
    input,
  );
  const goal = z
    .object({ status: z.string(), tasks: z.object({ total: z.number(), completed: z.number() }) })
    .parse(JSON.parse(printed));
  expect(goal.status).toBe('completed');
  expect(goal.tasks.completed).toBe(goal.tasks.total);
  expect(goal.tasks.total).toBeGreaterThan(1);
});

test('Prometheus finds every agent by itself, and all of them are up', async () => {
  const count = await everyTargetUp();
  expect(count).toBe(agents().length);
  say(`  ${count} targets up`);
});

test('an agent is killed over its work: the work is done by another, and the container comes back', async () => {
  const goalId = 'kill-agent';
  await stranger.submit({
    goalId,
    description: 'survive',
    tasks: [
      {
        taskId: 'slow',
        capability: 'echo',
        description: 'takes its time',
        input: { delayMs: 4_000 },
        dependencies: [],
      },
    ],
  });
  const holder = await waitUntil(
    'somebody holds the task',
    async () => {
      const task = await stranger.task(goalId, 'slow');
      return task?.status === 'in_progress' ? task.agentId : undefined;
    },
    PATIENCE_MS,
  );
  const victim = agents().find((name) => stack.logs(name).includes(`"agentId":"${holder}"`));
  if (victim === undefined) throw new Error(`No container's log names ${holder}.`);
  await stack.kill(victim);
  const killedAt = performance.now();
  expect(stack.inspect(victim).State).toMatchObject({ Running: false, ExitCode: 137 });
  expect((await stranger.ended(goalId, PATIENCE_MS)).status).toBe('completed');
  const task = await stranger.task(goalId, 'slow');
  expect(task).toMatchObject({ status: 'completed', attempt: 2 });
  expect(task?.agentId).not.toBe(holder);
  say(
    `  ${victim} killed at its work; done by ${task?.agentId} ${((performance.now() - killedAt) / 1_000).toFixed(1)} s later, 4 s of them work`,
  );
  await stack.start(victim);
  await stack.ready(victim);
});

test('the broker that leads the task graph is killed under load: nothing is lost', async () => {
  const running = load();
  await running.ended(GOALS_AFTER_FAULT);
  const manager = await admin.manager();
  const leader = (await manager.streams.info('KV_mesh_dag')).cluster?.leader;
  const victim = `${leader}-1`;
  expect(brokers).toContain(victim);
  await stack.kill(victim);
  const killedAt = performance.now();
  expect(stack.inspect(victim).State.Running).toBe(false);
  await running.endedOfNew(1);
  const backAfter = performance.now() - killedAt;
  await running.endedOfNew(GOALS_AFTER_FAULT);
  const after = await waitUntil(
    'another server leads',
    async () => {
      const info = await manager.streams.info('KV_mesh_dag').catch(() => undefined);
      return info?.cluster?.leader !== undefined && info.cluster.leader !== leader ? info.cluster.leader : undefined;
    },
    PATIENCE_MS,
  );
  await stack.start(victim);
  await stack.healthy(victim);
  await waitUntil(
    'every copy is current again',
    async () => {
      const infos = await Promise.all(
        ['KV_mesh_dag', 'mesh_goals', 'mesh_log', 'mesh_dead'].map((name) =>
          manager.streams.info(name).catch(() => undefined),
        ),
      );
      return infos.every(
        (info) => info?.cluster?.replicas?.length === 2 && info.cluster.replicas.every(({ current }) => current),
      );
    },
    PATIENCE_MS,
  );
  const { submitted, completed } = await running.finish();
  expect(completed).toBe(submitted);
  say(
    `  ${leader} killed, ${after} leads; first goal submitted afterwards done ${(backAfter / 1_000).toFixed(1)} s after the kill; ${completed} of ${submitted} goals completed`,
  );
});

test('a rolling restart of all agents under load loses nothing, and each of them ends in good order', async () => {
  const running = load();
  await running.ended(GOALS_AFTER_FAULT);
  const restarted = agents();
  for (const name of restarted) {
    const before = stack.inspect(name).State.StartedAt;
    expect(await stack.stop(name), name).toBe(0);
    await stack.start(name);
    await stack.ready(name);
    expect(stack.inspect(name).State.StartedAt).not.toBe(before);
  }
  const { submitted, completed } = await running.finish();
  expect(completed).toBe(submitted);
  say(`  ${restarted.length} agents restarted; ${completed} of ${submitted} goals completed`);
});

test('after all of this Prometheus sees every agent again', async () => {
  expect(await everyTargetUp()).toBe(agents().length);
});

test('the streams bear out that nothing was lost, done twice or done by a stale hand', async () => {
  const verdict = await soundStreams(loads.flatMap((each) => each.acknowledged()));
  expect(verdict).toContain(' 0 violations');
  say(`  ${verdict}`);
});

/** The number of targets. */
async function everyTargetUp(): Promise<number> {
  const Targets = z.object({
    data: z.object({ activeTargets: z.array(z.object({ health: z.string(), scrapeUrl: z.string() })) }),
  });
  return waitUntil(
    `Prometheus sees ${agents().length} agents, all up`,
    async () => {
      const answer = await fetch(`${stack.prometheusUrl}/api/v1/targets?state=active`);
      const targets = Targets.parse(await answer.json()).data.activeTargets;
      const own = targets.filter(({ scrapeUrl }) => scrapeUrl.includes(':8080/'));
      return targets.every(({ health }) => health === 'up') && own.length >= agents().length ? own.length : undefined;
    },
    PATIENCE_MS,
  );
}
