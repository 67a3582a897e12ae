/** The end of a round, told to those who still think about it. */
import { describe, expect, it } from 'vitest';
import type { Bus } from '../../../shared/ports.ts';
import { encode } from '../../../shared/protocol/codec.ts';
import { LINGER_MS } from '../../../shared/runtime/vote/collect.ts';
import { discussionId, roundOf } from '../../../shared/runtime/vote/discussion.ts';
import { RoundOver } from '../../../shared/runtime/vote/voter.ts';
import { ballotOf, mesh, subjects } from './fixture.ts';
import { voterMesh } from './voter-mesh.ts';

describe('a proposer', () => {
  async function decidedAfter(thinkMs: number) {
    const parts = mesh();
    const held = await parts.hold();
    await parts.clock.advance(thinkMs);
    for (const voter of ['v1', 'v2', 'v3']) await parts.cast(ballotOf(voter, 'approve'), voter);
    await held.result;
    return parts;
  }

  it('tells that a round is over, addressed to nobody and without its content, as soon as the decision is stored', async () => {
    const { requests, dag, broker, clock } = await decidedAfter(LINGER_MS);
    const [first, notice] = requests();
    // The clock went on by the millisecond in which the last ballot arrived.
    const deadline = new Date(clock.now() - 1).toISOString();
    expect(notice).toEqual({ ...first, proposal: '', roster: [], deadline });
    expect(broker.published.at(-1)?.reply).toBe('mesh.ballot.round');
    expect(dag.stream).toHaveLength(1);
    expect({ timers: clock.pending, subscriptions: broker.subscriptions }).toEqual({ timers: 0, subscriptions: 0 });
  });

  it('waits a moment when all answered at once, and says nothing when the last ballots come meanwhile', async () => {
    const { cast, requests, observer, broker, clock, settle } = await decidedAfter(0);
    await cast(ballotOf('v4', 'approve'), 'v4');
    await cast(ballotOf('v5', 'reject'), 'v5');
    expect({ timers: clock.pending, subscriptions: broker.subscriptions }).toEqual({ timers: 0, subscriptions: 0 });
    await settle();
    expect(requests()).toHaveLength(1);
    expect(observer.rejections.map(({ token, reason }) => `${token} ${reason}`)).toEqual(['v4 late', 'v5 late']);
  });

  it('tells when somebody is still missing after that moment', async () => {
    const { cast, requests, clock } = await decidedAfter(0);
    await cast(ballotOf('v4', 'approve'), 'v4');
    await clock.advance(LINGER_MS);
    expect(requests().map(({ roster }) => roster.length)).toEqual([5, 0]);
  });

  it('tells of all rounds that were decided about then in one go', async () => {
    const { hold, cast, requests, clock, broker } = mesh();
    const decide = async (roundId: string) => {
      const held = await hold({ roundId });
      for (const voter of ['v1', 'v2', 'v3']) await cast(ballotOf(voter, 'approve', { roundId }), voter, roundId);
      await held.result;
    };
    const told = () => requests().flatMap(({ roundId, roster }) => (roster.length === 0 ? [roundId] : []));
    await decide('first');
    await decide('second');
    await clock.advance(LINGER_MS / 2);
    await decide('third');
    expect({ told: told(), timers: clock.pending }).toEqual({ told: [], timers: 1 });
    await clock.advance(LINGER_MS / 2 - 10);
    expect({ told: told(), timers: clock.pending }).toEqual({ told: ['first', 'second'], timers: 1 });
    await clock.advance(LINGER_MS);
    expect({ told: told(), timers: clock.pending }).toEqual({ told: ['first', 'second', 'third'], timers: 0 });
    expect(broker.subscriptions).toBe(0);
  });

  it('says nothing when it ended at the deadline, where voters stop by themselves', async () => {
    const { hold, settle, requests } = mesh();
    await hold({ deadlineMs: 60 });
    await settle();
    expect(requests().map(({ roster }) => roster.length)).toEqual([5, 5]);
  });

  it('tells when it gives the round up', async () => {
    const { hold, requests } = mesh();
    const controller = new AbortController();
    const held = await hold({ signal: controller.signal });
    controller.abort(new Error('cancelled'));
    await expect(held.result).rejects.toThrow('cancelled');
    expect(requests().map(({ roster }) => roster.length)).toEqual([5, 0]);
  });

  it('counts what it told among what was said', async () => {
    const { hold, clock, cast, broker } = mesh();
    const said: number[] = [];
    const held = await hold({ onSaid: ({ bytes }) => said.push(bytes) });
    await clock.advance(LINGER_MS);
    for (const voter of ['v1', 'v2', 'v3']) await cast(ballotOf(voter, 'approve'), voter);
    await held.result;
    expect(said.at(-1)).toBe(broker.published.at(-1)?.data.length);
    expect(said).toHaveLength(5);
  });

  it('names those who were silent at the deadline, and blames nobody for a decision without them', async () => {
    const early = await decidedAfter(0);
    expect(early.observer.ends).toMatchObject([{ answered: ['v1', 'v2', 'v3'], silent: [] }]);
    const { hold, cast, settle, observer } = mesh();
    await hold({ deadlineMs: 60 });
    await cast(ballotOf('v2', 'abstain'), 'v2');
    await settle();
    expect(observer.ends).toMatchObject([{ answered: ['v2'], silent: ['v1', 'v3', 'v4', 'v5'] }]);
  });

  it('names those whose ballots came with the one that decided, and not with those that count', async () => {
    const { hold, proposer, observer } = mesh();
    let hear: Parameters<Bus['subscribe']>[1] | undefined;
    const subscribe: Bus['subscribe'] = (_subject, handle) => {
      hear = handle;
      return () => undefined;
    };
    const held = await hold({}, { ...proposer, bus: { ...proposer.bus, publish: () => undefined, subscribe } });
    for (const voter of ['v1', 'v2', 'v3', 'v4'])
      hear?.({
        subject: subjects.ballot('round', voter),
        data: encode(ballotOf(voter, 'approve')),
        reply: undefined,
        header: () => undefined,
      });
    await held.result;
    expect(observer.ends).toMatchObject([{ answered: ['v1', 'v2', 'v3'], silent: [], unheard: ['v4', 'v5'] }]);
  });

  it('blames nobody for a deadline that it slept through itself', async () => {
    const { hold, proposer, clock, settle, observer } = mesh();
    const frozen = {
      now: () => clock.now(),
      after: (delayMs: number, run: () => void) => clock.after(delayMs + 5_000, run),
    };
    await hold({ deadlineMs: 60 }, { ...proposer, clock: frozen });
    await settle();
    expect(observer.ends).toMatchObject([{ silent: [] }]);
  });
});

describe('a voter', () => {
  const over = { proposal: '', roster: [], deadline: '2030-01-01T00:00:00.001Z' };
  const looks: string[] = [];
  const isOver = (answer: boolean) => (roundId: string, goalId: string | undefined) => {
    looks.push(`${roundId} ${String(goalId)}`);
    return Promise.resolve(answer);
  };

  it('stops thinking when it is told and the store bears it out, and gives no ballot', async () => {
    const { ask, ponderings, ignored, ballots, observer, clock } = voterMesh({}, { isOver: isOver(true) });
    await ask({ goalId: 'goal' });
    await ask(over);
    expect(looks.splice(0)).toEqual(['round goal']);
    expect(ponderings[0]?.signal.reason).toBeInstanceOf(RoundOver);
    expect(ignored()).toEqual(['over']);
    expect({ ballots: ballots(), failures: observer.failures, timers: clock.pending }).toEqual({
      ballots: [],
      failures: [],
      timers: 0,
    });
  });

  it('goes on when it is told what is not so: nobody silences it by a word', async () => {
    const { ask, ponderings, ballots, clock } = voterMesh({}, { isOver: isOver(false) });
    await ask();
    await ask(over);
    await ask({ ...over, roundId: 'another' });
    expect(looks.splice(0)).toEqual(['round undefined']);
    expect(ponderings[0]?.signal.aborted).toBe(false);
    ponderings[0]?.conclude({ position: 'approve' });
    await clock.advance(1);
    expect(ballots()).toEqual(['mesh.ballot.round.v1 approve']);
  });

  it('asks the store once at a time, and goes on when that does not answer', async () => {
    const answer = Promise.withResolvers<boolean>();
    let asked = 0;
    const slow = () => {
      asked += 1;
      return answer.promise;
    };
    const { ask, ponderings, observer, clock } = voterMesh({}, { isOver: slow });
    await ask();
    for (let times = 0; times < 5; times += 1) await ask(over);
    expect(asked).toBe(1);
    answer.reject(new Error('no answer'));
    await clock.advance(1);
    expect(observer.failures).toMatchObject([{ step: 'look', roundId: 'round' }]);
    expect(ponderings[0]?.signal.aborted).toBe(false);
  });

  it('drops a round that waits for its turn', async () => {
    const { ask, ponderings, ignored, clock } = voterMesh({ concurrency: 1 }, { isOver: isOver(true) });
    await ask({ roundId: 'first' });
    await ask({ roundId: 'second' });
    await ask({ ...over, roundId: 'second' });
    ponderings[0]?.conclude({ position: 'approve' });
    await clock.advance(1);
    expect(ignored()).toEqual(['over']);
    expect(ponderings).toHaveLength(1);
    looks.splice(0);
  });

  it('gives no ballot when its decision does not heed the signal', async () => {
    const stubborn = Promise.withResolvers<{ position: string }>();
    const { ask, ballots, ignored, clock } = voterMesh({ decide: () => stubborn.promise }, { isOver: isOver(true) });
    await ask();
    await ask(over);
    stubborn.resolve({ position: 'approve' });
    await clock.advance(1);
    expect({ ballots: ballots(), ignored: ignored() }).toEqual({ ballots: [], ignored: ['over'] });
    looks.splice(0);
  });

  it('looks for the decision of the round when it is at a later discussion of it', async () => {
    const second = discussionId('round', 2);
    const { ask, ignored } = voterMesh({}, { isOver: isOver(true) });
    await ask({ roundId: second });
    await ask({ ...over, roundId: second });
    expect(looks.splice(0)).toEqual(['round undefined']);
    expect(ignored()).toEqual(['over']);
  });

  it('answers no request that is addressed to nobody', async () => {
    const { broker, clock, observer, ballots } = voterMesh();
    broker.connect('raw').publish(subjects.vote('review'), encode({ ...request(), ...over }), {
      reply: 'mesh.ballot.round',
    });
    await clock.advance(1);
    expect({ ballots: ballots(), ignores: observer.ignores }).toEqual({ ballots: [], ignores: [] });
  });

  const request = () => ({
    roundId: 'round',
    options: ['approve'],
    rule: { method: 'majority' },
    correlationId: 'c-1',
  });
});

describe('the round of a discussion', () => {
  it('is found by its id, and an id that only looks like one is its own', () => {
    const forty = 'x'.repeat(40);
    for (const round of ['round', 'a-d2-b', forty]) {
      for (const number of [1, 2, 16]) expect(roundOf(discussionId(round, number))).toBe(round);
    }
    const long = `${forty}y`;
    expect(roundOf(discussionId(long, 2))).toBe(discussionId(long, 2));
    expect(roundOf('round-d2-0123456789abcdef')).toBe('round-d2-0123456789abcdef');
  });
});
