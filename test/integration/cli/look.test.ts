import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { at, goalRecord, presence, taskRecord } from '../../unit/cli/records.ts';
import { openTestMesh, parsed, type TestMesh } from './mesh.ts';

let mesh: TestMesh;
const Listed = z.array(z.looseObject({ goalId: z.string() }));
beforeAll(async () => {
  mesh = await openTestMesh();
  await mesh.putGoal(
    goalRecord({ goalId: 'oldest', createdAt: at(-2_000), status: 'completed', finishedAt: at(0), result: 'done' }),
  );
  await mesh.putGoal(goalRecord({ goalId: 'newest', createdAt: at(9_000) }));
  await mesh.putGoal(goalRecord());
  await mesh.putTask(taskRecord({ status: 'ready', capability: 'draw' }));
  await mesh.putTask(taskRecord({ taskId: 'b', dependencies: ['a'] }));
  await mesh.putTask(taskRecord({ goalId: 'newest', taskId: 'other' }));
});
afterAll(() => mesh.close());

describe('show', () => {
  it('prints the goal and its tasks', async () => {
    const { code, stdout } = await mesh.run(['show', 'brief-42']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^goal brief-42 {2}running/);
    expect(stdout).toMatch(/^└─ a +draw +ready/m);
    expect(stdout).toMatch(/^ +└─ b +research +pending +a$/m);
    expect(stdout).toContain('no present agent has the capability "draw"; 1 ready task waits for one');
    expect(stdout).not.toContain('other');
  });

  it('prints the record as it stands', async () => {
    const { code, stdout } = await mesh.run(['show', 'brief-42', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual(goalRecord());
  });

  it('prints one task', async () => {
    expect((await mesh.run(['show', 'brief-42', 'b'])).stdout).toMatch(/^task b of goal brief-42 {2}pending/);
    expect(JSON.parse((await mesh.run(['show', 'brief-42', 'b', '--json'])).stdout)).toEqual(
      taskRecord({ taskId: 'b', dependencies: ['a'] }),
    );
    const absent = await mesh.run(['show', 'brief-42', 'z']);
    expect([absent.code, absent.stderr]).toEqual([
      1,
      'conclave: goal brief-42 has no task "z" (to see those it has: conclave show brief-42)',
    ]);
  });

  it.each(['show', 'cost', 'log', 'watch', 'cancel'])(
    '%s ends with 1 for a goal that nobody knows',
    async (command) => {
      const { code, stdout, stderr } = await mesh.run([command, 'nobody']);
      expect([code, stdout]).toEqual([1, '']);
      expect(stderr).toBe(
        `conclave: mesh "${mesh.name}" knows no goal "nobody" (to see those it knows: conclave goals)`,
      );
    },
  );

  it('tells a goal that waits to be accepted from one that is unknown', async () => {
    const { stdout: goalId } = await mesh.run(['submit', 'x']);
    await mesh.run(['submit', 'x', '--goal-id', 'named']);
    await mesh.publish(mesh.subjects.taskShorthand('echo'), { description: 'x', goalId: 'short' });
    for (const waiting of [goalId, 'named', 'short']) {
      const { code, stderr } = await mesh.run(['show', waiting]);
      expect(code).toBe(1);
      expect(stderr).toBe(
        `conclave: goal ${waiting} was submitted and is not accepted yet: no agent is present (to wait: conclave watch ${waiting})`,
      );
    }
    // That sequence is the receipt of a goal with a name of its own.
    expect((await mesh.run(['show', `g-${Number(goalId.slice(2)) + 1}`])).stderr).toContain('knows no goal');
  });

  it('says so when a record is not of this protocol', async () => {
    const revision = await mesh.putRaw(mesh.subjects.goalKey('strange'), { goalId: 'strange', status: 'dreaming' });
    const { code, stderr } = await mesh.run(['show', 'strange']);
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`goal\\.strange, revision ${revision}, is not of protocol version 1 \\(status`));
    const list = await mesh.run(['goals']);
    expect(list.code).toBe(0);
    expect(list.stderr).toContain('goal.strange');
  });
});

describe('goals', () => {
  it('lists them, newest first', async () => {
    const { code, stdout } = await mesh.run(['goals']);
    expect(code).toBe(0);
    const ids = stdout
      .split('\n')
      .slice(1)
      .map((line) => line.split(' ')[0]);
    expect(ids).toEqual(['newest', 'brief-42', 'oldest']);
  });

  it('lists those of one status, and no more than asked for', async () => {
    const ids = async (...args: readonly string[]) =>
      parsed(Listed, (await mesh.run(['goals', '--json', ...args])).stdout).map(({ goalId }) => goalId);
    expect(await ids('--status', 'completed')).toEqual(['oldest']);
    expect(await ids('--limit', '2')).toEqual(['newest', 'brief-42']);
    expect(await ids('--status', 'cancelled')).toEqual([]);
    expect((await mesh.run(['goals', '--status', 'cancelled'])).stderr).toContain('has no cancelled goals');
  });

  it('prints whole records as JSON', async () => {
    const [first] = JSON.parse((await mesh.run(['goals', '--json', '--status', 'completed'])).stdout);
    expect(first).toEqual(
      goalRecord({ goalId: 'oldest', createdAt: at(-2_000), status: 'completed', finishedAt: at(0), result: 'done' }),
    );
  });
});

describe('agents', () => {
  it('lists who is present, and says so when nobody is', async () => {
    const nobody = await mesh.run(['agents']);
    expect([nobody.code, nobody.stdout]).toEqual([0, '']);
    expect(nobody.stderr).toBe(
      `no agent of mesh "${mesh.name}" is present (to start one: node services/<name>/main.ts)`,
    );
    expect((await mesh.run(['agents', '--json'])).stdout).toBe('[]');

    const [b, a] = [presence({ agentId: 'b', capabilities: ['draw'] }), presence({ agentId: 'a' })];
    await mesh.join(b);
    await mesh.join(a);
    const table = await mesh.run(['agents']);
    expect(table.code).toBe(0);
    expect(table.stdout).toMatch(/^a +researcher +research.*\nb +researcher +draw/m);
    expect(JSON.parse((await mesh.run(['agents', '--json'])).stdout)).toEqual([a, b]);
    expect((await mesh.run(['show', 'brief-42'])).stdout).not.toContain('no present agent');
  });
});

describe('cost', () => {
  it('prints what a goal cost, or its record', async () => {
    const { code, stdout } = await mesh.run(['cost', 'brief-42']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^predicted +\$0\.0010 +measured is 20 % more$/m);
    expect(stdout).toMatch(/^└─ a +draw +\$0 /m);
    const { report, ...record } = JSON.parse((await mesh.run(['cost', 'brief-42', '--json'])).stdout);
    expect(record).toEqual(goalRecord());
    expect(report.prediction).toEqual({ predicted: 0.001, measured: 0.0012, error: 0.0002, ratio: 1.2 });
  });
});

describe('admin init', () => {
  it('creates what is missing, as often as it is run', async () => {
    const fresh = await openTestMesh();
    const { subjects } = fresh;
    for (const stream of [subjects.goalsStream, subjects.dagStream]) await fresh.jsm.streams.delete(stream);
    const lost = await fresh.run(['goals']);
    expect([lost.code, lost.stderr]).toEqual([
      69,
      `conclave: the broker at ${fresh.url} has no mesh "${fresh.name}"; start one of its agents, or run: conclave admin init`,
    ]);
    expect((await fresh.run(['submit', 'x'])).code).toBe(69);
    for (let run = 0; run < 2; run += 1) {
      const { code, stdout } = await fresh.run(['admin', 'init']);
      expect([code, stdout]).toEqual([
        0,
        `mesh "${fresh.name}" is ready on ${fresh.url} (streams that were missing: 1 replica)`,
      ]);
    }
    expect((await fresh.run(['submit', 'x'])).stdout).toBe('g-1');
    // An autoscaler reads a queue's length by this name, before the first agent is there to create it.
    expect((await fresh.run(['admin', 'init', '--capabilities', 'plan,echo'])).code).toBe(0);
    for (const name of ['cap-plan', 'cap-echo', 'cap-auction']) {
      expect((await fresh.jsm.consumers.info(subjects.dagStream, name)).config.durable_name).toBe(name);
    }
    expect((await fresh.run(['admin', 'init', '--capabilities', 'a.b'])).code).toBe(2);
    await fresh.close();
  });
});
