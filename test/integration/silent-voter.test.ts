/** A voter that stops answering is left out of rosters, is tried again after a while, and is back when it answers. */
import { afterAll, expect, inject, test } from 'vitest';
import { connectForeign, type Foreign, jsonOf } from '../support/foreign.ts';
import type { ForeignRound } from '../support/foreign-records.ts';
import type { AgentProcess } from '../support/processes.ts';
import { waitUntil } from '../support/wait.ts';
import { meshOfFile } from './mesh.ts';
import { expectSound } from './verdict.ts';

const BREAKER = 'conclave_breaker_state{breaker="voter:sleeper"}';
/** Longer than a breaker stays open at first. */
const BACK_MS_MAX = 30_000;

let proposer: AgentProcess | undefined;
const mesh = meshOfFile('silent', async (open) => {
  proposer = await open.agent('echo1');
});
const voters: Foreign[] = [];
afterAll(() => Promise.all(voters.map((voter) => voter.close())));

/** `position`: undefined, and it takes the request and says nothing. */
async function join(id: string, position: () => string | undefined): Promise<void> {
  const { name } = mesh();
  const voter = await connectForeign(inject('natsUrl'), name, id);
  voters.push(voter);
  voter.nc.subscribe(`${name}.vote.jury`, {
    callback: (_error, { data, reply }) => {
      const { roundId, roster } = jsonOf(data) as { readonly roundId: string; readonly roster: readonly string[] };
      const said = position();
      if (!roster.includes(id) || said === undefined) return;
      const ballot = { roundId, agent: id, position: said, timestamp: new Date().toISOString() };
      voter.nc.publish(`${reply}.${id}`, JSON.stringify(ballot));
    },
  });
  await voter.nc.flush();
  await voter.announce(['jury']);
}

let goals = 0;
/** A voter is silent when this has passed. */
const SHORT_MS = 1_000;
/** Whoever answers does so before that, however busy the machine is. */
const LONG_MS = 20_000;

/** The round of one more goal. One approves and one abstains, so that only the third can decide before the deadline, which the task's time sets. */
async function nextRound(timeoutMs: number): Promise<ForeignRound> {
  const { foreign } = mesh();
  goals += 1;
  const goalId = `goal${goals}`;
  const vote = { capability: 'jury', rule: { method: 'majority' }, onReject: 'fail' };
  await foreign.submit({
    goalId,
    description: 'x',
    tasks: [{ taskId: 'work', capability: 'echo', input: {}, maxAttempts: 1, timeoutMs, vote }],
  });
  await foreign.ended(goalId);
  const rounds = (await foreign.revisions('round.*')).map(({ record }) => record as ForeignRound);
  const round = rounds.find((each) => each.goalId === goalId);
  if (round === undefined) throw new Error(`${goalId}: expected a decision of its voters, found none`);
  return round;
}

async function state(): Promise<string | undefined> {
  const lines = ((await proposer?.metrics()) ?? '').split('\n');
  return lines.find((line) => line.startsWith(BREAKER))?.slice(BREAKER.length + 1);
}

test('it is left out after some deadlines, and comes back when it answers a trial', async () => {
  let awake = false;
  await join('yes', () => 'approve');
  await join('none', () => 'abstain');
  await join('sleeper', () => (awake ? 'approve' : undefined));

  expect(await nextRound(SHORT_MS)).toMatchObject({ roster: ['none', 'sleeper', 'yes'], consensus: false });
  // How many it takes is a rule of its own; a proposer that the machine kept waiting blames nobody.
  await waitUntil('it is out', async () => (await nextRound(SHORT_MS), (await state()) === '2'), BACK_MS_MAX);
  expect((await nextRound(LONG_MS)).roster).toEqual(['none', 'yes']);

  awake = true;
  const trial = await waitUntil(
    'it is tried again',
    async () => {
      const round = await nextRound(LONG_MS);
      return round.roster.includes('sleeper') ? round : undefined;
    },
    BACK_MS_MAX,
  );
  expect(trial).toMatchObject({ consensus: true, position: 'approve', votes: 2 });
  expect(await state()).toBe('0');
  expect((await nextRound(LONG_MS)).roster).toEqual(['none', 'sleeper', 'yes']);
}, 60_000);

test('the streams are sound', async () => {
  await expectSound(mesh(), ['goal1', `goal${goals}`]);
});
