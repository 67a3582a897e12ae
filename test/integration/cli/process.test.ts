import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createUser } from '@nats-io/nkeys';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBroker } from '../../support/broker.ts';
import { waitUntil } from '../../support/wait.ts';
import { at, goalRecord } from '../../unit/cli/records.ts';
import { openTestMesh, type TestMesh } from './mesh.ts';
import { startCli } from './process.ts';

let mesh: TestMesh;
beforeAll(async () => {
  mesh = await openTestMesh();
});
afterAll(() => mesh.close());

function seedOf(user: ReturnType<typeof createUser>): string {
  return Buffer.from(user.getSeed()).toString();
}

const settings = () => ({ env: { NATS_URL: mesh.url, MESH: mesh.name } });

describe('the process', () => {
  it('keeps what it compiled for the next one, where nobody else can write', async ({ onTestFinished }) => {
    const cache = mkdtempSync(join(tmpdir(), 'conclave-compiled-'));
    onTestFinished(() => rmSync(cache, { recursive: true }));
    expect(await startCli(['--help'], { env: { XDG_CACHE_HOME: cache } }).end()).toBe(0);
    expect(readdirSync(join(cache, 'conclave', 'compiled'))).toHaveLength(1);
  });

  it('takes the broker and the mesh from the environment, and an input from a pipe', async () => {
    const submit = startCli(['submit', 'Brief this', '--input', '-'], { ...settings(), stdin: '{"a": 1}' });
    expect([await submit.end(), submit.stdout(), submit.stderr()]).toEqual([0, 'g-1\n', '']);
    expect((await mesh.messages(mesh.subjects.goalsStream)).at(-1)?.json()).toMatchObject({ input: { a: 1 } });
  });

  it('ends with 1 for a goal that failed, having said all of it', async () => {
    const result = 'line\n'.repeat(60_000);
    await mesh.putGoal(
      goalRecord({
        goalId: 'failed',
        status: 'failed',
        error: { code: 'task_failed', message: 'm' },
        finishedAt: at(1),
        result,
      }),
    );
    const watch = startCli(['watch', 'failed'], settings());
    expect(await watch.end()).toBe(1);
    // Nothing of a large output is lost at the exit.
    const show = startCli(['show', 'failed', '--json'], settings());
    expect(await show.end()).toBe(0);
    expect(JSON.parse(show.stdout()).result).toBe(result);
  });

  it('ends with 2 for a wrong command line', async () => {
    const wrong = startCli(['submit', 'x', '--pattern', 'swarm'], settings());
    expect(await wrong.end()).toBe(2);
    expect(wrong.stderr()).toContain('orchestrator');
  });

  it('ends with 69 and one line when no broker answers', async () => {
    const goals = startCli(['goals', '--url', 'nats://127.0.0.1:1'], settings());
    expect([await goals.end(), goals.stdout()]).toEqual([69, '']);
    expect(goals.stderr()).toMatch(
      /^conclave: no NATS broker at nats:\/\/127\.0\.0\.1:1 \(.*\); start one with JetStream or set NATS_URL\n$/,
    );
  });

  it('ends at the second Ctrl-C, whatever it waits for', async () => {
    const silent = createServer();
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const address = silent.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const sockets: Socket[] = [];
    silent.on('connection', (socket) => sockets.push(socket));
    const goals = startCli(['goals', '--url', `nats://127.0.0.1:${port ?? 0}`]);
    try {
      await waitUntil('it waits for the greeting of a broker', () => sockets.length > 0);
      await waitUntil('it ends', () => !goals.child.kill('SIGINT') || goals.child.exitCode !== null);
      expect(await goals.end()).toBe(130);
    } finally {
      for (const socket of sockets) socket.destroy();
      silent.close();
    }
  });

  it('ends with 69 and one line when the broker refuses the credentials, or has no JetStream', async () => {
    const user = createUser();
    const broker = await startBroker({ config: `accounts: { A: { users: [ { nkey: ${user.getPublicKey()} } ] } }` });
    try {
      const refused = startCli(['goals', '--url', broker.url.replace('//', '//name:secret@')]);
      expect(await refused.end()).toBe(69);
      expect(refused.stderr()).toBe(
        `conclave: the broker at ${broker.url} refuses these credentials; set NATS_CREDS or NATS_NKEY_SEED\n`,
      );
      const env = { NATS_URL: broker.url, NATS_NKEY_SEED: seedOf(user) };
      for (const without of [['goals'], ['submit', 'x'], ['agents'], ['admin', 'init']].map((command) =>
        startCli(command, { env }),
      )) {
        expect(await without.end()).toBe(69);
        expect(without.stderr()).toMatch(/^conclave: nothing at \S+ answers for mesh "mesh"; .*\n$/);
      }
    } finally {
      await broker.stop();
    }
  });

  it('ends with 1 and one line when the broker does not let it', async () => {
    const [allowed, denied] = [createUser(), createUser()];
    const broker = await startBroker({
      config: `authorization: { users: [
        { nkey: ${allowed.getPublicKey()} }
        { nkey: ${denied.getPublicKey()}, permissions: { publish: { deny: ">" } } }
      ] }`,
    });
    try {
      const init = startCli(['admin', 'init', '--url', broker.url], { env: { NATS_NKEY_SEED: seedOf(allowed) } });
      expect([await init.end(), init.stderr()]).toEqual([0, '']);
      const env = { NATS_URL: broker.url, NATS_NKEY_SEED: seedOf(denied) };
      for (const refused of [['goals'], ['submit', 'x'], ['show', 'x'], ['agents']].map((command) =>
        startCli(command, { env }),
      )) {
        expect(await refused.end()).toBe(1);
        expect(refused.stderr()).toMatch(
          /^conclave: the broker at \S+ does not let these credentials do this \(publish on \S+\); .*\n$/,
        );
      }
    } finally {
      await broker.stop();
    }
  });

  it('needs no right to hear anything but its own replies', async () => {
    const user = createUser();
    const broker = await startBroker({
      config: `authorization: { users: [ { nkey: ${user.getPublicKey()}, permissions: { subscribe: { allow: "mesh.inbox.cli.>" } } } ] }`,
    });
    try {
      const env = { NATS_URL: broker.url, NATS_NKEY_SEED: seedOf(user) };
      expect(await startCli(['admin', 'init'], { env }).end()).toBe(0);
      for (const run of [['submit', 'x'], ['goals'], ['agents'], ['dead']].map((command) =>
        startCli(command, { env }),
      )) {
        expect(await run.end()).toBe(0);
      }
    } finally {
      await broker.stop();
    }
  });

  it('ends with 124 when it waited too long', async () => {
    const submit = startCli(['submit', 'x', '--wait', '--timeout-ms', '1'], settings());
    expect(await submit.end()).toBe(124);
  });

  it('ends with 130 at SIGINT, leaving whole lines', async () => {
    await mesh.putGoal(goalRecord({ goalId: 'endless' }));
    const watch = startCli(['watch', 'endless'], settings());
    await watch.says('goal endless');
    watch.child.kill('SIGINT');
    expect(await watch.end()).toBe(130);
    expect(watch.stdout()).toMatch(/\n$/);
    expect(watch.stderr()).toMatch(/^conclave: stopped waiting; goal endless is running and goes on .*\n$/);
  });

  it('is silent when its reader has seen enough', async () => {
    await mesh.putGoal(
      goalRecord({ goalId: 'long', status: 'completed', finishedAt: at(1), result: 'x'.repeat(900_000) }),
    );
    const show = startCli(['show', 'long'], settings());
    await show.says('goal long');
    show.child.stdout?.destroy();
    expect(await show.end()).toBe(0);
    expect(show.stderr()).toBe('');
  });
});
