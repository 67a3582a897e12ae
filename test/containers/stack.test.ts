/** The stack that `make up` starts, tried as it will be tried: goals, crashes, restarts. The tests are in order: each goes on with the same stack. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { imageName } from '../../deploy/engine/build.ts';
import { gather, judge, logHasCaughtUp } from '../support/checker.ts';
import { type Foreign, readStream } from '../support/foreign.ts';
import { foundInImage } from '../support/image-scan.ts';
import { type Load, startLoad } from '../support/load.ts';
import { root, secretValues, startStack, type TestStack } from '../support/stack.ts';
import { waitUntil } from '../support/wait.ts';

const PATIENCE_MS = 60_000;
const GOALS_AFTER_FAULT = 20;
const brokers = ['nats-1-1', 'nats-2-1', 'nats-3-1'];
const roles = ['planner', 'researcher', 'coder', 'reviewer', 'echo'];

let stack: TestStack;
let stranger: Foreign;
let admin: Foreign;
const loads: Load[] = [];

const agents = (): readonly string[] =>
  stack.names().filter((name) => roles.some((role) => name.startsWith(`${role}-`)));
const say = (text: string): void => void process.stdout.write(`${text}\n`);

beforeAll(async () => {
  stack = await startStack('conclave-test');
  say(`${stack.built}; all healthy after ${stack.upSeconds.toFixed(0)} s`);
  for (const line of stack.without) say(line);
  stranger = await stack.connectAs('operator', 'cli');
  admin = await stack.connectAs('admin', 'cli');
});

afterAll(async () => {
  for (const each of loads) each.stop();
  await stranger?.close();
  await admin?.close();
  stack?.remove();
  stack?.close();
});

/** Goals that go on while something happens to the mesh. */
function load(): Load {
  const started = startLoad(stranger, `load${loads.length}`);
  loads.push(started);
  return started;
}

describe('what runs', () => {
  test('is not root, cannot write to its root, and has no capability', async () => {
    for (const name of agents()) {
      const { Config, HostConfig } = stack.inspect(name);
      expect(Config.User).toBe('65532:65532');
      expect(HostConfig).toMatchObject({ ReadonlyRootfs: true, CapDrop: ['ALL'], CapAdd: null, Privileged: false });
    }
    // What the kernel says of the process itself, and what happens to one that tries.
    const probe = `const fs = require('node:fs');
      const status = fs.readFileSync('/proc/1/status', 'utf8');
      const field = (name) => new RegExp('^' + name + ':\\\\s*(\\\\S+)', 'm').exec(status)[1];
      const tries = ['/x', '/app/x', '/tmp/x', '/etc/x'].map((path) => { try { fs.writeFileSync(path, ''); return path; } catch (e) { return e.code; } });
      console.log(JSON.stringify({ uid: field('Uid'), eff: field('CapEff'), bound: field('CapBnd'), nnp: field('NoNewPrivs'), seccomp: field('Seccomp'), tries }));`;
    const none = '0000000000000000';
    for (const name of [...agents(), 'model-1']) {
      const { exitCode, output } = await stack.exec(name, ['node', '-e', probe]);
      expect(exitCode, output).toBe(0);
      expect(JSON.parse(output)).toEqual({
        uid: '65532',
        eff: none,
        bound: none,
        nnp: '1',
        seccomp: '2',
        tries: ['EROFS', 'EROFS', 'EROFS', 'EROFS'],
      });
    }
  });

  test('has limits, rotated logs and a way back after a crash, third parties included', () => {
    for (const name of stack.names()) {
      const { HostConfig } = stack.inspect(name);
      expect(HostConfig.ReadonlyRootfs, name).toBe(true);
      expect(HostConfig.CapDrop, name).toEqual(['ALL']);
      expect(HostConfig.SecurityOpt, name).toEqual(['no-new-privileges:true']);
      expect(HostConfig.RestartPolicy.Name, name).toBe('unless-stopped');
      expect(HostConfig.LogConfig, name).toEqual({ Type: 'json-file', Config: { 'max-file': '3', 'max-size': '10m' } });
      for (const limit of ['Memory', 'NanoCpus', 'PidsLimit'] as const)
        expect(HostConfig[limit], name).toBeGreaterThan(0);
    }
  });

  test('lets in nobody without credentials, and nobody without encryption', async () => {
    await expect(stack.connectAs('operator', 'cli').then((known) => known.close())).resolves.toBeUndefined();
    const anonymous = spawnSync(process.execPath, [join(root, 'services/cli/main.ts'), 'goals'], {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], NATS_URL: stack.urls[0], NATS_CA: join(stack.secretsFolder, 'ca.crt') },
    });
    expect(anonymous.status).toBe(69);
    expect(anonymous.stderr).toMatch(/refuses these credentials/);
    const distrustful = spawnSync(process.execPath, [join(root, 'services/cli/main.ts'), 'goals'], {
      encoding: 'utf8',
      env: {
        PATH: process.env['PATH'],
        NATS_URL: stack.urls[0],
        NATS_NKEY_SEED_FILE: stack.seedFile('operator'),
      },
    });
    expect(distrustful.status).toBe(69);
    expect(distrustful.stderr).toMatch(/certificate/);
  });
});

describe('what is stored', () => {
  test('stands on three servers that flush each write, with the settings that the protocol rests on', async () => {
    for (const broker of brokers) {
      const { output } = await stack.exec(broker, ['wget', '-q', '-O', '-', 'http://127.0.0.1:8222/jsz?config=1']);
      const { config, meta_cluster: meta } = z
        .object({
          config: z.looseObject({ sync_always: z.boolean() }),
          meta_cluster: z.looseObject({ cluster_size: z.number(), leader: z.string() }),
        })
        .parse(JSON.parse(output));
      expect(config.sync_always, broker).toBe(true);
      expect(meta.cluster_size, broker).toBe(3);
    }
    const manager = await admin.manager();
    const streams = new Map<string, Awaited<ReturnType<typeof manager.streams.info>>>();
    for await (const info of manager.streams.list()) streams.set(info.config.name, info);
    expect([...streams.keys()].toSorted()).toEqual([
      'KV_mesh_agents',
      'KV_mesh_dag',
      'OBJ_mesh_blobs',
      'mesh_dead',
      'mesh_goals',
      'mesh_log',
    ]);
    for (const [name, { config, cluster }] of streams) {
      expect(config.num_replicas, name).toBe(3);
      expect(
        cluster?.replicas?.map(({ current }) => current),
        name,
      ).toEqual([true, true]);
      say(
        `  ${name}: replicas ${config.num_replicas}, leader ${cluster?.leader}, storage ${config.storage}, deny_delete ${config.deny_delete ?? false}, deny_purge ${config.deny_purge ?? false}`,
      );
    }
    expect(streams.get('KV_mesh_dag')?.config).toMatchObject({
      storage: 'file',
      deny_delete: true,
      allow_direct: true,
      allow_atomic: true,
      allow_msg_ttl: true,
      allow_msg_schedules: true,
      max_consumers: 50_000,
    });
    expect(streams.get('mesh_log')?.config).toMatchObject({
      storage: 'file',
      deny_delete: true,
      deny_purge: true,
      no_ack: true,
      sources: [{ name: 'KV_mesh_dag' }],
    });
    expect(streams.get('mesh_goals')?.config).toMatchObject({ storage: 'file', retention: 'workqueue' });
  });
});

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

test('an agent gets another key under load: the old one is refused, and nothing is lost', async () => {
  const running = load();
  await running.ended(GOALS_AFTER_FAULT);
  const id = /"agentId":"(echo-\d+)"/.exec(stack.logs('echo-1'))?.[1];
  if (id === undefined) throw new Error('echo-1 logs no agentId.');
  const old = readFileSync(stack.seedFile(id), 'utf8').trim();
  const known = await stack.connectWith(old, id);
  await stack.rotate(id);
  await waitUntil(
    'the old key is refused',
    () =>
      stack.connectWith(old, id).then(
        (late) => late.close(),
        () => true,
      ),
    PATIENCE_MS,
  );
  await known.close();
  const agent = await stack.connectAs(id, id);
  await agent.close();
  // Whoever held it reads the list again.
  await stack.stop('echo-1');
  await stack.start('echo-1');
  await stack.ready('echo-1');
  const { submitted, completed } = await running.finish();
  expect(completed).toBe(submitted);
  say(`  the key of ${id} replaced; ${completed} of ${submitted} goals completed`);
});

test('every stream is lost, and comes back on three servers from a backup taken before', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'conclave-backup-'));
  const command = (...args: string[]): string => {
    const run = spawnSync(process.execPath, [join(root, 'services/cli/main.ts'), ...args], {
      encoding: 'utf8',
      env: {
        PATH: process.env['PATH'],
        NATS_URL: stack.urls.join(','),
        NATS_CA: join(stack.secretsFolder, 'ca.crt'),
        NATS_NKEY_SEED_FILE: stack.seedFile('admin'),
      },
    });
    expect(run.status, run.stderr).toBe(0);
    return run.stdout;
  };
  try {
    for (const name of agents()) expect(await stack.stop(name), name).toBe(0);
    await stranger.submit({
      goalId: 'after-restore',
      description: 'taken by nobody yet',
      tasks: [{ taskId: 'a', capability: 'echo', description: 'a step', dependencies: [] }],
    });
    const records = async (): Promise<string[]> =>
      (await readStream(admin.nc, 'KV_mesh_dag', '$KV.mesh_dag.>')).map(
        ({ sequence, subject, data }) => `${sequence} ${subject} ${Buffer.from(data).toString('latin1')}`,
      );
    const before = await records();
    command('admin', 'backup', folder);
    const manager = await admin.manager();
    for (const name of ['KV_mesh_agents', 'KV_mesh_dag', 'OBJ_mesh_blobs', 'mesh_dead', 'mesh_goals', 'mesh_log']) {
      await manager.streams.delete(name);
    }
    command('admin', 'restore', folder);
    command('admin', 'init', '--replicas', '3');
    const after = new Set(
      await waitUntil(
        'whoever reads finds as much as there was',
        async () => {
          const found = await records();
          return found.length >= before.length ? found : undefined;
        },
        PATIENCE_MS,
      ),
    );
    const lost = before.filter((record) => !after.has(record));
    expect(lost).toEqual([]);
    expect(after.size).toBe(before.length);
    const { config } = await manager.streams.info('KV_mesh_dag');
    expect(config).toMatchObject({ num_replicas: 3, deny_delete: true, allow_atomic: true });
    for (const name of agents()) await stack.start(name);
    for (const name of agents()) await stack.ready(name);
    expect((await stranger.ended('after-restore', PATIENCE_MS)).status).toBe('completed');
    const verdict = await soundStreams(['after-restore']);
    say(`  ${before.length} revisions of the task graph restored; ${verdict}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe('secrets', () => {
  test('are in no layer, history or setting of the image; one that is put there is found', async () => {
    const secrets = secretValues(stack.secretsFolder);
    expect(secrets).toContain(stack.openAiKey);
    expect(secrets.length).toBeGreaterThan(8);
    expect(foundInImage(imageName, secrets)).toEqual([]);
    const folder = mkdtempSync(join(tmpdir(), 'conclave-leak-'));
    const leaky = 'conclave-test-leak:1';
    try {
      const [first = '', second = ''] = secrets;
      writeFileSync(join(folder, 'key'), first);
      // Deleted again: still in a layer. And one in the environment.
      const dockerfile = [
        'FROM node:24.21.0-trixie-slim',
        'COPY key /key',
        'RUN rm /key',
        `ENV KEY=${second}`,
        '',
      ].join('\n');
      writeFileSync(join(folder, 'Dockerfile'), dockerfile);
      const build = spawnSync('docker', ['build', '--quiet', '--tag', leaky, folder], { encoding: 'utf8' });
      expect(build.status, build.stderr).toBe(0);
      expect(foundInImage(leaky, secrets).toSorted()).toEqual([first, second].toSorted());
    } finally {
      spawnSync('docker', ['image', 'rm', '--force', leaky]);
      rmSync(folder, { recursive: true });
    }
  });

  test('are enough for what each container does: its broker denied it nothing', () => {
    for (const name of [...agents(), ...brokers]) {
      expect(
        stack
          .logs(name)
          .split('\n')
          .filter((line) => /violation/i.test(line)),
        name,
      ).toEqual([]);
    }
  });

  test('are in no environment of a container, no log, no metric and no stream', async () => {
    const secrets = secretValues(stack.secretsFolder);
    const leaks = (text: string): readonly string[] => secrets.filter((secret) => text.includes(secret));
    for (const name of stack.names()) {
      expect(leaks(JSON.stringify(stack.inspect(name))), name).toEqual([]);
      const log = stack.logs(name);
      expect(log.length, name).toBeGreaterThan(0);
      expect(leaks(log), name).toEqual([]);
    }
    for (const name of agents()) {
      const script = "fetch('http://127.0.0.1:8080/metrics').then((r) => r.text()).then((t) => console.log(t))";
      const { output } = await stack.exec(name, ['node', '-e', script]);
      expect(output).toContain('conclave_');
      expect(leaks(output), name).toEqual([]);
    }
    for (const stream of ['KV_mesh_dag', 'mesh_log', 'KV_mesh_agents']) {
      const messages = await readStream(admin.nc, stream, '>');
      expect(messages.length, stream).toBeGreaterThan(0);
      expect(leaks(messages.map(({ data }) => Buffer.from(data).toString('latin1')).join('\n')), stream).toEqual([]);
    }
  });
});

test('taking it down leaves no container, volume, network or secret', async () => {
  await stranger.close();
  await admin.close();
  expect(stack.remove()).toEqual([]);
  expect(() => readFileSync(join(stack.secretsFolder, 'ca.crt'))).toThrow(/ENOENT/);
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

/** What the checker says once the mesh has come to rest; a violation fails. */
async function soundStreams(acknowledged: readonly string[]): Promise<string> {
  await waitUntil('every submission is settled', async () => (await stranger.unsettled()) === 0, PATIENCE_MS);
  const evidence = await waitUntil(
    'the log has caught up',
    async () => {
      const found = await gather(stranger.nc, 'mesh');
      return logHasCaughtUp(found) ? found : undefined;
    },
    PATIENCE_MS,
  );
  const { violations, goals, tasks, revisions } = judge('mesh', evidence, [...acknowledged, 'kill-agent']);
  expect(violations).toEqual([]);
  return `${goals} goals, ${tasks} tasks, ${revisions} revisions, ${violations.length} violations`;
}
