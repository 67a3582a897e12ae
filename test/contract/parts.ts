/** The parts of a mesh, in memory and on a broker, behind one face: each case of the suite runs on both. */
import { randomUUID } from 'node:crypto';
import { AckPolicy, DeliverPolicy, jetstreamManager } from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import { inject } from 'vitest';
import { natsBus } from '../../shared/adapters/nats-bus.ts';
import { connectBroker } from '../../shared/adapters/nats-connect.ts';
import { natsDagStore } from '../../shared/adapters/nats-dag.ts';
import { natsPull } from '../../shared/adapters/nats-pull.ts';
import { natsQueues } from '../../shared/adapters/nats-queues.ts';
import { ensureStreams } from '../../shared/adapters/streams.ts';
import type { Bus, DagStore, Delivery, Pull, QueueState } from '../../shared/ports.ts';
import { type Subjects, subjectsOf } from '../../shared/protocol/subjects.ts';
import { MemoryBroker, seededRandom, VirtualClock } from '../support/memory-bus.ts';
import { MemoryDag } from '../support/memory-dag.ts';
import { MemoryQueue } from '../support/memory-queue.ts';
import { waitUntil } from '../support/wait.ts';

export type Connection = Awaited<ReturnType<typeof connectBroker>>;

/** One process of the mesh. */
export interface Member {
  readonly store: DagStore;
  readonly bus: Bus;
  pull(capability: string, onDelivery: (delivery: Delivery) => void): Pull;
  /** Ends it as a crash does. */
  kill(): Promise<void>;
}

export interface Parts {
  readonly subjects: Subjects;
  /** Creates a capability's queue; its leases are short. */
  queue(capability: string): Promise<void>;
  state(capability: string): Promise<QueueState | undefined>;
  member(name: string): Promise<Member>;
  /** Resolves as `work` does; in memory it makes time pass. */
  during<T>(work: Promise<T>): Promise<T>;
  /** Resolves when `probe` gives true. */
  until(what: string, probe: () => boolean | Promise<boolean>): Promise<void>;
  end(): Promise<void>;
}

const LEASE_MS = 400;

function memoryParts(): Promise<Parts> {
  const clock = new VirtualClock();
  const subjects = subjectsOf('mesh');
  const dag = new MemoryDag({ subjects, clock, latencyMs: 1 });
  const broker = new MemoryBroker({ clock, latencyMs: 1 });
  const queues = new Map<string, MemoryQueue>();
  dag.onWrite = ({ subject, data, revision }) => {
    const [, , capability = ''] = subject.split('.');
    if (subject.startsWith('mesh.ready.')) queues.get(capability)?.push(subject, data, revision);
  };
  return Promise.resolve({
    subjects,
    queue(capability) {
      queues.set(capability, new MemoryQueue({ clock, random: seededRandom(1), leaseMs: LEASE_MS, latencyMs: 1 }));
      return Promise.resolve();
    },
    state: (capability) => Promise.resolve(queues.get(capability)?.state()),
    member(name) {
      const bus = broker.connect(name);
      const closing: (() => void)[] = [() => bus.close()];
      return Promise.resolve({
        store: dag,
        bus,
        pull(capability, onDelivery) {
          const queue = queues.get(capability);
          if (queue === undefined) throw new Error(`no queue ${capability}`);
          const pull = queue.pull(onDelivery);
          closing.push(() => pull.close());
          return pull;
        },
        kill: () => Promise.resolve(closing.forEach((close) => close())),
      });
    },
    async during(work) {
      let over = false;
      const ended = work.finally(() => (over = true));
      // Until time has passed nobody listens to how it ends.
      ended.catch(() => undefined);
      await clock.run(() => over);
      return ended;
    },
    async until(what, probe) {
      for (let steps = 0; !(await probe()); steps += 1) {
        if (steps > 10_000) throw new Error(`waited in vain until ${what}`);
        await clock.advance(1);
      }
    },
    end: () => Promise.resolve(),
  });
}

/** A fresh mesh on the run's broker. */
export interface BrokerMesh {
  readonly subjects: Subjects;
  connect(name: string): Promise<Connection>;
  end(): Promise<void>;
}

export async function brokerMesh(): Promise<BrokerMesh> {
  const subjects = subjectsOf(`contract-${randomUUID().slice(0, 8)}`);
  const connections: Connection[] = [];
  const connect = async (name: string): Promise<Connection> => {
    const nc = await connectBroker({ url: inject('natsUrl'), name, inboxPrefix: subjects.inbox(name) });
    connections.push(nc);
    return nc;
  };
  await ensureStreams(await connect('admin'), subjects, { replicas: 1 });
  return { subjects, connect, end: async () => void (await Promise.all(connections.map((nc) => nc.close()))) };
}

async function natsParts(): Promise<Parts> {
  const mesh = await brokerMesh();
  const { subjects } = mesh;
  const admin = await mesh.connect('watcher');
  const jsm = await jetstreamManager(admin);
  const queue = async (capability: string): Promise<void> => {
    await jsm.consumers.add(subjects.dagStream, {
      durable_name: subjects.capabilityConsumer(capability),
      filter_subject: subjects.readyOfCapability(capability),
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      ack_wait: nanos(LEASE_MS),
      max_deliver: -1,
    });
  };
  return {
    subjects,
    queue,
    state: (capability) => natsQueues(admin, subjects, true).state(capability),
    async member(name) {
      const nc = await mesh.connect(name);
      return {
        store: natsDagStore(nc, subjects),
        bus: natsBus(nc),
        pull: (capability, onDelivery) =>
          natsPull(nc, {
            stream: subjects.dagStream,
            consumer: subjects.capabilityConsumer(capability),
            recreate: () => queue(capability),
            onDelivery,
          }),
        kill: () => nc.close(),
      };
    },
    during: (work) => work,
    until: async (what, probe) => void (await waitUntil(what, probe, 20_000)),
    end: mesh.end,
  };
}

export const KINDS = [
  ['memory', memoryParts],
  ['a broker', natsParts],
] as const;
