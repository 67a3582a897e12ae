/** What has no counterpart in memory: the streams as a stranger sees them, presence and its seats, blobs, dead letters, the log. */
import { jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { Objm } from '@nats-io/obj';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { natsBlobs } from '../../shared/adapters/nats-blobs.ts';
import { natsBus } from '../../shared/adapters/nats-bus.ts';
import { natsDagStore } from '../../shared/adapters/nats-dag.ts';
import { natsDeadLetters } from '../../shared/adapters/nats-dead.ts';
import { natsPull } from '../../shared/adapters/nats-pull.ts';
import { natsQueues } from '../../shared/adapters/nats-queues.ts';
import { AgentIdTaken, natsRegistry, takeSeat } from '../../shared/adapters/nats-registry.ts';
import { ensureCapability, ensureStreams } from '../../shared/adapters/streams.ts';
import type { Presence } from '../../shared/protocol/agent.ts';
import { encode } from '../../shared/protocol/codec.ts';
import { DeadLetter } from '../../shared/protocol/dead.ts';
import type { Subjects } from '../../shared/protocol/subjects.ts';
import { waitUntil } from '../support/wait.ts';
import { type BrokerMesh, brokerMesh, type Connection } from './parts.ts';

let mesh: BrokerMesh;
let subjects: Subjects;
let nc: Connection;

beforeEach(async () => {
  mesh = await brokerMesh();
  ({ subjects } = mesh);
  nc = await mesh.connect('agent');
});
afterEach(() => mesh.end());

const text = (data: Uint8Array): string => new TextDecoder().decode(data);

async function messagesOf(stream: string): Promise<{ subject: string; data: Uint8Array }[]> {
  const jsm = await jetstreamManager(nc);
  const { state } = await jsm.streams.info(stream);
  const found: { subject: string; data: Uint8Array }[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq += 1) {
    const message = await jsm.streams.getMessage(stream, { seq });
    if (message !== null) found.push({ subject: message.subject, data: message.data });
  }
  return found;
}

describe('the DAG bucket', () => {
  it('can be read, listed and watched by any KV client, and sees what that client must not do refused', async () => {
    const store = natsDagStore(nc, subjects);
    const kv = await new Kvm(await mesh.connect('stranger')).open(subjects.dagBucket);
    const watched: string[] = [];
    const watch = await kv.watch({ key: 'task.g.*' });
    void (async () => {
      for await (const entry of watch) watched.push(`${entry.key}=${entry.string()}`);
    })();
    const created = await store.commit([{ subject: subjects.dagSubject('goal.g'), data: encode(1), expect: 0 }]);
    await store.commit([
      { subject: subjects.dagSubject('task.g.a'), data: encode('a'), expect: 0 },
      { subject: subjects.readySubject('echo', 'g', 'a'), data: encode({}) },
    ]);
    const entry = await kv.get('goal.g');
    expect(entry?.string()).toBe('1');
    expect(created).toEqual({ status: 'committed', revisions: [entry?.revision] });
    const keys: string[] = [];
    for await (const key of await kv.keys()) keys.push(key);
    expect(keys.toSorted()).toEqual(['goal.g', 'task.g.a']);
    await waitUntil('the watch saw the task', () => watched.includes('task.g.a="a"'));
    watch.stop();
    const jsm = await jetstreamManager(nc);
    await expect(jsm.streams.deleteMessage(subjects.dagStream, 1)).rejects.toThrow();
    await expect(kv.create('goal.g', encode(2))).rejects.toThrow();
  });

  it('is made once, by however many agents start at once', async () => {
    const others = await Promise.all(['a', 'b', 'c', 'd'].map((name) => mesh.connect(name)));
    await Promise.all(others.map((other) => ensureStreams(other, subjects, { replicas: 1 })));
    await Promise.all(others.map((other) => ensureCapability(other, subjects, 'echo')));
    expect(await natsQueues(nc, subjects, true).state('echo')).toEqual({ waiting: 0, held: 0, deliveredUpTo: 0 });
  });

  it('settles a guard whose bytes stand already as its own: an earlier try may have landed', async () => {
    const store = natsDagStore(nc, subjects);
    const write = { subject: subjects.dagSubject('goal.g'), data: encode({ attempt: 1 }), expect: 0 };
    const first = await store.commit([write]);
    expect(await store.commit([write])).toEqual(first);
    expect(await store.commit([{ ...write, data: encode({ attempt: 2 }) }])).toEqual({ status: 'conflict' });
  });
});

describe('a queue', () => {
  it('is made again by whoever pulls from it when it was deleted', async () => {
    await ensureCapability(nc, subjects, 'echo');
    const got: string[] = [];
    const recreate = (): Promise<void> => ensureCapability(nc, subjects, 'echo');
    const pull = natsPull(nc, {
      stream: subjects.dagStream,
      consumer: subjects.capabilityConsumer('echo'),
      recreate,
      onDelivery(delivery) {
        got.push(delivery.subject);
        delivery.ack();
      },
    });
    pull.request(1);
    await nc.flush();
    const jsm = await jetstreamManager(nc);
    await jsm.consumers.delete(subjects.dagStream, subjects.capabilityConsumer('echo'));
    await natsDagStore(nc, subjects).commit([{ subject: subjects.readySubject('echo', 'g', 'a'), data: encode({}) }]);
    await waitUntil('the item arrived', () => got.length === 1, 20_000);
    expect(got).toEqual([subjects.readySubject('echo', 'g', 'a')]);
    await pull.stop();
  });
});

describe('the log', () => {
  it('holds every revision of the bucket, and every message, vote request and ballot', async () => {
    const store = natsDagStore(nc, subjects);
    const bus = natsBus(nc);
    let revision = 0;
    const expected: string[] = [];
    for (let count = 0; count < 20; count += 1) {
      const outcome = await store.commit([
        { subject: subjects.dagSubject('goal.g'), data: encode({ count }), expect: revision },
        { subject: subjects.readySubject('echo', 'g', `t${count}`), data: encode({}) },
      ]);
      if (outcome.status !== 'committed') throw new Error('expected no conflict');
      revision = outcome.revisions[0] ?? 0;
      expected.push(JSON.stringify({ count }));
    }
    const said = [subjects.message('agent', 'bob', 'hello'), subjects.vote('review'), subjects.ballot('r1', 'agent')];
    for (const subject of said) bus.publish(subject, encode(subject));
    await waitUntil('the log has all of it', async () => (await messagesOf(subjects.logStream)).length >= 23, 20_000);
    const logged = await messagesOf(subjects.logStream);
    expect(
      logged.filter(({ subject }) => subject === subjects.dagSubject('goal.g')).map(({ data }) => text(data)),
    ).toEqual(expected);
    expect(logged.filter(({ subject }) => !subject.startsWith('$KV.')).map(({ subject }) => subject)).toEqual(said);
    expect(logged.length).toBe(23);
  });

  it('never answers a vote request: no acknowledgement of it lands among the ballots', async () => {
    const heard: string[] = [];
    const bus = natsBus(nc);
    bus.subscribe(`${subjects.ballots('r1')}.>`, ({ data }) => heard.push(text(data)));
    bus.subscribe(subjects.ballots('r1'), ({ data }) => heard.push(text(data)));
    bus.publish(subjects.vote('review'), encode({ roundId: 'r1' }), { reply: subjects.ballots('r1') });
    await bus.flush();
    // Stored means that an acknowledgement would be on its way before this ballot is.
    await waitUntil('the request is in the log', async () => (await messagesOf(subjects.logStream)).length === 1);
    bus.publish(subjects.ballot('r1', 'agent'), encode('ballot'));
    await waitUntil('the ballot is heard', () => heard.length > 0);
    await waitUntil('the ballot is in the log', async () => (await messagesOf(subjects.logStream)).length === 2);
    await bus.flush();
    expect(heard).toEqual(['"ballot"']);
  });
});

describe('dead letters', () => {
  const letter = {
    origin: 'tasks',
    subject: 's',
    reason: { code: 'c', message: 'm' },
    payload: Buffer.from('x').toString('base64'),
    goalId: 'g',
    at: '2030-01-01T00:00:00.000Z',
  } as const;

  it('are kept once, however often they are put', async () => {
    const dead = natsDeadLetters(nc, subjects);
    await Promise.all([dead.put(letter, 'one'), dead.put(letter, 'one'), dead.put(letter, 'two')]);
    await natsDeadLetters(await mesh.connect('other'), subjects).put(letter, 'one');
    const kept = await messagesOf(subjects.deadStream);
    expect(kept.map(({ subject }) => subject)).toEqual([subjects.dead('tasks'), subjects.dead('tasks')]);
    for (const { data } of kept) expect(DeadLetter.parse(JSON.parse(text(data)))).toEqual(letter);
  });

  it('fit a message also when their payload does not', async () => {
    await natsDeadLetters(nc, subjects).put(
      { ...letter, payload: Buffer.alloc(1_000_000).toString('base64') },
      'large',
    );
    const [kept] = await messagesOf(subjects.deadStream);
    expect(DeadLetter.parse(JSON.parse(text(kept?.data ?? new Uint8Array())))).toMatchObject({ goalId: 'g' });
  });
});

describe('blobs', () => {
  it('come back byte for byte, 2 MB and more than one chunk', async () => {
    const bytes = Uint8Array.from({ length: 2 * 1024 * 1024 + 7 }, (_, index) => (index * 31) % 251);
    const name = await natsBlobs(nc, subjects).put(bytes);
    const read = await natsBlobs(await mesh.connect('other'), subjects).get(name);
    expect(read?.length).toBe(bytes.length);
    expect(Buffer.compare(read ?? new Uint8Array(), bytes)).toBe(0);
    expect(await natsBlobs(nc, subjects).get('nothing')).toBeUndefined();
  });

  it('are found under the names that other clients gave them, as each of them writes a name', async () => {
    const blobs = natsBlobs(nc, subjects);
    const bucket = await new Objm(nc).open(subjects.blobsBucket);
    // This client writes Latin-1, all others UTF-8.
    await bucket.putBlob({ name: 'Käse/1 .json' }, encode('ours'));
    expect(await blobs.get('Käse/1 .json')).toEqual(encode('ours'));
    const { nuid, digest } = (await bucket.info('Käse/1 .json')) ?? {};
    const put = await nc.request(subjects.blobMetas('Käse')[0] ?? '', encode({ nuid, digest }));
    expect(put.json()).not.toHaveProperty('error');
    expect(await blobs.get('Käse')).toEqual(encode('ours'));
    expect(await blobs.get('Kase')).toBeUndefined();
  });

  it('get names of their own', async () => {
    const blobs = natsBlobs(nc, subjects);
    const [one, two] = [await blobs.put(encode(1)), await blobs.put(encode(1))];
    expect(one).not.toBe(two);
  });
});

describe('presence', () => {
  const presence = (agentId: string, startedAt = '2030-01-01T00:00:00.000Z'): Presence => ({
    agentId,
    role: 'worker',
    capabilities: ['echo'],
    startedAt,
    version: '1',
    load: { running: 0, slots: 1 },
  });

  it('lists who took a seat, renewed or not, until it leaves', async () => {
    const registry = natsRegistry(nc, subjects);
    expect(await registry.list()).toEqual([]);
    const seat = await takeSeat(nc, subjects, presence('agent'));
    const other = await mesh.connect('other');
    const second = await takeSeat(other, subjects, presence('other'));
    expect((await registry.list()).map(({ agentId }) => agentId).toSorted()).toEqual(['agent', 'other']);
    await seat.renew({ ...presence('agent'), load: { running: 1, slots: 1 } });
    expect((await registry.list()).find(({ agentId }) => agentId === 'agent')?.load.running).toBe(1);
    await second.leave();
    expect((await registry.list()).map(({ agentId }) => agentId)).toEqual(['agent']);
  });

  it('is that of the agent whose key it is, and of nobody else', async () => {
    const registry = natsRegistry(nc, subjects);
    const seat = await takeSeat(nc, subjects, presence('honest'));
    await nc.request(subjects.agentSubject('liar'), encode({ ...presence('honest'), capabilities: ['review'] }));
    await nc.request(subjects.agentSubject('mute'), 'not JSON');
    expect(await registry.list()).toEqual([presence('honest')]);
    await seat.leave();
  });

  it('ends by itself within 10 s when nobody renews it', async () => {
    const dying = await mesh.connect('dying');
    await takeSeat(dying, subjects, presence('dying'));
    await dying.close();
    const registry = natsRegistry(nc, subjects);
    expect(await registry.list()).toHaveLength(1);
    await waitUntil('its key is gone', async () => (await registry.list()).length === 0, 10_000);
  });

  it('refuses the seat of a running process, and gives that of a dead one to the next', async () => {
    const first = await mesh.connect('seat');
    const seat = await takeSeat(first, subjects, presence('seat'));
    const second = await mesh.connect('seat');
    await expect(takeSeat(second, subjects, presence('seat', '2030-01-01T00:00:01.000Z'))).rejects.toThrow(
      AgentIdTaken,
    );
    await seat.renew(presence('seat'));
    await first.close();
    const taken = await takeSeat(second, subjects, presence('seat', '2030-01-01T00:00:02.000Z'));
    await taken.renew(presence('seat', '2030-01-01T00:00:02.000Z'));
    expect((await natsRegistry(nc, subjects).list()).map(({ startedAt }) => startedAt)).toEqual([
      '2030-01-01T00:00:02.000Z',
    ]);
  });

  it('never seats two processes that start at once, and tells whoever it refuses', async () => {
    const both = await Promise.all([mesh.connect('twin'), mesh.connect('twin')]);
    const outcomes = await Promise.allSettled(
      both.map((connection, index) =>
        takeSeat(connection, subjects, presence('twin', `2030-01-01T00:00:0${index}.000Z`)),
      ),
    );
    expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBeLessThanOrEqual(1);
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused.length).toBeGreaterThanOrEqual(1);
    for (const { reason } of refused) expect(reason).toBeInstanceOf(AgentIdTaken);
  });
});
