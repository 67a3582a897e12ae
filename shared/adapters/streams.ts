/** Every stream, bucket and shared consumer of a mesh. Creating them is idempotent; settings that correctness rests on are checked when they exist. */
import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  jetstreamManager,
  type JetStreamManager,
  JetStreamApiError,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream';
import { nanos, type NatsConnection } from '@nats-io/transport-node';
import { PRESENCE_TTL_MS } from '../protocol/agent.ts';
import type { Subjects } from '../protocol/subjects.ts';
import { BrokerUnreachable } from './nats-connect.ts';

/** A holder that did not extend its lease for this long has lost it: the broker hands the item to another agent. */
export const LEASE_MS = 5_000;
/** A goal's receipt comes round this often while the goal runs (first time; later ones are further apart). */
const RECEIPT_ACK_MS = 10_000;

const SERVER_VERSION_MIN = '2.14.4';
/** Records of ended goals, and the log, are kept this long. No goal lives longer than 7 days (`wallMs`). */
const RETENTION_MS = 30 * 24 * 60 * 60 * 1000;
const MIB = 1024 * 1024;
const API_NOT_FOUND = new Set([10059, 10014]);
const NAME_IN_USE = 10058;
const CONSUMER_EXISTS = 10148;

export interface StreamOptions {
  /** 1 on a single server, 3 on a cluster. */
  readonly replicas: number;
  /** False: what is missing is MeshMissing, because this user may not create it. Absent: true. */
  readonly create?: boolean;
}

type Wanted = Partial<StreamConfig> & { name: string };

function wantedStreams(subjects: Subjects, replicas: number): Wanted[] {
  const base = { num_replicas: replicas, storage: StorageType.File, max_age: nanos(RETENTION_MS), max_consumers: -1 };
  const bucket = { max_msg_size: -1, discard: DiscardPolicy.New, allow_rollup_hdrs: true, deny_delete: true };
  return [
    {
      ...base,
      name: subjects.goalsStream,
      subjects: [subjects.goalsSubmit, subjects.goalsCancel, subjects.tasksWildcard],
      retention: RetentionPolicy.Workqueue,
      max_age: 0,
      duplicate_window: nanos(120_000),
    },
    {
      ...base,
      ...bucket,
      name: subjects.dagStream,
      // State and work items share one stream, so that one transition can be one atomic batch.
      subjects: [subjects.dagWildcard, subjects.readyWildcard],
      // Deep enough for the log to source every revision while it lags (I9).
      max_msgs_per_subject: 64,
      // For scans, which need no consumer this way. What decides anything is read from the leader (`STREAM.MSG.GET`): a stale follower's
      // answer would break the checks of I2.
      allow_direct: true,
      allow_atomic: true,
      allow_msg_ttl: true,
      // The server refuses scheduled messages on a stream that discards new ones.
      allow_msg_schedules: true,
      discard: DiscardPolicy.Old,
      // Since server 2.15 the default is 1000; each capability, watch and scan is one.
      max_consumers: 50_000,
      duplicate_window: nanos(120_000),
    },
    {
      ...base,
      name: subjects.logStream,
      subjects: [subjects.messagesWildcard, subjects.repliesWildcard, subjects.votesWildcard, subjects.ballotsWildcard],
      sources: [{ name: subjects.dagStream, filter_subject: subjects.dagWildcard }],
      // A vote request has a reply subject; an acknowledgement from this stream must not land among the ballots.
      no_ack: true,
      // A voter reads its own ballots back.
      allow_direct: true,
      deny_delete: true,
      deny_purge: true,
      // What a power cut takes from the log is sourced again; measured to cost a third of the fsync of every record (see ARCHITECTURE).
      ...(replicas === 1 ? { persist_mode: 'async' } : {}),
    },
    { ...base, name: subjects.deadStream, subjects: [subjects.deadWildcard], deny_purge: false },
    {
      ...base,
      ...bucket,
      name: subjects.agentsStream,
      subjects: [`$KV.${subjects.agentsBucket}.>`],
      // On disk like the others, though it is only ever as old as its TTL: with a broker that restarts, a stream in memory is gone, and agents that bind to
      // what there is may not make it anew.
      max_age: nanos(PRESENCE_TTL_MS),
      max_msgs_per_subject: 1,
      allow_direct: true,
      duplicate_window: nanos(PRESENCE_TTL_MS),
    },
    {
      ...base,
      name: subjects.blobsStream,
      subjects: [...subjects.blobWildcards],
      discard: DiscardPolicy.New,
      allow_rollup_hdrs: true,
      allow_direct: true,
      max_msg_size: MIB,
    },
  ];
}

/** The mesh was not set up on this broker (yet). One line, with what to do. */
export class MeshMissing extends Error {}

/** Thrown when what is there cannot carry the protocol. One line, with what to do. */
export class BrokerUnfit extends Error {}

function olderThan(version: string, minimum: string): boolean {
  const [a, b] = [version, minimum].map((text) => text.split('.').map((part) => Number.parseInt(part, 10)));
  for (let index = 0; index < 3; index += 1) {
    const difference = (a?.[index] ?? 0) - (b?.[index] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** Creates what is missing; checks what is there. Safe to run by many agents at once. */
export async function ensureStreams(nc: NatsConnection, subjects: Subjects, options: StreamOptions): Promise<void> {
  const version = nc.info?.version;
  // Between two connections nobody says which it is.
  if (version === undefined) throw new BrokerUnreachable('the broker does not answer; trying again', undefined);
  if (olderThan(version, SERVER_VERSION_MIN)) {
    throw new BrokerUnfit(
      `expected nats-server ${SERVER_VERSION_MIN} or newer (correct multi-key guards), got ${version}; upgrade the broker`,
    );
  }
  const create = options.create ?? true;
  const jsm = await jetstreamManager(nc, { timeout: 10_000, checkAPI: create });
  for (const wanted of wantedStreams(subjects, options.replicas)) await ensureStream(jsm, wanted, create);
  if (create) await ensureIntake(jsm, subjects);
}

async function ensureStream(jsm: JetStreamManager, wanted: Wanted, create: boolean): Promise<void> {
  const existing = await orMissing(jsm.streams.info(wanted.name));
  if (existing === undefined) {
    if (!create)
      throw new MeshMissing(
        `stream ${wanted.name} is not there; run "conclave admin init" as a user who may create it`,
      );
    try {
      await jsm.streams.add(wanted);
    } catch (error) {
      // Another agent was quicker, perhaps with another number of replicas: what stands, stands.
      if (!(error instanceof JetStreamApiError) || error.code !== NAME_IN_USE) throw error;
    }
    return;
  }
  // Of an earlier version, which read lists through consumers.
  if (create && wanted.allow_direct === true && !existing.config.allow_direct) {
    existing.config.allow_direct = true;
    await jsm.streams.update(wanted.name, existing.config);
  }
  const captured = new Set(existing.config.subjects);
  // A stream of an earlier version that captured less: from now on it has the rest as well.
  if (create && wanted.subjects?.some((subject) => !captured.has(subject)) === true)
    await jsm.streams.update(wanted.name, { subjects: [...new Set([...captured, ...wanted.subjects])] });
  for (const setting of ['allow_atomic', 'allow_direct', 'no_ack'] as const) {
    const want = wanted[setting];
    if (want !== undefined && (existing.config[setting] ?? false) !== want) {
      throw new BrokerUnfit(
        `stream ${wanted.name}: expected ${setting} to be ${String(want)}, got ${String(existing.config[setting] ?? false)}; it was not made by Conclave: use another MESH or fix it`,
      );
    }
  }
}

async function orMissing<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof JetStreamApiError && API_NOT_FOUND.has(error.code)) return undefined;
    throw error;
  }
}

async function ensureIntake(jsm: JetStreamManager, subjects: Subjects): Promise<void> {
  const common = {
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    max_deliver: -1,
    max_waiting: 2_048,
  };
  await ensureConsumer(jsm, subjects.goalsStream, {
    ...common,
    durable_name: subjects.intakeConsumer,
    filter_subjects: [subjects.goalsSubmit, subjects.tasksWildcard],
    ack_wait: nanos(RECEIPT_ACK_MS),
    // A receipt is acknowledged when its goal is terminal (I5), so as many are open as goals run.
    max_ack_pending: 100_000,
  });
  await ensureConsumer(jsm, subjects.goalsStream, {
    ...common,
    durable_name: subjects.cancelConsumer,
    filter_subject: subjects.goalsCancel,
    ack_wait: nanos(LEASE_MS),
    max_ack_pending: 10_000,
  });
}

type ConsumerSettings = Parameters<JetStreamManager['consumers']['add']>[1];

async function ensureConsumer(jsm: JetStreamManager, stream: string, settings: ConsumerSettings): Promise<void> {
  try {
    await jsm.consumers.add(stream, settings);
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || error.code !== CONSUMER_EXISTS) throw error;
  }
}

/** The shared queue of one capability, created when the first agent that has it, or the first task that needs it, comes. */
export async function ensureCapability(nc: NatsConnection, subjects: Subjects, capability: string): Promise<void> {
  const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 10_000 });
  await ensureConsumer(jsm, subjects.dagStream, {
    durable_name: subjects.capabilityConsumer(capability),
    filter_subject: subjects.readyOfCapability(capability),
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: nanos(LEASE_MS),
    // Attempts are counted in the task's state, where they survive (I10); the broker may hand out an item as often as it must.
    max_deliver: -1,
    max_ack_pending: 20_000,
    max_waiting: 2_048,
  });
}
