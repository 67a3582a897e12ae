/**
 * The floor beside which Conclave is measured: the same shapes of work, hand-written on one JetStream file stream of the same broker, by two worker
 * processes and a submitter that watches the last stage. What Conclave costs above it is the price of state, fences, retries and the log.
 */
import { fileURLToPath } from 'node:url';
import { AckPolicy, DeliverPolicy, jetstreamManager, StorageType } from '@nats-io/jetstream';
import { connect, createInbox } from '@nats-io/transport-node';
import { type Child, endChild, startChild } from './children.ts';
import type { Ended } from './mesh.ts';
import { storing } from './raw-publish.ts';
import { goalOf, PAYLOAD, RAW_STREAM, rawSubject, type Stage, WORKED } from './raw-stages.ts';
import type { Runner } from './scenarios.ts';

export interface RawGoal {
  readonly first: Stage;
  /** Messages of the first stage. */
  readonly count: number;
  readonly parts: number;
}

export const rawChain: RawGoal = { first: 'one', count: 1, parts: 0 };
export const rawFan = (width: number): RawGoal => ({ first: 'root', count: 1, parts: width });
export const rawJoin = (width: number): RawGoal => ({ first: 'part', count: width, parts: width });

export interface Floor extends Runner<RawGoal> {
  readonly workers: readonly Child[];
  stop(): Promise<void>;
}

const WORKER = fileURLToPath(new URL('./raw-worker.ts', import.meta.url));

/** Long enough that nothing is delivered twice: the floor has no way to notice. */
const ACK_WAIT_NS = 300_000_000_000;

export async function startFloor(url: string): Promise<Floor> {
  const nc = await connect({ servers: url, noAsyncTraces: true });
  const jsm = await jetstreamManager(nc);
  const subjects = [...WORKED, 'done'].map((stage) => `raw.${stage}.>`);
  await jsm.streams.add({ name: RAW_STREAM, subjects, storage: StorageType.File });
  for (const stage of WORKED) {
    await jsm.consumers.add(RAW_STREAM, {
      durable_name: stage,
      filter_subject: `raw.${stage}.>`,
      ack_policy: AckPolicy.Explicit,
      ack_wait: ACK_WAIT_NS,
      max_ack_pending: 20_000,
    });
  }
  const waiting = new Map<string, (ended: Ended) => void>();
  const watched = createInbox();
  nc.subscribe(watched, {
    callback: (error, message) => {
      // An idle heartbeat, or the end of the watch, has no subject of ours; whoever waits then is told by its time limit.
      if (error !== null || !message.subject.startsWith('raw.done.')) return;
      const { goal } = goalOf(message.subject);
      waiting.get(goal)?.({ status: 'completed', at: performance.now() });
      waiting.delete(goal);
    },
  });
  // From the stream, as a watch of the key-value bucket is: what the submitter sees is stored.
  await jsm.consumers.add(RAW_STREAM, {
    deliver_subject: watched,
    filter_subject: 'raw.done.>',
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.All,
    mem_storage: true,
  });
  const shares = [WORKED, WORKED.filter((stage) => stage !== 'join')];
  const workers = await Promise.all(
    shares.map((stages) => startChild([WORKER], { NATS_URL: url, RAW_STAGES: stages.join() }, 'raw.ready')),
  );
  const store = storing(nc);
  let goals = 0;
  return {
    workers,
    async run({ first: stage, count, parts }) {
      goals += 1;
      const goal = `g${goals}`;
      const ended = new Promise<Ended>((resolve) => waiting.set(goal, resolve));
      await Promise.all(Array.from({ length: count }, () => store(rawSubject(stage, goal, parts), PAYLOAD)));
      return ended;
    },
    async stop() {
      await Promise.all(workers.map(endChild));
      await nc.close();
    },
  };
}
