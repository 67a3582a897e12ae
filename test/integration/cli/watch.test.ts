import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { followGoal } from '../../../shared/adapters/mesh-client-follow.ts';
import { startBroker } from '../../support/broker.ts';
import { waitUntil } from '../../support/wait.ts';
import { type FakeTerminal, fakeTerminal } from '../../unit/cli/fake-terminal.ts';
import { at, goalRecord, presence, taskRecord } from '../../unit/cli/records.ts';
import { openTestMesh, parsed, type TestMesh } from './mesh.ts';

let mesh: TestMesh;
const Told = z.looseObject({ kind: z.string(), record: z.looseObject({ status: z.string() }) });
beforeAll(async () => {
  mesh = await openTestMesh();
});
afterAll(() => mesh.close());

/** A terminal whose lines can be waited for. */
function listening(): { readonly terminal: FakeTerminal; says(what: RegExp): Promise<unknown> } {
  const terminal = fakeTerminal({ now: Date.now });
  return {
    terminal,
    says: (what) => waitUntil(`watch says ${what}`, () => terminal.stdout.some((line) => what.test(line)), 20_000),
  };
}

const completed = (goalId: string) => goalRecord({ goalId, status: 'completed', finishedAt: at(9_000), result: 1 });

describe('watch without a terminal', () => {
  it('tells what is, then every change, and ends with the goal', async () => {
    const goalId = 'watched';
    await mesh.putGoal(goalRecord({ goalId }));
    await mesh.putTask(taskRecord({ goalId, status: 'ready' }));
    const { terminal, says } = listening();
    const running = mesh.run(['watch', goalId], terminal);
    await says(/task a {2}research {2}ready$/);
    await mesh.putTask(
      taskRecord({ goalId, status: 'in_progress', agentId: 'r-1', attempt: 1, startedAt: at(1_000), item: 1 }),
    );
    await says(/task a {2}research {2}ready → in_progress {2}r-1 {2}attempt 1$/);
    await mesh.putTask(
      taskRecord({
        goalId,
        status: 'completed',
        agentId: 'r-1',
        attempt: 1,
        startedAt: at(1_000),
        finishedAt: at(2_000),
        result: 1,
      }),
    );
    await mesh.putGoal(completed(goalId));
    const { code, stdout } = await running;
    expect(code).toBe(0);
    const lines = stdout.split('\n').map((line) => line.replace(/^\d\d:\d\d:\d\d\.\d{3}Z {2}/, ''));
    expect(lines[0]).toMatch(/^goal watched {2}running/);
    expect(lines.slice(-2)[0]).toBe('task a  research  in_progress → completed  r-1  attempt 1  1.0 s');
    expect(lines.slice(-1)[0]).toMatch(/^goal watched {2}completed/);
  });

  it('waits for a goal that is not accepted yet', async () => {
    const { stdout: goalId } = await mesh.run(['submit', 'x']);
    const { terminal } = listening();
    const running = mesh.run(['watch', goalId], terminal);
    await mesh.putGoal(completed(goalId));
    expect((await running).code).toBe(0);
  });

  it('says which capability nobody has, once', async () => {
    const goalId = 'unstaffed';
    await mesh.putGoal(goalRecord({ goalId }));
    await mesh.putTask(taskRecord({ goalId, status: 'ready', capability: 'draw' }));
    const { terminal, says } = listening();
    const running = mesh.run(['watch', goalId], terminal);
    await says(/no present agent has the capability "draw"; 1 ready task waits for one/);
    await mesh.putGoal(completed(goalId));
    const { stdout } = await running;
    expect(stdout.match(/no present agent/g)).toHaveLength(1);
  });

  it.each(['failed', 'cancelled'])('ends with 1 for a goal that is %s', async (status) => {
    await mesh.putGoal(
      goalRecord({ goalId: status, status, finishedAt: at(1), error: { code: 'why', message: 'because' } }),
    );
    const { code, stdout } = await mesh.run(['watch', status]);
    expect(code).toBe(1);
    expect(stdout).toContain('why: because');
  });

  it('prints records as lines of JSON', async () => {
    await mesh.putTask(taskRecord({ goalId: 'json', status: 'ready' }));
    await mesh.putGoal(completed('json'));
    const lines = (await mesh.run(['watch', 'json', '--json'])).stdout.split('\n').map((line) => parsed(Told, line));
    expect(lines.map(({ kind, record }) => [kind, record.status])).toEqual([
      ['task', 'ready'],
      ['goal', 'completed'],
    ]);
  });

  it('ends with 124 when the time is up', async () => {
    await mesh.putGoal(goalRecord({ goalId: 'endless' }));
    const { code, stderr } = await mesh.run(['watch', 'endless', '--timeout-ms', '1']);
    expect(code).toBe(124);
    expect(stderr).toContain('goal endless is running and goes on (to look: conclave watch endless)');
  });
});

describe('watch on a terminal', () => {
  it('paints frames that fit, until the goal ends', async () => {
    const goalId = 'painted';
    await mesh.join(presence());
    await mesh.putGoal(goalRecord({ goalId }));
    await mesh.putTask(
      taskRecord({ goalId, status: 'in_progress', agentId: 'r-1', attempt: 1, startedAt: at(1_000), item: 1 }),
    );
    let painted = 0;
    const terminal = fakeTerminal({
      interactive: true,
      width: 60,
      rows: 8,
      now: Date.now,
      onFrame: (frame) => {
        painted += frame.includes('in_progress') ? 1 : 0;
        if (painted === 2) void mesh.putGoal(completed(goalId));
      },
    });
    const { code, stdout } = await mesh.run(['watch', goalId], terminal);
    expect([code, stdout]).toEqual([0, '']);
    expect(terminal.frames.at(-1)).toMatch(/^goal painted {2}completed/);
    for (const frame of terminal.frames) {
      expect(frame.split('\n').length).toBeLessThanOrEqual(8);
      expect(frame.split('\n').filter((line) => line.length > 60)).toEqual([]);
    }
  });

  it('stops at Ctrl-C with 130 and says that the goal goes on', async () => {
    await mesh.putGoal(goalRecord({ goalId: 'left' }));
    const terminal = fakeTerminal({ interactive: true, now: Date.now, onFrame: () => terminal.interrupt() });
    const { code, stderr } = await mesh.run(['watch', 'left'], terminal);
    expect(code).toBe(130);
    expect(stderr).toContain('goal left is running and goes on');
  });
});

describe('following a goal', () => {
  it('hears of changes by the watch, without a poll', async () => {
    const goalId = 'heard';
    await mesh.putGoal(goalRecord({ goalId }));
    const never = 3_600_000;
    const told: string[] = [];
    const writes = [
      () => mesh.putTask(taskRecord({ goalId })),
      () => mesh.putTask(taskRecord({ goalId, taskId: 'b' })),
      () => mesh.putGoal(completed(goalId)),
    ];
    for await (const event of followGoal(mesh.nc, mesh.subjects, goalId, {
      tasks: true,
      pollMs: never,
      signal: new AbortController().signal,
    })) {
      told.push(event.kind);
      await writes.shift()?.();
    }
    expect(told).toEqual(['goal', 'task', 'task', 'goal']);
  });

  it('finds what a watch that fell silent did not tell', async () => {
    const goalId = 'silent';
    await mesh.putGoal(goalRecord({ goalId }));
    const stopped = new AbortController();
    const events = followGoal(mesh.nc, mesh.subjects, goalId, { tasks: true, pollMs: 20, signal: stopped.signal });
    const revisions: number[] = [];
    let deletions = 0;
    for await (const event of events) {
      if (event.kind === 'goal' || event.kind === 'task') revisions.push(event.revision);
      if (event.kind !== 'quiet') continue;
      // Each time all was told, the watch loses its consumer on the server, which tells it nothing.
      for await (const consumer of mesh.jsm.consumers.list(mesh.subjects.dagStream)) {
        await mesh.jsm.consumers.delete(mesh.subjects.dagStream, consumer.name);
        deletions += 1;
      }
      if (deletions === 0) continue;
      if (revisions.length < 4) await mesh.putTask(taskRecord({ goalId, taskId: `t${revisions.length}` }));
      else await mesh.putGoal(completed(goalId));
    }
    expect(deletions).toBeGreaterThan(0);
    expect(revisions).toHaveLength(5);
    expect(revisions.toSorted((a, b) => a - b)).toEqual(revisions);
  });

  it('tells every revision once while many are written, and the last one last', async () => {
    const goalId = 'busy';
    await mesh.putGoal(goalRecord({ goalId }));
    const seen: number[] = [];
    const written = (async () => {
      const revisions: number[] = [];
      for (let n = 0; n < 300; n += 1)
        revisions.push(await mesh.putTask(taskRecord({ goalId, taskId: `t${n % 7}`, attempt: n })));
      revisions.push(await mesh.putGoal(completed(goalId)));
      return revisions;
    })();
    for await (const event of followGoal(mesh.nc, mesh.subjects, goalId, {
      tasks: true,
      pollMs: 1,
      signal: new AbortController().signal,
    })) {
      if (event.kind === 'goal' || event.kind === 'task') seen.push(event.revision);
    }
    const revisions = await written;
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.at(-1)).toBe(revisions.at(-1));
    // Those that were there at the start are told by their last revision alone.
    const live = revisions.slice(revisions.indexOf(seen.find((revision) => revision > (seen[1] ?? 0)) ?? 0));
    expect(live.filter((revision) => !seen.includes(revision))).toEqual([]);
  });

  it('outlives a restart of the broker', async () => {
    const broker = await startBroker();
    const other = await openTestMesh(broker.url);
    try {
      const goalId = 'survivor';
      await other.putGoal(goalRecord({ goalId }));
      const told: string[] = [];
      for await (const event of followGoal(other.nc, other.subjects, goalId, {
        tasks: false,
        pollMs: 50,
        signal: new AbortController().signal,
      })) {
        told.push(event.kind === 'goal' ? event.record.status : event.kind);
        if (event.kind === 'quiet' && !told.includes('silent')) await broker.kill('SIGKILL');
        if (event.kind === 'silent') {
          await broker.restart();
          await waitUntil(
            'the broker takes writes again',
            () => other.putGoal(completed(goalId)).catch(() => undefined),
            20_000,
          );
        }
      }
      expect(told[0]).toBe('running');
      expect(told).toContain('silent');
      expect(told.at(-1)).toBe('completed');
    } finally {
      await other.close();
      await broker.stop();
    }
  });
});
