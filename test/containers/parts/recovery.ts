/** What an operator does in need: another key, and everything from a backup. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readStream } from '../../support/foreign.ts';
import { root } from '../../support/stack.ts';
import { waitUntil } from '../../support/wait.ts';
import { PATIENCE_MS, REPLACED, admin, agents, load, say, soundStreams, stack, stranger } from '../site.ts';

const GOALS_AFTER_FAULT = 20;

test('an agent gets another key under load: the old one is refused, and nothing is lost', async () => {
  const running = load();
  await running.ended(GOALS_AFTER_FAULT);
  const id = /"agentId":"(echo-\d+)"/.exec(stack.logs('echo-1'))?.[1];
  if (id === undefined) throw new Error('echo-1 logs no agentId.');
  const old = readFileSync(stack.seedFile(id), 'utf8').trim();
  const known = await stack.connectWith(old, id);
  REPLACED.add(id);
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
