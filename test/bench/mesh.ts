/** A mesh to measure: a broker of its own, worker processes, and a submitter in this process. */
import { Kvm } from '@nats-io/kv';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { startBroker, type TestBroker } from '../support/broker.ts';
import { type Child, endChild, startChild } from './children.ts';

/** `always`: every acknowledged step is on disk. `default`: the server flushes every two minutes. */
export type Sync = 'default' | 'always';

export interface MeshOptions {
  readonly sync: Sync;
  readonly workers: number;
  readonly slots: number;
}

export interface Ended {
  readonly status: string;
  /** As `performance.now()` of this process, ms. */
  readonly at: number;
}

export interface Runner {
  /** Publishes a goal and resolves when its terminal record is seen on a watch of the bucket. */
  run(goal: Readonly<Record<string, unknown>>): Promise<Ended>;
}

export interface Mesh extends Runner {
  readonly nc: NatsConnection;
  readonly broker: TestBroker;
  readonly workers: readonly Worker[];
  stop(): Promise<void>;
}

export interface Worker extends Child {
  /** Of its HTTP surface. */
  readonly port: number;
}

export const MESH = 'bench';
let goals = 0;

export async function startWorker(url: string, id: string, slots: number): Promise<Worker> {
  const flags = process.env['BENCH_WORKER_ARGS']?.split(' ') ?? [];
  const env = { NATS_URL: url, MESH, AGENT_ID: id, SLOTS: String(slots), LOG_LEVEL: 'info' };
  const child = await startChild([...flags, 'services/echo/main.ts'], env, '"agent.ready"');
  return { ...child, port: (JSON.parse(child.readyLine) as { port: number }).port };
}

/** What `startBroker` puts into the server's `jetstream` block for this kind of sync. */
export function jetstreamConfig(sync: Sync): string {
  return sync === 'always' ? 'sync_interval: always' : '';
}

export async function startMesh(options: MeshOptions): Promise<Mesh> {
  const broker = await startBroker({ jetstream: jetstreamConfig(options.sync) });
  const workers: Worker[] = [];
  for (let index = 0; index < options.workers; index += 1)
    workers.push(await startWorker(broker.url, `w${index}`, options.slots));
  const nc = await connect({ servers: broker.url, noAsyncTraces: true });
  return {
    nc,
    broker,
    workers,
    ...(await goalRunner(nc, MESH)),
    async stop() {
      await nc.close();
      await Promise.all(workers.map(endChild));
      await broker.stop();
    },
  };
}

export async function goalRunner(nc: NatsConnection, mesh: string): Promise<Runner> {
  const waiting = new Map<string, (ended: Ended) => void>();
  const kv = await new Kvm(nc).open(`${mesh}_dag`);
  const watch = await kv.watch({ key: 'goal.*', include: 'updates' });
  void (async () => {
    for await (const entry of watch) {
      const goal = entry.json<{ goalId: string; status: string }>();
      if (goal.status === 'running' || goal.status === 'planning') continue;
      waiting.get(goal.goalId)?.({ status: goal.status, at: performance.now() });
      waiting.delete(goal.goalId);
    }
  })();
  return {
    async run(goal) {
      goals += 1;
      const goalId = `b${goals}`;
      const ended = new Promise<Ended>((resolve) => waiting.set(goalId, resolve));
      nc.publish(`${mesh}.goals.submit`, JSON.stringify({ goalId, ...goal }));
      const result = await ended;
      if (result.status !== 'completed') throw new Error(`goal ${goalId} ended ${result.status}`);
      return result;
    },
  };
}
