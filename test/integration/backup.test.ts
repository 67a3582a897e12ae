/** `conclave admin backup` and `restore`: what a broker held, on another one, with the work that was not done going on there. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, type TestContext } from 'vitest';
import { startBroker, type TestBroker } from '../support/broker.ts';
import { readStream, type StreamMessage } from '../support/foreign.ts';
import { waitUntil } from '../support/wait.ts';
import { startCli } from './cli/process.ts';
import { type Mesh, openMeshNamed } from '../support/open-mesh.ts';
import { expectSound } from './verdict.ts';

const MESH = 'kept';
const GOALS = 40;
const streams = [`${MESH}_log`, `KV_${MESH}_dag`, `${MESH}_dead`, `OBJ_${MESH}_blobs`, `${MESH}_goals`];

async function cli(
  broker: TestBroker,
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const run = startCli(args, { env: { NATS_URL: broker.url, MESH } });
  const code = await run.end();
  return { code, stdout: run.stdout(), stderr: run.stderr() };
}

/** All that a stream holds, but for the one that may not be read twice. */
async function contents(mesh: Mesh): Promise<Map<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  for (const stream of streams.slice(0, -1)) {
    const messages = await readStream(mesh.foreign.nc, stream, '>');
    const line = ({ sequence, subject, data }: StreamMessage): string =>
      `${sequence} ${subject} ${Buffer.from(data).toString('latin1')}`;
    found.set(stream, messages.map(line));
  }
  return found;
}

const goal = (goalId: string, delayMs: number) => ({
  goalId,
  description: goalId,
  tasks: [
    { taskId: 'a', capability: 'echo', input: { delayMs } },
    { taskId: 'b', capability: 'echo', input: { delayMs }, dependencies: ['a'] },
  ],
});

test('a backup of a mesh at rest is that mesh to the last message, and a goal nobody had taken yet is done after it', {
  timeout: 120_000,
}, async (hooks) => {
  const { onTestFinished } = hooks;
  const folder = temporaryFolder(hooks);
  const [first, second] = await Promise.all([startBroker(), startBroker()]);
  onTestFinished(async () => void (await Promise.all([first.stop(), second.stop()])));
  const before = await openMeshNamed(MESH, first.url);
  const agent = await before.agent('echo1');
  await Promise.all(Array.from({ length: GOALS }, (_, index) => before.foreign.submit(goal(`g${index}`, 0))));
  for (let index = 0; index < GOALS; index += 1) await before.foreign.ended(`g${index}`);
  await before.foreign.submit('no goal');
  await waitUntil('the dead letter is there', async () => (await before.foreign.deadLetters()).length === 1);
  await expectSound(before, []);
  await agent.signal('SIGTERM');
  await before.foreign.submit(goal('later', 0));

  const backup = await cli(first, ['admin', 'backup', folder]);
  expect([backup.code, backup.stderr]).toEqual([0, '']);
  expect(readdirSync(folder).toSorted()).toEqual(streams.toSorted());
  const kept = await contents(before);
  expect(kept.get(`KV_${MESH}_dag`)?.length).toBeGreaterThan(GOALS);
  await before.close();

  const restore = await cli(second, ['admin', 'restore', folder]);
  expect([restore.code, restore.stderr]).toEqual([0, '']);
  const after = await openMeshNamed(MESH, second.url);
  onTestFinished(() => after.close());
  expect(await contents(after)).toEqual(kept);
  expect(await after.foreign.unsettled()).toBe(1);
  expect(await cli(second, ['admin', 'restore', folder])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/is there already; restore to a broker without this mesh/),
  });

  // A broker that starts again looks up how far its log had come; it must not take the restored stream for an unread one.
  await second.restart();
  await waitUntil('the stranger is back', () =>
    after.foreign.nc.flush().then(
      () => true,
      () => false,
    ),
  );
  await after.agent('echo2');
  expect((await after.foreign.ended('later')).status).toBe('completed');
  await after.foreign.submit(goal('new', 0));
  expect((await after.foreign.ended('new')).status).toBe('completed');
  const { goals } = await expectSound(after, [
    'later',
    'new',
    ...Array.from({ length: GOALS }, (_, index) => `g${index}`),
  ]);
  expect(goals).toBe(GOALS + 2);
});

test('a backup of a mesh in full work is sound, and all that it holds comes to an end', {
  timeout: 120_000,
}, async (hooks) => {
  const { onTestFinished } = hooks;
  const folder = temporaryFolder(hooks);
  const [first, second] = await Promise.all([startBroker(), startBroker()]);
  onTestFinished(async () => void (await Promise.all([first.stop(), second.stop()])));
  const before = await openMeshNamed(MESH, first.url);
  await Promise.all([before.agent('echo1'), before.agent('echo2')]);
  await Promise.all(Array.from({ length: GOALS }, (_, index) => before.foreign.submit(goal(`g${index}`, 600))));
  await waitUntil('work has begun', async () => (await before.foreign.task('g0', 'a'))?.status === 'in_progress');
  expect((await cli(first, ['admin', 'backup', folder])).code).toBe(0);
  expect(await before.foreign.unsettled()).toBeGreaterThan(0);
  await before.close();

  expect((await cli(second, ['admin', 'restore', folder])).code).toBe(0);
  const after = await openMeshNamed(MESH, second.url);
  onTestFinished(() => after.close());
  await Promise.all([after.agent('echo3'), after.agent('echo4')]);
  const all = Array.from({ length: GOALS }, (_, index) => `g${index}`);
  for (const goalId of all) expect((await after.foreign.ended(goalId)).status).toBe('completed');
  await expectSound(after, all);
});

function temporaryFolder(hooks: Pick<TestContext, 'onTestFinished'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'conclave-backup-'));
  hooks.onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

test('what is not there cannot be backed up, and is named', async (hooks) => {
  const broker = await startBroker();
  hooks.onTestFinished(() => broker.stop());
  const { code, stderr } = await cli(broker, ['admin', 'backup', temporaryFolder(hooks)]);
  expect(code).toBe(1);
  expect(stderr).toBe(`conclave: stream ${MESH}_log is not there; is MESH right?\n`);
});

describe('a folder that cannot hold a backup is refused in one line', () => {
  let broker: TestBroker;
  let mesh: Mesh;
  beforeAll(async () => {
    broker = await startBroker();
    mesh = await openMeshNamed(MESH, broker.url);
    await mesh.agent('echo1');
    const text = Array.from({ length: 4_096 }, (_, index) => index.toString(36)).join(' ');
    await mesh.foreign.submit({
      goalId: 'g',
      description: 'g',
      tasks: [{ taskId: 'a', capability: 'echo', input: { text } }],
    });
    await mesh.foreign.ended('g');
  });
  afterAll(async () => {
    await mesh.close();
    await broker.stop();
  });

  const wrong: readonly (readonly [string, (folder: string) => string, RegExp])[] = [
    // Node's recursive mkdir never returns from there.
    [
      'where no folder can be made',
      () => '/proc/conclave/backup',
      /^conclave: folder: expected one that can be made and written to, got \/proc\/conclave\/backup \((ENOENT|EACCES|EROFS|EPERM): [^\n]*\)\n$/,
    ],
    [
      'a file',
      (folder) => join(folder, 'file'),
      /expected one that can be made and written to, got \S+\/file \(EEXIST: [^\n]*\)\n$/,
    ],
    [
      'below a file',
      (folder) => join(folder, 'file', 'below'),
      /expected one that can be made and written to, got \S+\/file\/below \(ENOTDIR: [^\n]*\)\n$/,
    ],
    ['with something in it', (folder) => folder, /expected a new or an empty one, and \S+ holds something\n$/],
  ];
  test.each(wrong)('%s', async (_what, target, message) => {
    const folder = mkdtempSync(join(tmpdir(), 'conclave-backup-'));
    writeFileSync(join(folder, 'file'), '');
    const { code, stdout, stderr } = await cli(broker, ['admin', 'backup', target(folder)]);
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: expect.stringMatching(message) });
    expect(readdirSync(folder)).toEqual(['file']);
    rmSync(folder, { recursive: true });
  });

  test('on a disk that gets full, and what is there by then is not taken for a backup', async (hooks) => {
    const folder = join(temporaryFolder(hooks), 'deep', 'down');
    // A limit of the process, in blocks of 512 bytes, ends a write early as a full disk does.
    const main = fileURLToPath(new URL('../../services/cli/main.ts', import.meta.url));
    const limited = ['-c', 'ulimit -f 8; exec "$@"', 'sh', process.execPath, main, 'admin', 'backup', folder];
    const env = { ...process.env, NATS_URL: broker.url, MESH };
    const { status, stderr } = spawnSync('sh', limited, { env, encoding: 'utf8' });
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^conclave: stream kept_\S+: cannot be written; back up to another folder, with room for it \(EFBIG: [^\n]*\)\n$/,
    );
    expect(await cli(broker, ['admin', 'restore', folder])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^conclave: stream kept_goals: \S+ holds no whole backup of it; name another one \(ENOENT: [^\n]*\)\n$/,
      ),
    });
  });
});
