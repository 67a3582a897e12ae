import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { encode } from '../../../shared/protocol/codec.ts';
import { waitUntil } from '../../support/wait.ts';
import { at, goalRecord, roundRecord, taskRecord } from '../../unit/cli/records.ts';
import { fakeTerminal } from '../../unit/cli/fake-terminal.ts';
import { openTestMesh, parsed, type TestMesh } from './mesh.ts';
import { startCli } from './process.ts';

let mesh: TestMesh;

const Entry = z.looseObject({
  kind: z.string(),
  sequence: z.number(),
  record: z.unknown().optional(),
  detail: z.string().optional(),
});

const now = new Date().toISOString();
const goal = goalRecord({ createdAt: now });
const { correlationId } = goal;
const message = {
  id: '1',
  sender: 'coder-1',
  receiver: 'review',
  messageType: 'ask',
  content: 'look',
  timestamp: now,
  correlationId,
  taskId: 'a',
  hops: 0,
};
const request = {
  roundId: 'r-ours',
  goalId: goal.goalId,
  taskId: 'a',
  proposal: 'ok?',
  options: ['approve'],
  rule: { method: 'majority' },
  roster: ['a'],
  deadline: now,
  correlationId,
};
const ballot = { roundId: 'r-ours', agent: 'a', position: 'approve', timestamp: now };

beforeAll(async () => {
  mesh = await openTestMesh();
  const { subjects, bus } = mesh;
  const say = (subject: string, body: unknown) => bus.publish(subject, encode(body));
  await mesh.putGoal(goal);
  const startedAt = now;
  await mesh.putTask(
    taskRecord({
      status: 'in_progress',
      agentId: 'coder-2',
      attempt: 1,
      startedAt,
      item: 1,
      candidate: { result: 1, rework: 0 },
    }),
  );
  // A neighbour, whose id begins like ours.
  await mesh.putGoal(goalRecord({ goalId: 'brief-421', createdAt: now, correlationId: 'theirs' }));
  await mesh.putTask(taskRecord({ goalId: 'brief-421' }));
  say(subjects.message('coder-1', 'review', 'ask'), message);
  say(subjects.message('coder-1', 'review', 'ask'), { ...message, id: '2', goalId: 'brief-421' });
  say(subjects.message('coder-1', 'review', 'ask'), { ...message, id: '3', correlationId: 'theirs' });
  say(subjects.message('coder-1', 'review', 'ask'), {
    ...message,
    id: '4',
    goalId: goal.goalId,
    correlationId: 'other',
    hops: -1,
  });
  say(subjects.vote('review'), { ...request, roundId: 'r-theirs', goalId: 'brief-421' });
  say(subjects.vote('review'), request);
  say(subjects.ballot('r-theirs', 'a'), { ...ballot, roundId: 'r-theirs' });
  say(subjects.ballot('r-ours', 'a'), ballot);
  bus.publish(subjects.message('coder-1', 'review', 'ask'), Buffer.from('no JSON'));
  await bus.flush();
  await mesh.putRound(roundRecord({ roundId: 'r-theirs', goalId: 'brief-421' }));
  await mesh.putRound(
    roundRecord({ roundId: 'r-ours', goalId: goal.goalId, taskId: 'a', roster: ['a'], ballots: [ballot], votes: 1 }),
  );
  await mesh.putGoal(goalRecord({ createdAt: now, status: 'completed', finishedAt: at(1), result: 1 }));
  // The broker sources the transitions into the log a moment later.
  await waitUntil(
    'the log holds everything',
    async () => (await mesh.jsm.streams.info(subjects.logStream)).state.messages === 16,
  );
});
afterAll(() => mesh.close());

describe('log', () => {
  it('tells transitions, messages and votes of this goal and of no other, in causal order', async () => {
    const { code, stdout, stderr } = await mesh.run(['log', goal.goalId, '--json']);
    expect([code, stderr]).toEqual([0, '']);
    const entries = stdout.split('\n').map((line) => parsed(Entry, line));
    // All of it was said before the broker had copied the first record; it is told after what it follows from.
    const kinds = entries.map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind !== 'unreadable' && kind !== 'message')).toEqual([
      'goal',
      'task',
      'vote',
      'ballot',
      'round',
      'goal',
    ]);
    expect(kinds.indexOf('message')).toBeGreaterThan(kinds.indexOf('task'));
    expect(kinds.indexOf('unreadable')).toBeGreaterThan(0);
    expect(kinds).toHaveLength(8);
    const of = (kind: string) => entries.find((entry) => entry.kind === kind);
    expect(of('message')).toMatchObject({
      subject: mesh.subjects.message('coder-1', 'review', 'ask'),
      record: message,
    });
    expect(of('ballot')?.record).toEqual(ballot);
    expect(of('vote')?.record).toEqual(request);
    expect(of('round')?.record).toMatchObject({ roundId: 'r-ours' });
    expect(of('unreadable')?.detail).toMatch(/^hops: /);
    expect(entries.filter(({ kind }) => kind === 'goal')).toMatchObject([
      { change: 'accept', record: { status: 'running' } },
      { change: 'finish', record: { status: 'completed' } },
    ]);
  });

  it('says so when nothing is as asked for', async () => {
    expect(await mesh.run(['log', goal.goalId, '--agent', 'stranger'])).toMatchObject({
      code: 0,
      stdout: '',
      stderr: `none of the 8 entries of goal ${goal.goalId} is as asked for`,
    });
  });

  it('prints a line for each', async () => {
    const { code, stdout, stderr } = await mesh.run(['log', goal.goalId]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.split('\n')).toHaveLength(8);
    expect(stdout).toMatch(/^\d\d:\d\d:\d\d\.\d{3}Z message {2}coder-1 → review {2}ask \(a\) {2}look$/m);
  });

  it.each([
    [
      ['--type', 'vote,ballot,round'],
      ['vote', 'ballot', 'round'],
    ],
    [['--agent', 'coder-1'], ['message']],
    [['--agent', 'coder-2'], ['task']],
    [
      ['--agent', 'a'],
      ['vote', 'ballot', 'round'],
    ],
    [
      ['--task', 'a'],
      ['task', 'message', 'vote', 'ballot', 'round'],
    ],
    [['--task', 'a', '--agent', 'a', '--type', 'ballot'], ['ballot']],
    [['--agent', 'nobody'], []],
  ])('shows only what %j asks for', async (options, kinds) => {
    const { code, stdout } = await mesh.run(['log', goal.goalId, '--json', ...options]);
    expect(code).toBe(0);
    const lines = stdout === '' ? [] : stdout.split('\n');
    expect(lines.map((line) => parsed(Entry, line).kind)).toEqual(kinds);
  });

  it('does not need the DAG bucket, which it is there to prove', async () => {
    const before = await mesh.run(['log', goal.goalId]);
    await mesh.jsm.streams.purge(mesh.subjects.dagStream);
    expect(await mesh.run(['log', goal.goalId])).toEqual(before);
  });

  it('says what was expected of its options', async () => {
    const wrong = await mesh.run(['log', goal.goalId, '--type', 'votes']);
    expect(wrong).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Expected some of goal, task, plan, cost'),
    });
    const both = await mesh.run(['log', goal.goalId, '--verify', '--mermaid']);
    expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining('cannot be used with') });
    expect(await mesh.run(['log'])).toMatchObject({ code: 2, stderr: expect.stringContaining('goalId: expected') });
    expect(await mesh.run(['log', 'none'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('knows no goal'),
    });
  });
});

describe('log of a goal that is not over', () => {
  it('says so, and follows it to its end', async () => {
    const live = goalRecord({ goalId: 'live', correlationId: 'live', createdAt: new Date().toISOString() });
    await mesh.putGoal(live);
    await waitUntil('the log has it', async () => (await mesh.run(['log', 'live'])).code === 0);
    expect((await mesh.run(['log', 'live'])).stderr).toBe('goal live is not over; --follow goes on until it is');
    const terminal = fakeTerminal({ now: Date.now });
    const following = mesh.run(['log', 'live', '--follow', '--json'], terminal);
    await waitUntil('the first record is told', () => terminal.stdout.length === 1);
    await mesh.putTask(taskRecord({ goalId: 'live', correlationId: 'live' }));
    await waitUntil('what comes later is told while it waits', () => terminal.stdout.length === 2);
    await mesh.putGoal(goalRecord({ ...live, status: 'completed', finishedAt: new Date().toISOString(), result: 1 }));
    const { code, stdout } = await following;
    expect(code).toBe(0);
    expect(stdout.split('\n').map((line) => parsed(Entry, line).kind)).toEqual(['goal', 'task', 'goal']);
  });

  it('stops following when it is told to', async () => {
    const goalId = 'open';
    await mesh.putGoal(goalRecord({ goalId, correlationId: goalId, createdAt: new Date().toISOString() }));
    await waitUntil('the log has it', async () => (await mesh.run(['log', goalId])).code === 0);
    const terminal = fakeTerminal({ now: Date.now });
    const following = mesh.run(['log', goalId, '--follow'], terminal);
    await waitUntil('it follows', () => terminal.stdout.length === 1);
    terminal.interrupt();
    expect((await following).code).toBe(130);
  });
});

describe('log of a goal that is larger than the memory of its reader', () => {
  const TASKS = 1_600;
  const HEAP_MB = 40;

  it('is told, as a story, as JSON and as a verdict', async () => {
    const goalId = 'large';
    const createdAt = new Date().toISOString();
    const counts = { total: TASKS, completed: 0, failed: 0, cancelled: 0 };
    const large = { goalId, correlationId: goalId, createdAt, tasks: counts };
    await mesh.putGoal(goalRecord(large));
    const filler = 'x'.repeat(32 * 1024);
    for (let index = 0; index < TASKS; index += 1)
      await mesh.putTask(taskRecord({ goalId, taskId: `t${index}`, correlationId: goalId, createdAt, input: filler }));
    const node = `--max-old-space-size=${HEAP_MB}`;
    const env = { NATS_URL: mesh.url, MESH: mesh.name, NODE_OPTIONS: node };
    const told = await waitUntil(
      'the log has all of it',
      async () => {
        const run = startCli(['log', goalId], { env });
        expect(await run.end(), run.stderr()).toBe(0);
        return run.stdout().trimEnd().split('\n').length === TASKS + 1 && run;
      },
      60_000,
    );
    expect(told.stdout()).toContain(`t${TASKS - 1}  created: research`);
    const json = startCli(['log', goalId, '--json'], { env });
    expect(await json.end(), json.stderr()).toBe(0);
    expect(json.stdout().length).toBeGreaterThan(TASKS * filler.length);
    expect(TASKS * filler.length).toBeGreaterThan(HEAP_MB * 1024 * 1024);
    const verdict = startCli(['log', goalId, '--verify'], { env });
    await verdict.end();
    expect(verdict.stdout()).toContain('1,601 revisions of 1,601 records');
  });
});
