/** A stranger among voters, and a stranger who asks them. */
import { afterAll, expect, inject, test } from 'vitest';
import { connectForeign, type Foreign, jsonOf } from '../support/foreign.ts';
import { ForeignBallot, type ForeignRound } from '../support/foreign-records.ts';
import { waitUntil } from '../support/wait.ts';
import { startCli } from './cli/process.ts';
import { type ModelProcess, startModel } from './model/model-process.ts';
import { meshOfFile } from './mesh.ts';
import { expectSound } from './verdict.ts';

let model: ModelProcess | undefined;
const mesh = meshOfFile('votes', async (open) => {
  model = await startModel({ LOG_LEVEL: 'info' });
  const reviewer = { folder: 'services/reviewer', env: { OPENAI_BASE_URL: model.baseUrl } };
  await Promise.all([open.agent('reviewer1', reviewer), open.agent('reviewer2', reviewer), open.agent('echo1')]);
});
afterAll(() => model?.stop('SIGKILL'));
const foreign = () => mesh().foreign;

type Opinion = (request: Request) => { readonly position: string; readonly rationale?: string } | undefined;
interface Request {
  readonly roundId: string;
  readonly options: readonly string[];
  readonly roster: readonly string[];
  readonly deadline: string;
  readonly context?: unknown;
  readonly correlationId: string;
}

const voters: Foreign[] = [];
afterAll(() => Promise.all(voters.map((voter) => voter.close())));

/** A voter that no code of ours helps: a presence key, a subscription, and a ballot on the subject that PROTOCOL gives it. */
async function voterOf(capability: string, id: string, opinion: Opinion): Promise<Request[]> {
  const asked: Request[] = [];
  const m = mesh().name;
  const voter = await connectForeign(inject('natsUrl'), m, id);
  voters.push(voter);
  voter.nc.subscribe(`${m}.vote.${capability}`, {
    callback: (_error, message) => {
      const request = jsonOf(message.data) as Request;
      if (!request.roster.includes(id) || message.reply !== `${m}.ballot.${request.roundId}`) return;
      asked.push(request);
      const said = opinion(request);
      if (said === undefined) return;
      const ballot = { roundId: request.roundId, agent: id, timestamp: new Date().toISOString(), ...said };
      voter.nc.publish(`${message.reply}.${id}`, JSON.stringify(ballot));
    },
  });
  await voter.nc.flush();
  await voter.announce([capability]);
  return asked;
}

async function roundsOf(goalId: string): Promise<ForeignRound[]> {
  const revisions = await foreign().revisions('round.*');
  return revisions.map(({ record }) => record as ForeignRound).filter((round) => round.goalId === goalId);
}

const voted = (capability: string, vote: object) => [
  {
    taskId: 'work',
    capability: 'echo',
    input: { made: 'something' },
    vote: { capability, rule: { method: 'majority' }, ...vote },
  },
  { taskId: 'after', capability: 'echo', dependencies: ['work'] },
];

test('a task counts when strangers approve it, and the decision is stored', async () => {
  const asked = await voterOf('jury', 'juror1', () => ({ position: 'approve', rationale: 'fine' }));
  await voterOf('jury', 'juror2', () => ({ position: 'abstain' }));
  await voterOf('jury', 'juror3', () => ({ position: 'approve' }));
  await foreign().submit({ goalId: 'approved', description: 'x', tasks: voted('jury', { onReject: 'fail' }) });
  expect(await foreign().ended('approved')).toMatchObject({ status: 'completed', tasks: { total: 2, completed: 2 } });
  const rounds = await roundsOf('approved');
  expect(rounds).toHaveLength(1);
  const round = await foreign().round(rounds[0]?.roundId ?? '');
  expect(round).toMatchObject({
    goalId: 'approved',
    taskId: 'work',
    options: ['approve', 'reject'],
    roster: ['juror1', 'juror2', 'juror3'],
    consensus: true,
    position: 'approve',
    votes: 2,
    correlationId: (await foreign().goal('approved'))?.correlationId,
  });
  const counted = round?.ballots.map((ballot) => ballot.agent) ?? [];
  expect(counted).toEqual(expect.arrayContaining(['juror1', 'juror3']));
  expect(new Set(counted).size).toBe(counted.length);
  expect(asked.filter((request) => request.roundId === round?.roundId)).toHaveLength(1);
  expect(Date.parse(asked[0]?.deadline ?? '')).toBeGreaterThan(0);
});

test('a task that strangers send back is done again, with their reasons', async () => {
  let rounds = 0;
  await voterOf('critics', 'critic', () =>
    ++rounds === 1 ? { position: 'reject', rationale: 'too short' } : { position: 'approve' },
  );
  await foreign().submit({
    goalId: 'reworked',
    description: 'x',
    tasks: voted('critics', { onReject: 'rework', maxReworks: 1 }),
  });
  expect(await foreign().ended('reworked')).toMatchObject({ status: 'completed' });
  expect((await roundsOf('reworked')).map((round) => round.position)).toEqual(['reject', 'approve']);
});

test('a task that strangers refuse fails its goal for want of consensus', async () => {
  await voterOf('cynics', 'cynic', () => ({ position: 'reject', rationale: 'no' }));
  await foreign().submit({ goalId: 'refused', description: 'x', tasks: voted('cynics', { onReject: 'fail' }) });
  const goal = await foreign().ended('refused');
  expect(goal).toMatchObject({
    status: 'failed',
    error: { code: 'no_consensus' },
    tasks: { total: 2, completed: 0, failed: 1, cancelled: 1 },
  });
  expect(JSON.stringify(goal.error)).toContain('no');
});

test('ballots of others, in a wrong name, malformed or twice do not count', async () => {
  const m = mesh().name;
  await voterOf('court', 'judge1', (request) => {
    const ballot = (agent: string, position: string) =>
      JSON.stringify({ roundId: request.roundId, agent, position, timestamp: new Date().toISOString() });
    const to = (token: string, body: string) => foreign().nc.publish(`${m}.ballot.${request.roundId}.${token}`, body);
    to('outsider', ballot('outsider', 'approve'));
    to('judge2', ballot('judge3', 'approve'));
    to('judge2', '{"position":');
    to('judge2', ballot('judge2', 'maybe'));
    return { position: 'reject' };
  });
  await voterOf('court', 'judge2', () => ({ position: 'reject' }));
  await voterOf('court', 'judge3', () => ({ position: 'reject' }));
  await foreign().submit({ goalId: 'forged', description: 'x', tasks: voted('court', { onReject: 'fail' }) });
  expect(await foreign().ended('forged')).toMatchObject({ status: 'failed', error: { code: 'no_consensus' } });
  const [round] = await roundsOf('forged');
  expect(round).toMatchObject({ consensus: true, position: 'reject' });
  expect(round?.ballots.every((ballot) => ballot.position === 'reject')).toBe(true);
});

test('a stranger votes beside reviewers of this project', async () => {
  const asked = await voterOf('review', 'guest', () => ({ position: 'approve', confidence: 1 }));
  await foreign().submit({
    goalId: 'mixed',
    description: 'x',
    tasks: voted('review', { rule: { method: 'majority', quorum: 1 }, onReject: 'rework' }),
  });
  await foreign().ended('mixed');
  expect(asked.length).toBeGreaterThan(0);
  const [round] = await roundsOf('mixed');
  expect(round?.roster).toEqual(['guest', 'reviewer1', 'reviewer2']);
});

async function ask(
  roundId: string,
  more: object,
  reply = `${mesh().name}.ballot.${roundId}`,
): Promise<{ readonly subject: string; readonly ballot: unknown }[]> {
  const ballots: { subject: string; ballot: unknown }[] = [];
  foreign().nc.subscribe(`${reply}.*`, {
    callback: (_error, message) => void ballots.push({ subject: message.subject, ballot: jsonOf(message.data) }),
  });
  const request = {
    roundId,
    proposal: 'Shall we?',
    options: ['approve', 'reject'],
    rule: { method: 'majority' },
    roster: ['reviewer1', 'reviewer2'],
    deadline: new Date(Date.now() + 30_000).toISOString(),
    correlationId: roundId,
    ...more,
  };
  foreign().nc.publish(`${mesh().name}.vote.review`, JSON.stringify(request), { reply });
  await foreign().nc.flush();
  return ballots;
}

test('reviewers answer a stranger who asks them, each once and in its own name', async () => {
  const ballots = await ask('by-hand', {});
  await waitUntil('both have answered', () => ballots.length >= 2);
  for (const { subject, ballot } of ballots) {
    const { agent, position, roundId } = ForeignBallot.parse(ballot);
    expect(roundId).toBe('by-hand');
    expect(subject).toBe(`${mesh().name}.ballot.by-hand.${agent}`);
    expect(['approve', 'reject', 'abstain']).toContain(position);
  }
  expect(ballots.map(({ subject }) => String(subject.split('.').at(-1))).toSorted()).toEqual([
    'reviewer1',
    'reviewer2',
  ]);
});

test('reviewers who are not asked, asked too late, or asked to answer elsewhere are silent', async () => {
  const given: string[] = [];
  foreign().nc.subscribe(`${mesh().name}.ballot.>`, {
    callback: (_error, message) => void given.push(message.subject),
  });
  const one = await ask('only-one', { roster: ['reviewer2', 'somebody'] });
  const late = await ask('late', { deadline: new Date(Date.now() - 1_000).toISOString() });
  const elsewhere = await ask('elsewhere', {}, `${mesh().name}.inbox.stranger.elsewhere`);
  const malformed = await ask('malformed', { options: 'all of them' });
  const last = await ask('last', {});
  await waitUntil('the last request is answered by both', () => last.length === 2);
  await waitUntil('the one who was asked has answered', () => one.length === 1);
  expect(one.map(({ subject }) => subject.split('.').at(-1))).toEqual(['reviewer2']);
  expect([late, elsewhere, malformed]).toEqual([[], [], []]);
  expect(given.filter((to) => /\.ballot\.(late|elsewhere|malformed)\./.test(to))).toEqual([]);
});

test('a stranger holds a round, stores its decision, and nobody decides it again', async () => {
  const roundId = 'held-by-hand';
  const roster = ['reviewer1', 'reviewer2'];
  const openedAt = new Date().toISOString();
  const ballots = await ask(roundId, { roster });
  await waitUntil('both have answered', () => ballots.length >= roster.length);
  const counted = ballots.map(({ ballot }) => ForeignBallot.parse(ballot));
  const votes = counted.filter(({ position }) => position === 'approve').length;
  const record = {
    roundId,
    proposal: 'Shall we?',
    options: ['approve', 'reject'],
    rule: { method: 'majority' },
    roster,
    ballots: counted,
    ...(votes === 2 ? { consensus: true, position: 'approve', votes } : { consensus: false, reason: 'no_majority' }),
    correlationId: roundId,
    openedAt,
    decidedAt: new Date().toISOString(),
  };
  const bucket = await foreign().bucket();
  await bucket.create(`round.${roundId}`, JSON.stringify(record));
  await expect(bucket.create(`round.${roundId}`, JSON.stringify({ ...record, consensus: false }))).rejects.toThrow();

  // A proposer of this project that holds the same round finds that decision, and asks nobody.
  const given: string[] = [];
  foreign().nc.subscribe(`${mesh().name}.ballot.${roundId}.*`, {
    callback: (_error, message) => void given.push(message.subject),
  });
  await foreign().nc.flush();
  const args = ['vote', 'Shall we?', '--options', 'approve,reject', '--electorate', 'review', '--round-id', roundId];
  const cli = startCli([...args, '--json'], { env: { NATS_URL: mesh().url, MESH: mesh().name } });
  expect(await cli.end()).toBe(votes === 2 ? 0 : 1);
  expect(JSON.parse(cli.stdout())).toEqual(record);
  expect(given).toEqual([]);
});

test('the streams say that all of this was done once, in order, and counted right', async () => {
  const { goals } = await expectSound(mesh(), ['approved', 'reworked', 'refused', 'forged', 'mixed']);
  expect(goals).toBeGreaterThan(4);
});
