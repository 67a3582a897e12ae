/** A mesh as a user outside it sees it: submit, look, cancel. Nothing here changes a record of a goal or a task; only agents do. */
import { AUCTION_CAPABILITY, subjectsOf } from '../protocol/subjects.ts';
import { deadLetters } from './mesh-client-dead.ts';
import { explainFailure } from './mesh-client-failure.ts';
import { type FollowOptions, followGoal } from './mesh-client-follow.ts';
import { readLog } from './mesh-client-log.ts';
import { recordReader } from './mesh-client-records.ts';
import { runningTasks } from './mesh-client-running.ts';
import { submitter } from './mesh-client-submit.ts';
import { type VerifyOptions, verifyLog } from './mesh-client-verify.ts';
import { natsBlobs } from './nats-blobs.ts';
import { natsBus } from './nats-bus.ts';
import { connectBroker } from './nats-connect.ts';
import { natsDagStore } from './nats-dag.ts';
import { natsRegistry } from './nats-registry.ts';
import { backupMesh, restoreMesh } from './stream-backup.ts';
import { ensureCapability, ensureStreams } from './streams.ts';

export interface MeshOptions {
  readonly url: string;
  /** The mesh's name, an id. */
  readonly mesh: string;
  readonly credsFile?: string;
  readonly nkeySeed?: string;
  /** Path of the certificate (PEM) of whoever signed the broker's. */
  readonly caFile?: string;
}

export type MeshClient = Awaited<ReturnType<typeof openMesh>>;

/** Its token among the agents': replies arrive below `<m>.inbox.cli`, which is all that its permissions need to allow. */
export const CLIENT_ID = 'cli';
/** A person waits: an outage is told, not outlived. */
const STORE_PATIENCE_MS = 10_000;

/** @throws BrokerUnreachable when nothing answers at `url`. */
export async function openMesh(options: MeshOptions) {
  const subjects = subjectsOf(options.mesh);
  const nc = await connectBroker({
    url: options.url,
    name: 'conclave-cli',
    inboxPrefix: subjects.inbox(CLIENT_ID),
    ...(options.credsFile === undefined ? {} : { credsFile: options.credsFile }),
    ...(options.nkeySeed === undefined ? {} : { nkeySeed: options.nkeySeed }),
    ...(options.caFile === undefined ? {} : { caFile: options.caFile }),
  });
  const records = recordReader(nc, subjects);
  return {
    subjects,
    goal: async (goalId: string) => (await records.goal(goalId))?.record,
    task: records.task,
    tasks: records.tasks,
    ledger: records.ledger,
    revisions: records.revisions,
    goals: records.goals,
    ...submitter(nc, subjects),
    follow: (goalId: string, follow: FollowOptions) => followGoal(nc, subjects, goalId, follow),
    /** The story of a goal, from the log stream alone. */
    log: (goalId: string, follow?: AbortSignal) => readLog(nc, subjects, goalId, follow),
    /** Whether the log lacks anything (I9). */
    verifyLog: (verify: VerifyOptions) => verifyLog(nc, subjects, verify),
    dead: deadLetters(nc, subjects),
    agents: natsRegistry(nc, subjects),
    running: runningTasks(nc, subjects, subjects.inbox(CLIENT_ID)),
    blobs: natsBlobs(nc, subjects),
    /** What a vote round needs. */
    bus: natsBus(nc),
    store: natsDagStore(nc, subjects, { patienceMs: STORE_PATIENCE_MS }),
    /** Creates the mesh's streams and buckets, and the queues of these capabilities, where they are missing. */
    init: async (replicas: number, capabilities: readonly string[]) => {
      await ensureStreams(nc, subjects, { replicas });
      for (const capability of new Set([...capabilities, AUCTION_CAPABILITY]))
        await ensureCapability(nc, subjects, capability);
    },
    /** Every stream as files below `folder`, and back to a broker that has none of them. */
    backup: (folder: string) => backupMesh(nc, subjects, folder),
    restore: (folder: string, replicas: number | undefined) => restoreMesh(nc, subjects, folder, replicas),
    /** What `error` means to a person: MeshUnavailable, MeshDenied, or the error itself. */
    explain: (error: unknown) => explainFailure(error, options),
    close: () => nc.close(),
  };
}
