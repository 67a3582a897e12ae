/** The same vote rounds on the memory bus and store, and on a real broker: what the simulation proves of the one must hold on the other. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { natsBus } from '../../shared/adapters/nats-bus.ts';
import { connectBroker } from '../../shared/adapters/nats-connect.ts';
import { natsDagStore } from '../../shared/adapters/nats-dag.ts';
import { ballotRecall } from '../../shared/adapters/nats-log.ts';
import { ensureStreams } from '../../shared/adapters/streams.ts';
import type { Bus, Clock, DagStore } from '../../shared/ports.ts';
import { encode } from '../../shared/protocol/codec.ts';
import { timestamp } from '../../shared/protocol/ids.ts';
import { type Subjects, subjectsOf } from '../../shared/protocol/subjects.ts';
import { Ballot, type RoundRecord } from '../../shared/protocol/vote.ts';
import { systemClock } from '../../shared/runtime/broker.ts';
import { readDecision } from '../../shared/runtime/vote/decision.ts';
import { type HoldSpec, holdRound } from '../../shared/runtime/vote/proposer.ts';
import { serveVotes, type VoterOptions } from '../../shared/runtime/vote/voter.ts';
import { MemoryBroker, VirtualClock } from '../support/memory-bus.ts';
import { MemoryDag } from '../support/memory-dag.ts';
import { waitUntil } from '../support/wait.ts';
import { RecordingRoundObserver, RecordingVoterObserver } from '../unit/vote/fixture.ts';

/** One process on the mesh. */
interface Peer {
  readonly bus: Bus;
  readonly store: DagStore;
  /** The ballot of this agent that the log holds. */
  recall(agentId: string): (roundId: string) => Promise<Ballot | undefined>;
  /** Ends it as a crash does: nothing more goes out or comes in. */
  kill(): Promise<void>;
}

interface Mesh {
  readonly subjects: Subjects;
  readonly clock: Clock;
  peer(name: string): Promise<Peer>;
  /** Resolves as `work` does; in memory it makes time pass. */
  during<T>(work: Promise<T>): Promise<T>;
  /** Revisions of the record of a round that were ever written. */
  revisions(roundId: string): Promise<number>;
  end(): Promise<void>;
}

function memoryMesh(): Promise<Mesh> {
  const clock = new VirtualClock();
  const subjects = subjectsOf('mesh');
  const broker = new MemoryBroker({ clock, latencyMs: 1 });
  const dag = new MemoryDag({ subjects, clock, latencyMs: 1 });
  const peer = (name: string): Promise<Peer> => {
    const bus = broker.connect(name);
    const recall = (agentId: string) => (roundId: string) => {
      const said = broker.published.findLast(({ subject }) => subject === subjects.ballot(roundId, agentId));
      return Promise.resolve(said && Ballot.parse(JSON.parse(new TextDecoder().decode(said.data))));
    };
    return Promise.resolve({ bus, store: dag, recall, kill: () => Promise.resolve(bus.close()) });
  };
  return Promise.resolve({
    subjects,
    clock,
    peer,
    during: async (work) => {
      let over = false;
      const ended = work.finally(() => (over = true));
      await clock.run(() => over);
      return ended;
    },
    revisions: (roundId) => {
      const subject = subjects.dagSubject(subjects.roundKey(roundId));
      return Promise.resolve(dag.stream.filter((written) => written.subject === subject).length);
    },
    end: () => Promise.resolve(),
  });
}

async function natsMesh(): Promise<Mesh> {
  const subjects = subjectsOf(`rounds-${randomUUID().slice(0, 8)}`);
  const connections: Awaited<ReturnType<typeof connectBroker>>[] = [];
  const connection = async (name: string) => {
    const nc = await connectBroker({ url: inject('natsUrl'), name });
    connections.push(nc);
    return nc;
  };
  const admin = await connection('admin');
  await ensureStreams(admin, subjects, { replicas: 1 });
  return {
    subjects,
    clock: systemClock,
    peer: async (name) => {
      const nc = await connection(name);
      const recall = (agentId: string) => ballotRecall(nc, subjects, agentId, () => true);
      return {
        bus: natsBus(nc, [subjects.ballotsOfRounds]),
        store: natsDagStore(nc, subjects),
        recall,
        kill: () => nc.close(),
      };
    },
    during: (work) => work,
    revisions: async (roundId) => {
      const filter = { subjects_filter: subjects.dagSubject(subjects.roundKey(roundId)) };
      const answer = await admin.request(`$JS.API.STREAM.INFO.${subjects.dagStream}`, JSON.stringify(filter));
      const info: { state: { subjects?: Record<string, number> } } = answer.json();
      return Object.values(info.state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
    },
    end: async () => {
      await Promise.all(connections.map((nc) => nc.close()));
    },
  };
}

describe.each([
  ['in memory', memoryMesh],
  ['on NATS', natsMesh],
] as const)('a vote round %s', (_on, open) => {
  let mesh: Mesh;
  beforeEach(async () => {
    mesh = await open();
  });
  afterEach(() => mesh.end());

  const ROSTER = ['v1', 'v2', 'v3', 'v4', 'v5'];
  const SPEC: HoldSpec = {
    roundId: 'round',
    capability: 'review',
    proposal: 'Ship it',
    options: ['approve', 'reject'],
    rule: { method: 'majority' },
    roster: ROSTER,
    // Far off: a round that does not end by its ballots fails the test by its timeout.
    deadlineMs: 120_000,
    correlationId: 'c-1',
    signal: new AbortController().signal,
  };

  async function proposer(name: string, clock: Clock = mesh.clock) {
    const { bus, store, kill } = await mesh.peer(name);
    const observer = new RecordingRoundObserver();
    const deps = { bus, store, clock, subjects: mesh.subjects, agentId: name, observer };
    const hold = (spec: Partial<HoldSpec> = {}): Promise<RoundRecord> => holdRound(deps, { ...SPEC, ...spec });
    return { deps, observer, hold, kill };
  }

  async function voter(agentId: string, decide: VoterOptions['decide'], remembers = false) {
    const peer = await mesh.peer(agentId);
    const observer = new RecordingVoterObserver();
    const { subjects, clock } = mesh;
    const recall = remembers ? { recall: peer.recall(agentId) } : {};
    const deps = { bus: peer.bus, clock, subjects, observer, ...recall };
    serveVotes(deps, { agentId, capabilities: ['review'], concurrency: 4, queueMax: 4, decide });
    await mesh.during(peer.bus.flush());
    return { ...peer, observer };
  }

  /** A request for one ballot of v1, as a proposer sends it. */
  const request = () => ({
    roundId: 'round',
    proposal: 'Ship it',
    options: ['approve', 'reject'],
    rule: { method: 'majority' },
    roster: ['v1'],
    deadline: timestamp(mesh.clock.now() + 60_000),
    correlationId: 'c-1',
  });

  const saying = (position: string) => () => Promise.resolve({ position });

  it('ends with the ballot that settles it; nothing but ballots arrives, and the decision can be read', async () => {
    for (const agentId of ROSTER) await voter(agentId, saying('approve'));
    const { hold, observer, deps } = await proposer('p1');
    const record = await mesh.during(hold());
    expect(record).toMatchObject({ consensus: true, position: 'approve', votes: 3, roster: ROSTER });
    // The broker's log captures requests: an acknowledgement of its own would arrive here as a malformed ballot.
    expect(observer.rejections.filter(({ reason }) => reason !== 'late')).toEqual([]);
    expect(await mesh.during(readDecision(deps, 'round'))).toEqual(record);
    expect(await mesh.revisions('round')).toBe(1);
  });

  it('has one decision, whoever holds it and however often (I7)', async () => {
    for (const agentId of ROSTER) await voter(agentId, saying(agentId < 'v4' ? 'approve' : 'reject'));
    const proposers = await Promise.all(['p1', 'p2', 'p3'].map((name) => proposer(name)));
    const records = await mesh.during(Promise.all(proposers.map(({ hold }) => hold())));
    for (const record of records) expect(record).toEqual(records[0]);
    expect(await mesh.revisions('round')).toBe(1);
    expect(proposers.flatMap(({ observer }) => observer.decisions).filter(({ created }) => created)).toHaveLength(1);

    const late = await proposer('p4');
    expect(await mesh.during(late.hold())).toEqual(records[0]);
    expect(late.observer.asks).toEqual([]);
  });

  it('survives the death of its proposer: whoever takes over gets the ballots once more', async () => {
    const asked = Promise.withResolvers<void>();
    const answers: Record<string, number> = {};
    for (const agentId of ROSTER) {
      await voter(agentId, () => {
        answers[agentId] = (answers[agentId] ?? 0) + 1;
        if (agentId === 'v5') asked.resolve();
        // Too few of them to decide while the first proposer lives.
        return Promise.resolve({ position: agentId < 'v3' ? 'approve' : 'abstain' });
      });
    }
    const first = await proposer('p1');
    const abandoned = new AbortController();
    const lost = first.hold({ rule: { method: 'unanimous' }, roster: [...ROSTER, 'v6'], signal: abandoned.signal });
    lost.catch(() => {});
    await mesh.during(asked.promise);
    await first.kill();
    abandoned.abort(new Error('dead'));
    const second = await proposer('p2');
    const record = await mesh.during(second.hold({ rule: { method: 'majority', quorum: 2 } }));
    expect(record).toMatchObject({ consensus: true, position: 'approve', votes: 2 });
    // Asked by both, each voter decided once.
    expect(new Set(Object.values(answers))).toEqual(new Set([1]));
  });

  it('counts no ballot that is malformed, forged, off the roster, of another round, or a second one (I8)', async () => {
    const { subjects } = mesh;
    const { hold, observer } = await proposer('p1');
    const stranger = await mesh.peer('stranger');
    const requested = Promise.withResolvers<void>();
    stranger.bus.subscribe(subjects.vote('review'), () => requested.resolve());
    await mesh.during(stranger.bus.flush());
    const send = (token: string, fields: object) => {
      const ballot = { roundId: 'round', agent: token, position: 'approve', timestamp: timestamp(mesh.clock.now()) };
      stranger.bus.publish(subjects.ballot('round', token), encode({ ...ballot, ...fields }));
    };
    const held = hold();
    // Whoever has seen the request finds its proposer listening.
    await mesh.during(requested.promise);
    stranger.bus.publish(subjects.ballot('round', 'v1'), new Uint8Array([0x7b]));
    send('v1', { position: 'perhaps' });
    send('v1', { roundId: 'another' });
    send('v1', { agent: 'v2' });
    send('stranger', {});
    send('v1', { position: 'reject' });
    send('v1', { position: 'reject' });
    send('v1', {});
    send('v2', {});
    send('v3', {});
    send('v4', {});
    const record = await mesh.during(held);
    expect(record).toMatchObject({ position: 'approve', votes: 3 });
    expect(record.ballots.map(({ agent, position }) => `${agent} ${position}`).toSorted()).toEqual([
      'v1 reject',
      'v2 approve',
      'v3 approve',
      'v4 approve',
    ]);
    expect(observer.rejections.map(({ token, reason }) => `${token} ${reason}`)).toEqual([
      'v1 malformed',
      'v1 unknown_position',
      'v1 wrong_round',
      'v1 agent_mismatch',
      'stranger off_roster',
      'v1 duplicate',
      'v1 contradiction',
    ]);
  });

  it('reaches a voter that was not there at first, by asking once more', async () => {
    // Timers that a test runs by hand: the first of a round is its nudge.
    const timers: (() => void)[] = [];
    const after: Clock['after'] = (_delayMs, run) => {
      timers.push(run);
      return () => {};
    };
    const { hold, observer } = await proposer('p1', { now: () => mesh.clock.now(), after });
    const counted = Promise.withResolvers<void>();
    observer.counted = () => counted.resolve();
    await voter('v1', saying('reject'));
    const held = hold({ roster: ['v1', 'v2'] });
    await mesh.during(counted.promise);
    await voter('v2', saying('reject'));
    timers[0]?.();
    expect(await mesh.during(held)).toMatchObject({ consensus: true, position: 'reject', votes: 2 });
    expect(observer.asks.map(({ voters }) => voters)).toEqual([['v1', 'v2'], ['v2']]);
  });

  it('gets from a voter that was restarted the ballot that the log holds', async () => {
    const first = await voter('v1', saying('reject'));
    const { hold } = await proposer('p1');
    const before = await mesh.during(hold({ roster: ['v1'] }));
    // The broker stores its log behind the delivery.
    await waitUntil('the log holds the ballot', () => first.recall('v1')('round'));
    await first.kill();

    const { observer } = await voter('v1', saying('approve'), true);
    const answered = Promise.withResolvers<Ballot>();
    observer.answered = ({ ballot }) => answered.resolve(ballot);
    const { bus } = await mesh.peer('p2');
    bus.publish(mesh.subjects.vote('review'), encode(request()), { reply: mesh.subjects.ballots('round') });
    expect(await mesh.during(answered.promise)).toEqual(before.ballots[0]);
  });

  it('ends at its deadline without its voters', async () => {
    const { hold } = await proposer('p1');
    const record = await mesh.during(hold({ deadlineMs: 60 }));
    expect(record).toMatchObject({ consensus: false, reason: 'insufficient_votes', ballots: [] });
  });

  it('gets no answer to a reply subject that is not its own', async () => {
    const { subjects } = mesh;
    const { bus } = await mesh.peer('attacker');
    const { observer } = await voter('v1', saying('approve'));
    const heard: string[] = [];
    const ballots = `${subjects.mesh}.ballot.`;
    bus.subscribe('>', ({ subject }) => heard.push(subject));
    const ignored = Promise.withResolvers<void>();
    observer.ignored = ({ reason }) => (reason === 'foreign_reply' ? ignored.resolve() : undefined);
    const aimed = { reply: `$JS.API.STREAM.DELETE.${subjects.dagStream}` };
    bus.publish(subjects.vote('review'), encode(request()), aimed);
    await mesh.during(ignored.promise);
    // The next honest round is answered, and nothing came before it.
    const { hold } = await proposer('p1');
    await mesh.during(hold({ roundId: 'honest', roster: ['v1'] }));
    await mesh.during(bus.flush());
    expect(heard.filter((subject) => subject.startsWith(ballots) || subject === aimed.reply)).toEqual([
      subjects.ballot('honest', 'v1'),
    ]);
  });
});
