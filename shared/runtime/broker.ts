/** Everything of an agent that lives on the broker, behind the ports. */
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { natsBlobs } from '../adapters/nats-blobs.ts';
import { natsBus } from '../adapters/nats-bus.ts';
import { BrokerUnreachable, connectBroker } from '../adapters/nats-connect.ts';
import { messageAt, natsDagStore } from '../adapters/nats-dag.ts';
import { natsDeadLetters } from '../adapters/nats-dead.ts';
import { natsQueues } from '../adapters/nats-queues.ts';
import { natsRegistry } from '../adapters/nats-registry.ts';
import { ensureStreams, LEASE_MS, MeshMissing, type StreamOptions } from '../adapters/streams.ts';
import type { Clock } from '../ports.ts';
import type { CommunicationPrice } from '../protocol/prices.ts';
import type { Subjects } from '../protocol/subjects.ts';
import type { Environment } from './config.ts';
import type { Deps } from './engine/deps.ts';
import type { EngineEvents } from './engine/events.ts';
import type { Tracing } from './tracing.ts';

export type Connection = Awaited<ReturnType<typeof connectBroker>>;

const SALT_BYTES = 16;
const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 5_000;

export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, run) {
    // Node's timers hold 31 bits; a later deadline is watched by the goal's receipt anyway.
    if (delayMs > 0x7fff_ffff) return () => undefined;
    const timer = setTimeout(run, delayMs).unref();
    return () => clearTimeout(timer);
  },
};

/** One try to connect under this id. Throws BrokerUnreachable. */
export function connectAs(config: Environment, subjects: Subjects, agentId: string): ReturnType<typeof connectBroker> {
  return connectBroker({
    url: config.NATS_URL,
    name: agentId,
    inboxPrefix: subjects.inbox(agentId),
    ...(config.NATS_CA === undefined ? {} : { caFile: config.NATS_CA }),
    ...(config.NATS_CREDS === undefined ? {} : { credsFile: config.NATS_CREDS }),
    ...(config.NATS_NKEY_SEED === undefined ? {} : { nkeySeed: config.NATS_NKEY_SEED }),
  });
}

export function streamOptions(config: Environment): StreamOptions {
  return { replicas: config.REPLICAS, create: config.STREAMS === 'create' };
}

/** Connects as soon as the broker answers, and makes sure of its streams. `unreachable` is told once a try what is missing. */
export async function joinBroker(
  config: Environment,
  subjects: Subjects,
  agentId: string,
  stopping: AbortSignal,
  unreachable: (message: string, retryInMs: number) => void,
): Promise<Connection> {
  for (let waitMs = RETRY_MS_MIN; ; waitMs = Math.min(waitMs * 2, RETRY_MS_MAX)) {
    let nc: Connection | undefined;
    try {
      nc = await connectAs(config, subjects, agentId);
      await ensureStreams(nc, subjects, streamOptions(config));
      return nc;
    } catch (error) {
      await nc?.close();
      if (!(error instanceof BrokerUnreachable) && !(error instanceof MeshMissing)) throw error;
      unreachable(error.message, waitMs);
      await pause(waitMs, undefined, { signal: stopping });
    }
  }
}

export function depsOn(
  nc: Connection,
  subjects: Subjects,
  agentId: string,
  config: Environment,
  communication: CommunicationPrice,
  events: EngineEvents,
  tracing: Tracing,
): Omit<Deps, 'handOver' | 'electors'> {
  return {
    store: natsDagStore(nc, subjects, { measureFlush: true }),
    bus: natsBus(nc, [subjects.ballotsOfRounds]),
    blobs: natsBlobs(nc, subjects),
    dead: natsDeadLetters(nc, subjects),
    submissions: { at: (sequence) => messageAt(nc, subjects.goalsStream, sequence) },
    queues: natsQueues(nc, subjects, config.STREAMS === 'create'),
    registry: natsRegistry(nc, subjects),
    clock: systemClock,
    random: Math.random,
    salt: () => randomBytes(SALT_BYTES).toString('base64url'),
    subjects,
    agentId,
    events,
    tracing,
    leaseMs: LEASE_MS,
    communication,
  };
}
