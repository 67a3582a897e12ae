import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { encode } from '../../../shared/protocol/codec.ts';
import { waitUntil } from '../../support/wait.ts';
import { at, goalRecord, roundRecord, taskRecord } from '../../unit/cli/records.ts';
import { openTestMesh, parsed, type TestMesh } from './mesh.ts';

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
  hops: 0,
};
const request = {
  roundId: 'r-ours',
  goalId: goal.goalId,
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
  await mesh.putTask(taskRecord({ status: 'ready' }));
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
  await mesh.putRound(roundRecord({ roundId: 'r-ours', goalId: goal.goalId }));
  await mesh.putGoal(goalRecord({ createdAt: now, status: 'completed', finishedAt: at(1), result: 1 }));
  // The broker sources the transitions into the log a moment later.
  await waitUntil(
    'the log holds everything',
    async () => (await mesh.jsm.streams.info(subjects.logStream)).state.messages === 16,
  );
});
afterAll(() => mesh.close());

describe('log', () => {
  it('tells transitions, messages and votes of this goal and of no other', async () => {
    const { code, stdout, stderr } = await mesh.run(['log', goal.goalId, '--json']);
    expect([code, stderr]).toEqual([0, '']);
    const entries = stdout.split('\n').map((line) => parsed(Entry, line));
    const kinds = entries.map(({ kind }) => kind);
    expect(kinds.toSorted((a, b) => a.localeCompare(b))).toEqual([
      'ballot',
      'goal',
      'goal',
      'message',
      'round',
      'task',
      'unreadable',
      'vote',
    ]);
    expect(entries.map(({ sequence }) => sequence)).toEqual(
      entries.map(({ sequence }) => sequence).toSorted((a, b) => a - b),
    );
    const of = (kind: string) => entries.find((entry) => entry.kind === kind);
    expect(of('message')).toMatchObject({
      subject: mesh.subjects.message('coder-1', 'review', 'ask'),
      record: message,
    });
    expect(of('ballot')?.record).toEqual(ballot);
    expect(of('vote')?.record).toEqual(request);
    expect(of('round')?.record).toMatchObject({ roundId: 'r-ours' });
    expect(of('unreadable')?.detail).toMatch(/^hops: /);
    expect(entries.filter(({ kind }) => kind === 'goal').map(({ record }) => record)).toMatchObject([
      { status: 'running' },
      { status: 'completed' },
    ]);
  });

  it('prints a line for each', async () => {
    const { code, stdout } = await mesh.run(['log', goal.goalId]);
    expect(code).toBe(0);
    expect(stdout.split('\n')).toHaveLength(8);
    expect(stdout).toMatch(/^\d\d:\d\d:\d\d\.\d{3} message {2}coder-1 → review {2}ask {2}look$/m);
  });
});
