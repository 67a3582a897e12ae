/** What the monitor sees of a mesh, on a real broker: held against what was put there, and against a cluster that loses its quorum. */
import { randomUUID } from 'node:crypto';
import { AckPolicy, DeliverPolicy, jetstreamManager } from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import { expect, inject, test } from 'vitest';
import { connectBroker } from '../../shared/adapters/nats-connect.ts';
import { natsPull } from '../../shared/adapters/nats-pull.ts';
import { natsSurveyor } from '../../shared/adapters/nats-survey.ts';
import { ensureCapability, ensureStreams } from '../../shared/adapters/streams.ts';
import type { Delivery } from '../../shared/ports.ts';
import { subjectsOf } from '../../shared/protocol/subjects.ts';
import { startCluster } from '../support/cluster.ts';
import { waitUntil } from '../support/wait.ts';

const CLUSTER_MS = 60_000;

async function meshOn(url: string, replicas: number) {
  const subjects = subjectsOf(`survey-${randomUUID().slice(0, 8)}`);
  const nc = await connectBroker({ url, name: 'survey' });
  await waitUntil(
    'the streams can be made',
    () =>
      ensureStreams(nc, subjects, { replicas }).then(
        () => true,
        () => false,
      ),
    CLUSTER_MS,
  );
  return {
    subjects,
    nc,
    surveyor: natsSurveyor(nc, subjects),
    jsm: await jetstreamManager(nc, { checkAPI: false, timeout: 2_000 }),
  };
}

test('queues: what waits, what is held, what was handed out again, and since when the oldest waits', async ({
  onTestFinished,
}) => {
  const { subjects, nc, surveyor } = await meshOn(inject('natsUrl'), 1);
  onTestFinished(() => nc.close());
  expect(await surveyor.queues()).toEqual([]);
  for (const capability of ['draw', 'sing']) await ensureCapability(nc, subjects, capability);
  // A consumer of a stranger on the same stream is no queue.
  const { consumers } = await jetstreamManager(nc);
  await consumers.add(subjects.dagStream, {
    durable_name: 'stranger',
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.All,
    inactive_threshold: nanos(60_000),
  });

  const before = Date.now();
  for (const capability of ['draw', 'other', 'sing', 'draw', 'draw'])
    await nc.request(subjects.readySubject(capability, 'g', randomUUID()), '{}');
  const after = Date.now();
  const first = (await surveyor.queues()).toSorted((one, other) => one.capability.localeCompare(other.capability));
  expect(first).toMatchObject([
    { capability: 'draw', waiting: 3, held: 0, redelivered: 0 },
    { capability: 'sing', waiting: 1, held: 0, redelivered: 0 },
  ]);
  for (const { oldestAt = 0 } of first) expect(oldestAt).toSatisfy((at: number) => at >= before - 1 && at <= after + 1);

  const held: Delivery[] = [];
  const pull = natsPull(nc, {
    stream: subjects.dagStream,
    consumer: subjects.capabilityConsumer('draw'),
    onDelivery: (delivery) => void held.push(delivery),
    recreate: () => Promise.resolve(),
  });
  pull.request(2);
  await waitUntil('two are held', () => held.length === 2);
  const draw = async () => (await surveyor.queues()).find(({ capability }) => capability === 'draw');
  const some = await draw();
  expect(some).toMatchObject({ waiting: 1, held: 2, redelivered: 0 });
  expect(some?.oldestAt).toBeGreaterThanOrEqual(first[0]?.oldestAt ?? Infinity);
  held[0]?.retry(0);
  pull.request(2);
  await waitUntil(
    'all are held, one of them again',
    () => held.length === 4 && held.some((each) => each.deliveries === 2),
  );
  expect(await draw()).toMatchObject({ waiting: 0, held: 3, redelivered: 1, oldestAt: undefined });
  await pull.stop();
});

test('goals: what nobody took, what is open, and since when the oldest is', async ({ onTestFinished }) => {
  const { subjects, nc, surveyor } = await meshOn(inject('natsUrl'), 1);
  onTestFinished(() => nc.close());
  expect(await surveyor.goals()).toEqual({ waiting: 0, open: 0, oldestAt: undefined });
  const before = Date.now();
  for (let goal = 0; goal < 3; goal += 1) await nc.request(subjects.goalsSubmit, '{}');
  const held: Delivery[] = [];
  const pull = natsPull(nc, {
    stream: subjects.goalsStream,
    consumer: subjects.intakeConsumer,
    onDelivery: (delivery) => void held.push(delivery),
    recreate: () => Promise.resolve(),
  });
  pull.request(2);
  await waitUntil('two are open', () => held.length === 2);
  const goals = await surveyor.goals();
  expect(goals).toMatchObject({ waiting: 1, open: 2 });
  expect(goals.oldestAt).toSatisfy((at: number) => at >= before - 1 && at <= Date.now() + 1);
  for (const delivery of held) delivery.ack();
  await waitUntil('none is open', async () => (await surveyor.goals()).open === 0);
  await pull.stop();
});

test('streams and account of a single server', async ({ onTestFinished }) => {
  const { subjects, nc, surveyor } = await meshOn(inject('natsUrl'), 1);
  onTestFinished(() => nc.close());
  for (let letter = 0; letter < 2; letter += 1) await nc.request(subjects.dead('tasks'), 'x'.repeat(1_000));
  const streams = await surveyor.streams();
  expect(streams.map(({ stream, led }) => [stream, led])).toEqual(
    ['goals', 'dag', 'log', 'dead', 'agents', 'blobs'].map((stream) => [stream, true]),
  );
  for (const each of streams) expect(each).toMatchObject({ replicas: 1, current: 1 });
  expect(streams.find(({ stream }) => stream === 'dead')).toMatchObject({ messages: 2, sourceLag: undefined });
  expect(streams.find(({ stream }) => stream === 'log')).toMatchObject({ sourceLag: 0 });
  const account = await surveyor.account();
  expect(account.storageBytes).toBeGreaterThan(2_000);
  expect(account).toMatchObject({ storageLimitBytes: Infinity, memoryBytes: expect.any(Number) });
  const { streams: made } = await jetstreamManager(nc);
  await made.delete(subjects.deadStream);
  expect((await surveyor.streams()).map(({ stream }) => stream)).not.toContain('dead');
});

test('a broker that lost a server, and one that lost its quorum', { timeout: 180_000 }, async ({ onTestFinished }) => {
  const cluster = await startCluster();
  onTestFinished(() => cluster.stop());
  const { nc, surveyor } = await meshOn(cluster.url, 3);
  onTestFinished(() => nc.close());
  const copies = async () =>
    (await surveyor.streams()).map((each) => (each.led ? `${each.current}/${each.replicas}` : 'no leader'));
  const all = (what: string) => Array.from({ length: 6 }, () => what);
  const becomes = (what: string) =>
    waitUntil(
      `every stream is ${what}`,
      async () => JSON.stringify(await copies().catch(() => [])) === JSON.stringify(all(what)),
      CLUSTER_MS,
    );
  await becomes('3/3');
  // Not the server that this client is connected to: its connection would move, which is another matter.
  const others = cluster.brokers.filter((broker) => !broker.url.endsWith(`:${nc.info?.port}`));
  expect(others).toHaveLength(2);
  await others[0]?.kill('SIGKILL');
  await becomes('2/3');
  await others[1]?.kill('SIGKILL');
  await becomes('no leader');
  for (const broker of others) await broker.restart();
  await becomes('3/3');
});
