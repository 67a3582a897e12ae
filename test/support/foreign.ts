/**
 * A stranger: a plain NATS client that has read PROTOCOL and imports no code of this project. What it can do, a program in any language can.
 */
import {
  AckPolicy,
  DeliverPolicy,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
} from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import { type ObjectStore, Objm } from '@nats-io/obj';
import { connect, type ConnectionOptions, type NatsConnection } from '@nats-io/transport-node';
import {
  ForeignGoal,
  ForeignLetter,
  ForeignPresence,
  ForeignRound,
  ForeignTask,
  GOAL_TERMINAL,
} from './foreign-records.ts';
import { waitUntil } from './wait.ts';

export interface StreamMessage {
  readonly subject: string;
  readonly sequence: number;
  readonly data: Uint8Array;
  /** By the broker's clock, ms since the epoch. */
  readonly storedAt: number;
  /** Of a stream that the broker sources from another one: the sequence there. */
  readonly origin?: number;
}

export type Foreign = Awaited<ReturnType<typeof connectForeign>>;

const GOAL_MS_MAX = 30_000;
/** PROTOCOL: renew it every 2 s. */
const RENEW_MS = 2_000;

/** A new connection of its own. `id`: the agentId under which it speaks to agents. `login`: for a broker that lets in nobody else. */
export async function connectForeign(
  url: string | string[],
  mesh: string,
  id = 'stranger',
  login: Pick<ConnectionOptions, 'tls' | 'authenticator' | 'pingInterval' | 'maxPingOut'> = {},
) {
  const nc = await connect({
    ...login,
    servers: url,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    inboxPrefix: `${mesh}.inbox.${id}`,
  });
  return foreignOn(nc, mesh, id);
}

function foreignOn(nc: NatsConnection, mesh: string, id: string) {
  const js: JetStreamClient = jetstream(nc);
  const bucket = opener(() => new Kvm(nc).open(`${mesh}_dag`));
  const agents = opener(() => new Kvm(nc).open(`${mesh}_agents`));
  const blobs = opener((): Promise<ObjectStore> => new Objm(nc).open(`${mesh}_blobs`));
  const manager = opener((): Promise<JetStreamManager> => jetstreamManager(nc));

  const value = async (kv: KV, key: string): Promise<unknown> => {
    const entry = await kv.get(key);
    return entry === null || entry.operation !== 'PUT' ? undefined : entry.json();
  };
  const goal = async (goalId: string): Promise<ForeignGoal | undefined> => {
    const record = await value(await bucket(), `goal.${goalId}`);
    return record === undefined ? undefined : ForeignGoal.parse(record);
  };

  return {
    nc,
    mesh,
    id,
    js,
    bucket,
    blobs,
    manager,

    /** Publishes a goal through JetStream; the sequence of its receipt. */
    submit: async (submission: unknown): Promise<number> =>
      (await js.publish(`${mesh}.goals.submit`, bytesOf(submission))).seq,
    shorthand: async (capability: string, body: unknown): Promise<number> =>
      (await js.publish(`${mesh}.tasks.${capability}`, bytesOf(body))).seq,
    cancel: async (goalId: string, reason: string): Promise<void> => {
      await js.publish(`${mesh}.goals.cancel`, JSON.stringify({ goalId, reason }));
    },

    goal,
    /** The goal once it is terminal. */
    ended: (goalId: string, timeoutMs = GOAL_MS_MAX): Promise<ForeignGoal> =>
      waitUntil(
        `goal ${goalId} is terminal`,
        async () => {
          const record = await goal(goalId);
          return record !== undefined && isTerminalGoal(record.status) ? record : undefined;
        },
        timeoutMs,
      ),
    task: async (goalId: string, taskId: string): Promise<ForeignTask | undefined> => {
      const record = await value(await bucket(), `task.${goalId}.${taskId}`);
      return record === undefined ? undefined : ForeignTask.parse(record);
    },
    tasks: async (goalId: string): Promise<Map<string, ForeignTask>> => {
      const found = await readStream(
        nc,
        `KV_${mesh}_dag`,
        `$KV.${mesh}_dag.task.${goalId}.*`,
        DeliverPolicy.LastPerSubject,
      );
      return new Map(found.map(({ data }) => ForeignTask.parse(jsonOf(data))).map((task) => [task.taskId, task]));
    },
    /** Every revision of a key, oldest first. */
    revisions: async (key: string): Promise<{ readonly revision: number; readonly record: unknown }[]> => {
      const found = await readStream(nc, `KV_${mesh}_dag`, `$KV.${mesh}_dag.${key}`);
      return found.map(({ sequence, data }) => ({ revision: sequence, record: jsonOf(data) }));
    },
    round: async (roundId: string): Promise<ForeignRound | undefined> => {
      const record = await value(await bucket(), `round.${roundId}`);
      return record === undefined ? undefined : ForeignRound.parse(record);
    },
    presence: async (
      agentId: string,
    ): Promise<{ readonly record: ForeignPresence; readonly revision: number } | undefined> => {
      const entry = await (await agents()).get(`agent.${agentId}`);
      return entry === null || entry.operation !== 'PUT'
        ? undefined
        : { record: ForeignPresence.parse(entry.json()), revision: entry.revision };
    },
    /** Makes this client an agent in the eyes of others, until it is closed or its process dies. */
    announce: async (capabilities: readonly string[]): Promise<void> => {
      const kv = await agents();
      const startedAt = new Date().toISOString();
      const load = { running: 0, slots: 1 };
      const record = { agentId: id, role: 'foreign', capabilities, startedAt, version: '0.0.1', load };
      const renew = (): Promise<unknown> => kv.put(`agent.${id}`, JSON.stringify(record));
      await renew();
      const timer = setInterval(() => void renew().catch(() => undefined), RENEW_MS);
      timer.unref();
      void nc.closed().then(() => clearInterval(timer));
    },
    deadLetters: async (): Promise<ForeignLetter[]> =>
      (await readStream(nc, `${mesh}_dead`, `${mesh}.dead.>`)).map(({ data }) => ForeignLetter.parse(jsonOf(data))),
    /** Submissions and cancels that are not settled yet. */
    unsettled: async (): Promise<number> => (await (await manager()).streams.info(`${mesh}_goals`)).state.messages,
    /** Work items that nobody was given, and that somebody holds, by capability. */
    queues: async (): Promise<Map<string, { readonly waiting: number; readonly held: number }>> => {
      const found = new Map<string, { waiting: number; held: number }>();
      for await (const info of (await manager()).consumers.list(`KV_${mesh}_dag`)) {
        const capability = new RegExp(`^${mesh}\\.ready\\.([^.]+)\\.>$`).exec(info.config.filter_subject ?? '')?.[1];
        if (capability !== undefined) found.set(capability, { waiting: info.num_pending, held: info.num_ack_pending });
      }
      return found;
    },
    /** Answers to `$SRV.<verb>` of this mesh; ends when `count` have come. */
    services: async (
      verb: 'PING' | 'INFO' | 'STATS',
      count: number,
      suffix = '',
    ): Promise<Record<string, unknown>[]> => {
      const answers: Record<string, unknown>[] = [];
      const inbox = `${mesh}.inbox.${id}.srv-${crypto.randomUUID()}`;
      const subscription = nc.subscribe(inbox, {
        callback: (_error, message) => {
          const answer = jsonOf(message.data) as Record<string, unknown>;
          if ((answer['metadata'] as Record<string, unknown>)['mesh'] === mesh) answers.push(answer);
        },
      });
      nc.publish(`$SRV.${verb}${suffix}`, '', { reply: inbox });
      await waitUntil(`${count} agents answer $SRV.${verb}${suffix}`, () => answers.length >= count);
      subscription.unsubscribe();
      return answers;
    },
    close: () => nc.close(),
  };
}

function isTerminalGoal(status: string): boolean {
  return (GOAL_TERMINAL as readonly string[]).includes(status);
}

const READ_MS_MAX = 20_000;
/** One request for everything is in trouble where the messages are large. */
const READ_AT_ONCE = 1_000;

/** Messages of a stream in order: all of them, or the last of each subject. */
export async function readStream(
  nc: NatsConnection,
  stream: string,
  filter: string,
  deliver: DeliverPolicy = DeliverPolicy.All,
): Promise<StreamMessage[]> {
  const jsm = await jetstreamManager(nc);
  const { name, num_pending: pending } = await jsm.consumers.add(stream, {
    filter_subject: filter,
    deliver_policy: deliver,
    ack_policy: AckPolicy.None,
    mem_storage: true,
    inactive_threshold: 60_000_000_000,
  });
  const read: StreamMessage[] = [];
  try {
    if (pending === 0) return read;
    const consumer = await jetstream(nc).consumers.get(stream, name);
    for (let before = -1; before < read.length && read.length < pending; ) {
      before = read.length;
      const most = Math.min(pending - read.length, READ_AT_ONCE);
      for await (const message of await consumer.fetch({ max_messages: most, expires: READ_MS_MAX })) {
        const origin = message.headers?.get('Nats-Stream-Source').split(' ')[1];
        const { subject, seq: sequence, data } = message;
        const found = { subject, sequence, data, storedAt: message.time.getTime() };
        read.push(origin ? { ...found, origin: Number(origin) } : found);
      }
    }
  } finally {
    await jsm.consumers.delete(stream, name);
  }
  if (read.length < pending)
    throw new Error(`Expected ${pending} messages of ${stream} (${filter}), read ${read.length}.`);
  return read;
}

export function jsonOf(data: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(data));
}

function bytesOf(value: unknown): Uint8Array | string {
  return typeof value === 'string' || value instanceof Uint8Array ? value : JSON.stringify(value);
}

/** Opened with the first use: before the first agent there is nothing to open. */
function opener<T>(open: () => Promise<T>): () => Promise<T> {
  let opened: Promise<T> | undefined;
  return () => (opened ??= open());
}
