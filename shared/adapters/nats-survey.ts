/** The mesh from the broker's side: its queues, submissions, streams and account, by the JetStream API. */
import {
  type ConsumerInfo,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  type StreamInfo,
} from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { SurveyedStream, Surveyor } from '../ports.ts';
import type { Subjects } from '../protocol/subjects.ts';

/** Shorter than the client gives a frozen broker: a survey must not outlast its interval by much. */
const TIMEOUT_MS = 2_000;
/** Consumers come 256 a page; watches of strangers are among them. What is beyond this is not looked at (I10). */
const PAGES_MAX = 8;
const STREAM_NOT_FOUND = 10059;

export function natsSurveyor(nc: NatsConnection, subjects: Subjects): Surveyor {
  const manager = (): Promise<JetStreamManager> => jetstreamManager(nc, { checkAPI: false, timeout: TIMEOUT_MS });

  async function oldestOf(jsm: JetStreamManager, capability: string, info: ConsumerInfo): Promise<number | undefined> {
    if (info.num_pending === 0) return undefined;
    const query = { seq: info.delivered.stream_seq + 1, next_by_subj: subjects.readyOfCapability(capability) };
    const item = await jsm.streams.getMessage(subjects.dagStream, query);
    return item?.time.getTime();
  }

  return {
    async queues() {
      const jsm = await manager();
      const pages = jsm.consumers.list(subjects.dagStream);
      const found: ConsumerInfo[] = [];
      for (let page = 0; page < PAGES_MAX; page += 1) {
        const infos = await pages.next();
        if (infos.length === 0) break;
        found.push(...infos);
      }
      return Promise.all(
        found.flatMap((info) => {
          const capability = subjects.capabilityOfConsumer(info.name);
          if (capability === undefined) return [];
          const { num_pending: waiting, num_ack_pending: held, num_redelivered: redelivered } = info;
          const of = { capability, waiting, held, redelivered };
          return [oldestOf(jsm, capability, info).then((oldestAt) => ({ ...of, oldestAt }))];
        }),
      );
    },
    async goals() {
      const jsm = await manager();
      const [intake, stream] = await Promise.all([
        jsm.consumers.info(subjects.goalsStream, subjects.intakeConsumer),
        jsm.streams.info(subjects.goalsStream),
      ]);
      const { messages, first_ts: first } = stream.state;
      return {
        waiting: intake.num_pending,
        open: intake.num_ack_pending,
        oldestAt: messages === 0 ? undefined : new Date(first).getTime(),
      };
    },
    async streams() {
      const jsm = await manager();
      const names = [
        ['goals', subjects.goalsStream],
        ['dag', subjects.dagStream],
        ['log', subjects.logStream],
        ['dead', subjects.deadStream],
        ['agents', subjects.agentsStream],
        ['blobs', `OBJ_${subjects.blobsBucket}`],
      ] as const;
      const found = await Promise.all(
        names.map(async ([stream, name]) => {
          try {
            return [surveyed(stream, await jsm.streams.info(name))];
          } catch (error) {
            if (error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND) return [];
            // Whoever cannot reach the broker at all learns nothing about its streams.
            await nc.rtt();
            return [{ stream, led: false as const }];
          }
        }),
      );
      return found.flat();
    },
    async account() {
      const { storage, memory, limits } = await (await manager()).getAccountInfo();
      const limit = limits.max_storage;
      return { storageBytes: storage, memoryBytes: memory, storageLimitBytes: limit < 0 ? Infinity : limit };
    },
  };
}

function surveyed(stream: SurveyedStream['stream'], info: StreamInfo): SurveyedStream {
  const { config, state, cluster, sources } = info;
  // A server that lost its quorum still answers what it knows, and names no leader. A single server has no cluster to speak of.
  if (cluster !== undefined && (cluster.leader ?? '') === '') return { stream, led: false };
  const others = (cluster?.replicas ?? []).filter((peer) => peer.current && !peer.offline);
  return {
    stream,
    led: true,
    messages: state.messages,
    bytes: state.bytes,
    replicas: config.num_replicas,
    current: 1 + others.length,
    sourceLag: sources?.[0]?.lag,
  };
}
