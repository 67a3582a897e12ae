/** A broker that dies, and answers that never come: what is asked gets an end, what is written is written once. */
import { connect as dial, createServer, type Socket } from 'node:net';
import { jetstreamManager } from '@nats-io/jetstream';
import { describe, expect, it, onTestFinished } from 'vitest';
import { BrokerUnreachable, connectBroker } from '../../shared/adapters/nats-connect.ts';
import { natsDagStore } from '../../shared/adapters/nats-dag.ts';
import { type Pace, paceOf } from '../../shared/adapters/pace.ts';
import { natsRegistry, takeSeat } from '../../shared/adapters/nats-registry.ts';
import { requestsOf } from '../../shared/adapters/requests.ts';
import { ensureStreams } from '../../shared/adapters/streams.ts';
import { encode } from '../../shared/protocol/codec.ts';
import { PRESENCE_TTL_MS } from '../../shared/protocol/agent.ts';
import { timestamp } from '../../shared/protocol/ids.ts';
import { subjectsOf } from '../../shared/protocol/subjects.ts';
import { startBroker, type TestBroker } from '../support/broker.ts';
import { waitUntil } from '../support/wait.ts';
import type { Connection } from './parts.ts';

const subjects = subjectsOf('outage');

async function brokerOfTest(): Promise<TestBroker> {
  const broker = await startBroker({ jetstream: 'sync_interval: always' });
  onTestFinished(() => broker.stop());
  return broker;
}

async function connectionTo(url: string): Promise<Connection> {
  const nc = await connectBroker({ url, name: 'outage' });
  onTestFinished(() => nc.close());
  return nc;
}

/** A way to the broker on which answers can get lost. */
async function wayTo(url: string) {
  const { hostname, port } = new URL(url);
  const sockets = new Set<Socket>();
  let deaf = false;
  const server = createServer((client) => {
    const broker = dial(Number(port), hostname);
    for (const socket of [client, broker]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => sockets.delete(socket));
    }
    client.pipe(broker);
    broker.on('data', (bytes) => deaf || client.write(bytes));
    broker.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = (): void => sockets.forEach((socket) => socket.destroy());
  onTestFinished(() => {
    cut();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('expected a port');
  return {
    url: `nats://127.0.0.1:${address.port}`,
    loseAnswers: () => (deaf = true),
    /** The connection breaks; the next one is as good as new. */
    cut() {
      cut();
      deaf = false;
    },
  };
}

async function lengthOf(nc: Connection, subject: string): Promise<number> {
  const { state } = await (await jetstreamManager(nc)).streams.info(subjects.dagStream, { subjects_filter: subject });
  return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
}

/** What was wrong in the end; listened to from now on. */
function endOf(request: Promise<unknown>): Promise<string> {
  return request.then(
    () => 'answered',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}

describe('a request', () => {
  it('ends when the broker dies, and one that is made meanwhile is answered when it is back', async () => {
    const broker = await brokerOfTest();
    const nc = await connectionTo(broker.url);
    let heard = 0;
    let attempts = 0;
    nc.subscribe('silent', { callback: () => void (heard += 1) });
    nc.subscribe('polite', { callback: (_error, message) => void message.respond('here') });
    void (async () => {
      for await (const { type } of nc.status()) if (type === 'reconnecting') attempts += 1;
    })();
    const request = requestsOf(nc);
    const ended = endOf(request('silent', ''));
    await waitUntil('the request is heard', () => heard === 1);
    await broker.kill('SIGKILL');
    expect(await ended).toBe('no answer on silent: the connection broke');
    const meanwhile = request('polite', '');
    // Each attempt to connect throws away what was published before it.
    await waitUntil('attempts to connect have failed', () => attempts >= 3);
    await broker.restart();
    expect((await meanwhile).string()).toBe('here');
  });

  it('ends when the connection is closed', async () => {
    const nc = await connectionTo((await brokerOfTest()).url);
    nc.subscribe('silent');
    const ended = endOf(requestsOf(nc)('silent', ''));
    await nc.flush();
    await nc.close();
    expect(await ended).toBe('no answer on silent: the connection is closed');
  });
});

describe('a broker that is gone', () => {
  it('is not taken for one that is too old', async () => {
    const broker = await brokerOfTest();
    const nc = await connectionTo(broker.url);
    await broker.kill('SIGKILL');
    await waitUntil('the connection is lost', () => nc.info === undefined);
    await expect(ensureStreams(nc, subjects, { replicas: 1 })).rejects.toThrow(BrokerUnreachable);
  });
});

describe('a transition', () => {
  it.each([
    // The connection broke: as long as that took, no broker took to write.
    { way: 'plain' as const, answered: [undefined] },
    // Tried again one by one, which is answered.
    { way: 'batch' as const, answered: [expect.any(Number), expect.any(Number)] },
  ])(
    '($way) whose answer is lost is found as it landed, not written again, and says nothing of the pace',
    async ({ way: chosen, answered }) => {
      const broker = await brokerOfTest();
      const stranger = await connectionTo(broker.url);
      await ensureStreams(stranger, subjects, { replicas: 1 });
      const other = natsDagStore(stranger, subjects);
      const way = await wayTo(broker.url);
      const heard: { answered: unknown[]; batched: number[] } = { answered: [], batched: [] };
      const pace: Pace = {
        ...paceOf(),
        way: () => chosen,
        plainAnswered: (atMs) => void heard.answered.push(atMs),
        batched: (durationMs) => void heard.batched.push(durationMs),
      };
      const store = natsDagStore(await connectionTo(way.url), subjects, { pace });
      const keys = chosen === 'batch' ? ['goal.g', 'task.g.t'] : ['goal.g'];
      way.loseAnswers();
      const outcome = store.commit(
        keys.map((key) => ({ subject: subjects.dagSubject(key), data: encode({ by: 'us' }), expect: 0 })),
      );
      const landed = await waitUntil('it landed', () => other.read('goal.g'));
      way.cut();
      const revisions = keys.map((_, index) => landed.revision + index);
      expect(await outcome).toEqual({ status: 'committed', revisions });
      for (const key of keys) expect(await lengthOf(stranger, subjects.dagSubject(key))).toBe(1);
      expect(heard).toEqual({ answered, batched: [] });
    },
  );

  it('of which nobody knows whether it landed is written once, however many were under way when the broker died', async () => {
    const broker = await brokerOfTest();
    const nc = await connectionTo(broker.url);
    await ensureStreams(nc, subjects, { replicas: 1 });
    const store = natsDagStore(nc, subjects, { measureFlush: true });
    let broken = false;
    void (async () => {
      for await (const { type } of nc.status()) broken ||= type === 'disconnect';
    })();
    const keys = Array.from({ length: 400 }, (_, index) => `goal.g${index}`);
    let settled = 0;
    const outcomes = Promise.all(
      keys.map(async (key) => {
        const outcome = await store.commit([{ subject: subjects.dagSubject(key), data: encode({ key }), expect: 0 }]);
        settled += 1;
        return outcome.status;
      }),
    );
    await waitUntil('some are written', () => settled > 0);
    await broker.kill('SIGKILL');
    expect(settled).toBeLessThan(keys.length);
    const scans = [store.scan(['goal.>'])];
    await waitUntil('the client knows', () => broken);
    scans.push(store.scan(['goal.>']));
    await broker.restart();
    expect(new Set(await outcomes)).toEqual(new Set(['committed']));
    expect(await lengthOf(nc, subjects.dagSubject('goal.>'))).toBe(keys.length);
    for (const scan of scans) expect([...(await scan).keys()].every((key) => keys.includes(key))).toBe(true);
    expect([...(await store.scan(['goal.>'])).keys()].toSorted()).toEqual(keys.toSorted());
  });
});

describe('presence', () => {
  it('is whole when a broker answers again, also after so long that all keys ran out', async () => {
    const broker = await brokerOfTest();
    const connections = await Promise.all(Array.from({ length: 5 }, () => connectionTo(broker.url)));
    const [first] = connections;
    if (first === undefined) throw new Error('expected a connection');
    await ensureStreams(first, subjects, { replicas: 1 });
    const ids = connections.map((_nc, index) => `agent${index}`);
    const lasting = { role: 'r', capabilities: [], version: '1', load: { running: 0, slots: 1 } };
    const seats = await Promise.all(
      connections.map((nc, index) => {
        return takeSeat(nc, subjects, { ...lasting, agentId: `agent${index}`, startedAt: timestamp(index) });
      }),
    );
    const namesOn = async (nc: Connection): Promise<string[]> =>
      (await natsRegistry(nc, subjects).list()).map(({ agentId }) => agentId).toSorted();
    expect(await namesOn(first)).toEqual(ids);
    for (const downMs of [0, PRESENCE_TTL_MS]) {
      await broker.kill('SIGKILL');
      const up = performance.now() + downMs;
      await waitUntil('it was down for long enough', () => performance.now() >= up, downMs + 1_000);
      await broker.restart();
      // Whoever is back first must not be the only one that it knows of.
      const listOn = (nc: Connection) => waitUntil('a list', () => namesOn(nc).catch(() => undefined));
      expect(await Promise.all(connections.map(listOn))).toEqual(ids.map(() => ids));
    }
    for (const seat of seats) await seat.leave();
    expect(await namesOn(first)).toEqual([]);
  });
});
