/**
 * Streams as files and back, by JetStream's own snapshots. A folder per stream with `backup.json` and `stream.tar.s2`, the files that the `nats`
 * command line writes and reads as well. Messages keep their sequences, consumers what they have acknowledged.
 */
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { createInbox, type NatsConnection } from '@nats-io/transport-node';
import type { Subjects } from '../protocol/subjects.ts';
import { inboxPrefixOf } from './requests.ts';

const CHUNK_BYTES = 128 * 1024;
const ANSWER_MS_MAX = 10_000;
/** The server unpacks, checks and, on a cluster, copies the whole stream before it answers. */
const UNPACK_MS_MAX = 3_600_000;
const COPY_MS_MAX = 120_000;
const COPY_POLL_MS = 250;
const NO_CONTENT = 204;
const NOT_FOUND = 10_059;
const NAME_IN_USE = new Set([10_058, 10_130]);

/** One line: which stream, what happened, what to do. */
class BackupFailed extends Error {}

export interface BackedUp {
  readonly stream: string;
  readonly messages: number;
  readonly bytes: number;
}

/**
 * The streams that a mesh cannot be without, in the order in which they are to be read from a mesh that runs: the log goes on from the state
 * that it is restored beside, never past it (I9); and a receipt without its goal is accepted again, a goal without its receipt would have no timer (I5).
 */
function streamsToKeep(subjects: Subjects): readonly string[] {
  const { logStream, dagStream, deadStream, blobsBucket, goalsStream } = subjects;
  return [logStream, dagStream, deadStream, `OBJ_${blobsBucket}`, goalsStream];
}

/** `folder` is there, and may be written to. @throws BackupFailed; what was written by then stays, and cannot be restored: the submissions come last. */
export async function backupMesh(nc: NatsConnection, subjects: Subjects, folder: string): Promise<readonly BackedUp[]> {
  const done: BackedUp[] = [];
  for (const stream of streamsToKeep(subjects)) {
    done.push(
      await backupStream(nc, stream, join(folder, stream)).catch(
        explain(`stream ${stream}: cannot be written; back up to another folder, with room for it`),
      ),
    );
  }
  return done;
}

/** `replicas`: other than when it was backed up. @throws BackupFailed; what was restored by then stands. */
export async function restoreMesh(
  nc: NatsConnection,
  subjects: Subjects,
  folder: string,
  replicas: number | undefined,
): Promise<readonly BackedUp[]> {
  const done: BackedUp[] = [];
  for (const stream of streamsToKeep(subjects).toReversed()) {
    const isLog = stream === subjects.logStream;
    const changes = {
      ...(replicas === undefined ? {} : { num_replicas: replicas }),
      ...(isLog ? { sources: [] } : {}),
    };
    const restored = restoreStream(nc, stream, join(folder, stream), changes);
    done.push(
      await restored.catch(explain(`stream ${stream}: ${folder} holds no whole backup of it; name another one`)),
    );
  }
  const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: ANSWER_MS_MAX });
  for (const { stream, messages } of done) await everyCopyIsThere(jsm, stream, messages);
  await goOnSourcing(jsm, subjects);
  return done;
}

/** On a cluster the broker answers when the first copy is there; with that server the stream would go again. Throws BackupFailed. */
async function everyCopyIsThere(jsm: JetStreamManager, stream: string, messages: number): Promise<void> {
  const deadline = Date.now() + COPY_MS_MAX;
  for (;;) {
    const info = await jsm.streams.info(stream).catch(() => undefined);
    const copies = info?.cluster?.replicas ?? [];
    const isWhole = info !== undefined && copies.length === info.config.num_replicas - 1;
    if (isWhole && info.state.messages >= messages && copies.every(({ current, lag }) => current && !(lag > 0))) return;
    if (Date.now() > deadline) {
      throw new BackupFailed(
        `stream ${stream}: restored, but not all of its copies are there after ${COPY_MS_MAX / 1_000} s; look at the brokers before agents are started`,
      );
    }
    await pause(COPY_POLL_MS);
  }
}

/**
 * A restored stream is a new one to the broker: left to itself, the log would read all of it again, and hold everything twice (I9). It goes on after
 * the last revision that it holds.
 */
async function goOnSourcing(jsm: JetStreamManager, subjects: Subjects): Promise<void> {
  const last = await jsm.streams.getMessage(subjects.logStream, { last_by_subj: subjects.dagWildcard });
  const sequence = Number(last?.header.get('Nats-Stream-Source').split(' ')[1] ?? 0);
  const from = { name: subjects.dagStream, filter_subject: subjects.dagWildcard };
  await jsm.streams.update(subjects.logStream, { sources: [{ ...from, opt_start_seq: sequence + 1 }] });
}

async function backupStream(nc: NatsConnection, stream: string, folder: string): Promise<BackedUp> {
  const inbox = createInbox(inboxPrefixOf(nc));
  const chunks = nc.subscribe(inbox);
  try {
    const answer = await ask(nc, `$JS.API.STREAM.SNAPSHOT.${stream}`, {
      deliver_subject: inbox,
      chunk_size: CHUNK_BYTES,
      jsck: true,
    });
    // Never over an older backup: one that breaks off would leave a log that is past the task graph beside it (I9).
    await mkdir(folder, { mode: 0o700 });
    const file = await open(join(folder, 'stream.tar.s2'), 'w', 0o600);
    let bytes = 0;
    let heardAt = Date.now();
    const watch = setInterval(() => {
      if (Date.now() - heardAt > ANSWER_MS_MAX) chunks.unsubscribe();
    }, 1_000);
    let ended = false;
    try {
      for await (const message of chunks) {
        const { data, headers } = message;
        heardAt = Date.now();
        if (data.length === 0) {
          const code = headers?.code ?? NO_CONTENT;
          if (code !== NO_CONTENT && code !== 0) {
            throw new BackupFailed(
              `stream ${stream}: the broker broke the backup off (${code} ${headers?.description}); try again`,
            );
          }
          ended = true;
          break;
        }
        // First: the broker waits for it, not for our disk.
        message.respond();
        // Not `write`, which a full disk may end early, without an error.
        await file.appendFile(data);
        bytes += data.length;
      }
      await file.sync();
    } finally {
      clearInterval(watch);
      await file.close();
    }
    if (!ended) throw new BackupFailed(`stream ${stream}: the broker stopped sending after ${bytes} bytes; try again`);
    const { config, state } = answer;
    await writeFile(join(folder, 'backup.json'), `${JSON.stringify({ config, state }, null, 2)}\n`, { mode: 0o600 });
    return { stream, messages: messagesOf(state), bytes };
  } finally {
    chunks.unsubscribe();
  }
}

async function restoreStream(
  nc: NatsConnection,
  stream: string,
  folder: string,
  changes: Readonly<Record<string, unknown>>,
): Promise<BackedUp> {
  const { config, state } = fieldsOf(JSON.parse(await readFile(join(folder, 'backup.json'), 'utf8')));
  const wanted = { ...fieldsOf(config), ...changes };
  const answer = await ask(nc, `$JS.API.STREAM.RESTORE.${stream}`, { config: wanted, state });
  const target = answer['deliver_subject'];
  if (typeof target !== 'string') throw new BackupFailed(`stream ${stream}: the broker names no place to restore to`);
  const file = await open(join(folder, 'stream.tar.s2'), 'r');
  let bytes = 0;
  try {
    const chunk = new Uint8Array(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length);
      if (bytesRead === 0) break;
      const taken = await nc.request(target, chunk.slice(0, bytesRead), { timeout: ANSWER_MS_MAX });
      if (taken.data.length > 0) throw failure(stream, taken.json());
      bytes += bytesRead;
    }
  } finally {
    await file.close();
  }
  const last = await nc.request(target, '', { timeout: UNPACK_MS_MAX });
  const restored = fieldsOf(last.json());
  if (restored['error'] !== undefined) throw failure(stream, restored);
  return { stream, messages: messagesOf(restored['state']), bytes };
}

async function ask(nc: NatsConnection, subject: string, body: object): Promise<Readonly<Record<string, unknown>>> {
  const answer = fieldsOf((await nc.request(subject, JSON.stringify(body), { timeout: ANSWER_MS_MAX })).json());
  if (answer['error'] !== undefined) throw failure(subject.split('.').at(-1) ?? subject, answer);
  return answer;
}

function failure(stream: string, answer: unknown): BackupFailed {
  const { err_code: code, description } = fieldsOf(fieldsOf(answer)['error']);
  if (typeof code === 'number' && NAME_IN_USE.has(code)) {
    return new BackupFailed(
      `stream ${stream} is there already; restore to a broker without this mesh, or delete the stream first`,
    );
  }
  if (code === NOT_FOUND) return new BackupFailed(`stream ${stream} is not there; is MESH right?`);
  return new BackupFailed(`stream ${stream}: the broker says ${String(description)} (${String(code)})`);
}

/** For `catch`: what the file system says, with what it means. */
function explain(meaning: string): (error: unknown) => never {
  return (error) => {
    const isOfFiles = error instanceof Error && ('syscall' in error || error instanceof SyntaxError);
    throw isOfFiles ? new BackupFailed(`${meaning} (${error.message})`, { cause: error }) : error;
  };
}

function messagesOf(state: unknown): number {
  const { messages } = fieldsOf(state);
  return typeof messages === 'number' ? messages : 0;
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
