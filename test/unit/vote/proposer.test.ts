import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { encode } from '../../../shared/protocol/codec.ts';
import { RoundRecord } from '../../../shared/protocol/vote.ts';
import { RoundRefused } from '../../../shared/runtime/vote/collect.ts';
import type { HoldSpec } from '../../../shared/runtime/vote/proposer.ts';
import type { MemoryBus } from '../../support/memory-bus.ts';
import { MemoryDag } from '../../support/memory-dag.ts';
import { ballotOf, mesh, RecordingRoundObserver, subjects } from './fixture.ts';

/** What the store holds for a round: the record and how often it was written. */
function stored(dag: MemoryDag, roundId = 'round') {
  const writes = dag.stream.filter(({ subject }) => subject === subjects.dagSubject(`round.${roundId}`));
  return writes.map(({ data }) => RoundRecord.parse(JSON.parse(new TextDecoder().decode(data))));
}

describe('holdRound', () => {
  it('asks with the round as reply subject, stops as soon as the outcome is settled, and stores it', async () => {
    const { hold, cast, dag, broker, clock, observer, requests, settle } = mesh();
    const held = await hold({ goalId: 'goal', taskId: 'task' });
    expect(broker.published[0]).toMatchObject({ subject: 'mesh.vote.review', reply: 'mesh.ballot.round' });
    const [request] = requests();
    expect(request).toMatchObject({ roundId: 'round', goalId: 'goal', deadline: '2030-01-01T00:00:03.000Z' });
    expect(request?.rule).toEqual({ method: 'majority', quorum: 3 });

    await cast(ballotOf('v1', 'approve', { rationale: 'sound' }), 'v1');
    await cast(ballotOf('v2', 'approve'), 'v2');
    expect(await held.ended()).toBe(false);
    await cast(ballotOf('v4', 'approve'), 'v4');
    expect(await held.ended()).toBe(true);

    const record = await held.result;
    expect(record).toMatchObject({ consensus: true, position: 'approve', votes: 3, goalId: 'goal', taskId: 'task' });
    expect(record.rule).toEqual({ method: 'majority' });
    expect(record.ballots.map(({ agent }) => agent)).toEqual(['v1', 'v2', 'v4']);
    expect(stored(dag)).toEqual([record]);
    expect(observer.decisions).toMatchObject([{ outcome: 'consensus', method: 'majority', created: true }]);
    await settle();
    expect({ timers: clock.pending, subscriptions: broker.subscriptions }).toEqual({ timers: 0, subscriptions: 0 });
  });

  it('tells what it said and what it counted, byte for byte, and nothing of what it did not count', async () => {
    const { hold, cast, broker } = mesh();
    const said: Parameters<NonNullable<HoldSpec['onSaid']>>[0][] = [];
    const held = await hold({ onSaid: (event) => void said.push(event) });
    const ballots = ['v1', 'v2', 'v4'].map((agent) => ballotOf(agent, 'approve', { rationale: `é of ${agent}` }));
    await cast(ballotOf('v1', 'approve'), 'stranger');
    for (const ballot of ballots) await cast(ballot, ballot.agent);
    await held.result;
    expect(said).toEqual([
      { type: 'vote', bytes: broker.published[0]?.data.length, voters: 5, again: false },
      ...ballots.map((ballot) => ({ type: 'ballot', bytes: encode(ballot).length })),
    ]);
  });

  it('listens before it asks', async () => {
    const { proposer, hold, requests } = mesh();
    const order: string[] = [];
    const { bus } = proposer;
    const watched: typeof bus = {
      publish: (...args) => {
        order.push('publish');
        bus.publish(...args);
      },
      subscribe: (...args) => {
        order.push('subscribe');
        return bus.subscribe(...args);
      },
      flush: () => bus.flush(),
    };
    await hold({}, { ...proposer, bus: watched });
    expect(order).toEqual(['subscribe', 'publish']);
    expect(requests()).toHaveLength(1);
  });

  it('ends at the deadline with what it has', async () => {
    const { hold, cast, settle } = mesh();
    const held = await hold();
    await cast(ballotOf('v1', 'approve'), 'v1');
    await settle();
    expect(await held.result).toMatchObject({
      consensus: false,
      reason: 'insufficient_votes',
      decidedAt: '2030-01-01T00:00:03.000Z',
    });
  });

  it('reports every ballot that does not count', async () => {
    const { hold, cast, observer, broker, settle } = mesh();
    await hold();
    await cast(ballotOf('v1', 'approve'), 'v1');
    await cast(ballotOf('v1', 'approve'), 'v1');
    await cast(ballotOf('v1', 'reject'), 'v1');
    await cast(ballotOf('v2', 'approve'), 'v3');
    await cast(ballotOf('v9', 'approve'), 'v9');
    await cast(ballotOf('v2', 'approve', { roundId: 'other' }), 'v2');
    await cast(ballotOf('v2', 'maybe'), 'v2');
    await cast({ agent: 'v2' }, 'v2');
    broker.connect('raw').publish(subjects.ballot('round', 'v2'), new Uint8Array([0xff, 0xfe]));
    await settle();
    expect(observer.rejections.map(({ token, reason }) => `${token} ${reason}`)).toEqual([
      'v1 duplicate',
      'v1 contradiction',
      'v3 agent_mismatch',
      'v9 off_roster',
      'v2 wrong_round',
      'v2 unknown_position',
      'v2 malformed',
      'v2 malformed',
    ]);
    expect(observer.counts.map(({ ballot }) => ballot.agent)).toEqual(['v1']);
  });

  it('asks those who have not answered once more, under the quorum of the whole roster', async () => {
    const { hold, cast, clock, requests, observer } = mesh();
    await hold();
    await cast(ballotOf('v2', 'approve'), 'v2');
    await clock.advance(1_100);
    const [first, second] = requests();
    expect(second).toEqual({ ...first, roster: ['v1', 'v3', 'v4', 'v5'] });
    expect(second?.rule.quorum).toBe(3);
    await clock.advance(1_800);
    expect(requests()).toHaveLength(2);
    expect(observer.asks.map(({ again }) => again)).toEqual([false, true]);
  });

  it('asks in waves with ahead-by-k', async () => {
    const { hold, cast, requests } = mesh();
    const held = await hold({ rule: { method: 'ahead-by-k', k: 2, quorum: 2 } });
    await cast(ballotOf('v1', 'approve'), 'v1');
    await cast(ballotOf('v2', 'reject'), 'v2');
    await cast(ballotOf('v3', 'reject'), 'v3');
    await cast(ballotOf('v4', 'reject'), 'v4');
    expect(requests().map(({ roster }) => roster)).toEqual([
      ['v1', 'v2'],
      ['v3', 'v4'],
    ]);
    expect(await held.result).toMatchObject({ position: 'reject', votes: 3, roster: ['v1', 'v2', 'v3', 'v4', 'v5'] });
  });

  it('freezes the roster, each voter once (I8)', async () => {
    const { hold, requests, settle } = mesh();
    const roster = ['v1', 'v2', 'v1'];
    const held = await hold({ roster });
    roster.push('v3');
    await settle();
    expect(requests()[0]?.roster).toEqual(['v1', 'v2']);
    expect((await held.result).roster).toEqual(['v1', 'v2']);
  });
});

describe('one decision per round (I7)', () => {
  it('returns a decision that stands without asking anybody', async () => {
    const { hold, settle, requests, broker } = mesh();
    const first = await hold({ deadlineMs: 10 });
    await settle();
    const asked = requests().length;
    const second = await hold({ proposal: 'Another' });
    expect(await second.result).toEqual(await first.result);
    expect(requests()).toHaveLength(asked);
    expect(broker.subscriptions).toBe(0);
  });

  it('two proposers that saw different ballots get the same one', async () => {
    const { hold, proposer, broker, dag, settle, clock } = mesh();
    const observer = new RecordingRoundObserver();
    const other = { ...proposer, bus: broker.connect('other'), agentId: 'other', observer };
    const one = await hold({ roster: ['v1'], deadlineMs: 1_000 });
    const two = await hold({ roster: ['v1'], deadlineMs: 500 }, other);
    // The only ballot comes between the two deadlines: the first proposer would approve what the second has ended already.
    await clock.advance(600);
    broker.connect('v1').publish(subjects.ballot('round', 'v1'), encode(ballotOf('v1', 'approve')));
    await settle();
    expect(await one.result).toEqual(await two.result);
    expect((await one.result).consensus).toBe(false);
    expect(stored(dag)).toHaveLength(1);
    expect(observer.decisions).toMatchObject([{ created: true }]);
    expect(dag.counts.conflicts).toBe(1);
  });

  it('finds its own decision when the store did not answer', async () => {
    const { hold, proposer, settle, observer } = mesh();
    const store = new MemoryDag({ subjects, faults: { unknown: 1 } });
    const held = await hold({ deadlineMs: 10 }, { ...proposer, store });
    await settle();
    expect(stored(store)).toEqual([await held.result]);
    expect(observer.decisions).toMatchObject([{ created: true }]);
  });

  it('fails when the store took nothing, and the same round can be held again', async () => {
    const { hold, proposer, settle, dag } = mesh();
    const store = new MemoryDag({ subjects, faults: { refused: 1 } });
    const held = await hold({ deadlineMs: 10 }, { ...proposer, store });
    await settle();
    await expect(held.result).rejects.toThrow('no answer');
    const again = await hold({ deadlineMs: 10 });
    await settle();
    expect(stored(dag)).toEqual([await again.result]);
  });

  it('says what is wrong when something else stands under the key of the round', async () => {
    const { hold, dag } = mesh();
    await dag.commit([{ subject: subjects.dagSubject('round.round'), data: encode({ hello: 1 }) }]);
    await expect((await hold()).result).rejects.toThrow(/round\.round: expected the record of a vote round/);
  });
});

describe('limits', () => {
  it.each([
    ['no time', { deadlineMs: 0 }, /deadlineMs: expected more than 0/],
    ['no number as time', { deadlineMs: Number.NaN }, /deadlineMs/],
    ['a capability of two tokens', { capability: 'a.b' }, /capability: expected an id, got "a\.b"/],
    ['a wildcard as task', { taskId: '>' }, /taskId: expected an id/],
    ['a round id with a blank', { roundId: 'a b' }, /roundId: expected 1 to 64 characters/],
    ['abstaining as an option', { options: ['abstain'] }, /options\.0: "abstain" is presence/],
    ['a negative weight', { rule: { method: 'weighted', weights: { v1: -1 } } }, /rule\.weights\.v1/],
    [
      'a context too large',
      { context: 'x'.repeat(1_100_000) },
      /the request may take \d+ bytes, expected at most 1000000/,
    ],
    [
      'a roster too large',
      { roster: Array.from({ length: 9_000 }, (_, at) => `v${at}`) },
      /the decision of 9000 voters may/,
    ],
  ] as const)('refuses %s before it asks', async (_name, spec, message) => {
    const { hold, broker } = mesh();
    const { result } = await hold(spec);
    await expect(result).rejects.toThrow(message);
    await expect(result).rejects.toBeInstanceOf(RoundRefused);
    expect(broker.published).toEqual([]);
  });

  it('shortens rationales where the decision would not fit into one message', async () => {
    const { hold, cast, dag } = mesh();
    const roster = Array.from({ length: 5 }, (_, index) => `v${index}`);
    const held = await hold({ roster, rule: { method: 'majority', quorum: 5 } });
    // 65,536 control characters are 393,216 bytes of JSON.
    for (const voter of roster) await cast(ballotOf(voter, 'approve', { rationale: '\u0001'.repeat(65_536) }), voter);
    const record = await held.result;
    expect(record).toMatchObject({ consensus: true, votes: 5 });
    const bytes = dag.stream[0]?.data.byteLength ?? 0;
    expect(bytes).toBeLessThanOrEqual(1_000_000);
    expect(bytes).toBeGreaterThan(900_000);
  });

  it('leaves no listener on a signal that outlives it', async () => {
    const { hold, settle } = mesh();
    const { signal } = new AbortController();
    await hold({ signal, rule: { method: 'majority', maxRounds: 3 } });
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    await settle();
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('leaves nothing behind when it is aborted', async () => {
    const { hold, cast, broker, clock, dag } = mesh();
    const controller = new AbortController();
    const held = await hold({ signal: controller.signal });
    await cast(ballotOf('v1', 'approve'), 'v1');
    controller.abort(new Error('the task was cancelled'));
    await expect(held.result).rejects.toThrow('the task was cancelled');
    expect({ timers: clock.pending, subscriptions: broker.subscriptions }).toEqual({ timers: 0, subscriptions: 0 });
    expect(dag.stream).toEqual([]);
  });

  it('asks nobody when it is aborted before', async () => {
    const { hold, broker, dag } = mesh();
    const held = await hold({ signal: AbortSignal.abort(new Error('too late')) });
    await expect(held.result).rejects.toThrow('too late');
    expect({ published: broker.published, stream: dag.stream }).toEqual({ published: [], stream: [] });
  });

  it('fails, and leaves nothing behind, when the bus does', async () => {
    const { hold, broker, clock, proposer } = mesh();
    const closed: MemoryBus = broker.connect('closed');
    const bus = { ...closedAfterSubscribe(closed), flush: () => closed.flush() };
    const held = await hold({}, { ...proposer, bus });
    await expect(held.result).rejects.toThrow('closed: the connection is closed');
    expect({ timers: clock.pending, subscriptions: broker.subscriptions }).toEqual({ timers: 0, subscriptions: 0 });
  });
});

/** A connection that is lost between listening and asking. */
function closedAfterSubscribe(bus: MemoryBus) {
  return {
    subscribe: (...args: Parameters<MemoryBus['subscribe']>) => {
      const unsubscribe = bus.subscribe(...args);
      bus.close();
      return unsubscribe;
    },
    publish: (...args: Parameters<MemoryBus['publish']>) => bus.publish(...args),
  };
}
