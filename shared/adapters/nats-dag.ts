/**
 * The DAG store on one JetStream stream: reads from the leader, and transitions by group commit.
 *
 * Two ways to write a transition, chosen by load, both safe (measured in ARCHITECTURE):
 *  - plain: the guard first, then the rest pipelined. Lowest latency. A crash in between leaves what the next delivery repeats.
 *  - batch: everything that waits goes into one atomic batch, one in flight per process. Highest throughput.
 */
import type { NatsConnection } from '@nats-io/transport-node';
import type { CommitOutcome, DagStore, Held, Stored, Write } from '../ports.ts';
import { parseTrusted } from '../protocol/codec.ts';
import type { Subjects } from '../protocol/subjects.ts';
import { lastOfEach } from './direct-get.ts';
import { ConnectionBroke } from './outage.ts';
import { requestsOf } from './requests.ts';
import { type Pace, paceOf } from './pace.ts';
import { type PublishAnswer, publishBatch, publishOne } from './publish.ts';

export interface DagOptions {
  /** Writes in flight up to which a transition goes out by itself; beyond it transitions wait, and go out the way that is quicker. */
  readonly plainInFlightMax?: number;
  /** Writes of one batch; the server takes at most 1000. */
  readonly batchMax?: number;
  /** Measure the broker's flush at every connect; for processes that stay. */
  readonly measureFlush?: boolean;
  /** How long a write of unknown outcome is repeated before the caller hears of it, ms. */
  readonly patienceMs?: number;
  /** Absent: one of its own. */
  readonly pace?: Pace;
}

/** The broker did not answer for longer than our patience: nothing is known of the transition. */
class StoreUnavailable extends Error {}
/** The broker refuses the write itself. */
class WriteRefused extends Error {}

interface Pending {
  readonly writes: readonly Write[];
  readonly resolve: (outcome: CommitOutcome) => void;
  readonly reject: (error: Error) => void;
}

const BATCH_MAX = 500;
const PATIENCE_MS = 300_000;
const RETRY_MS = 250;
/** More keys than this are read by one ordered scan. */
const READ_WINDOW = 256;
const NOT_FOUND = 10037;

export function natsDagStore(nc: NatsConnection, subjects: Subjects, options: DagOptions = {}): DagStore {
  const pace = options.pace ?? paceOf();
  const batchMax = options.batchMax ?? BATCH_MAX;
  const patienceMs = options.patienceMs ?? PATIENCE_MS;
  const queue: Pending[] = [];
  let plainInFlight = 0;
  let batchInFlight = false;

  if (options.measureFlush === true) {
    const measure = (): void => void flushOf(nc, subjects).then(pace.flushTakes, () => undefined);
    measure();
    void (async () => {
      for await (const status of nc.status()) if (status.type === 'reconnect') measure();
    })();
  }

  async function settle(
    write: Write,
    first: PublishAnswer,
  ): Promise<{ stored: true; revision: number } | { stored: false }> {
    const giveUpAt = Date.now() + patienceMs;
    for (let answer = first; ; answer = await publishOne(nc, write)) {
      if (answer.kind === 'stored') return { stored: true, revision: answer.sequence };
      if (answer.kind === 'refused') throw new WriteRefused(`${write.subject}: ${answer.detail}`);
      if (answer.kind === 'conflict') {
        // An earlier try of ours may be what stands there: the bytes are our token (they name agent, attempt and time).
        const standing = await readSubject(write.subject);
        return standing !== undefined && Buffer.compare(standing.data, write.data) === 0
          ? { stored: true, revision: standing.revision }
          : { stored: false };
      }
      if (Date.now() > giveUpAt || nc.isClosed()) throw new StoreUnavailable(`${write.subject}: ${answer.detail}`);
      await pause(RETRY_MS);
    }
  }

  async function send(write: Write): Promise<PublishAnswer> {
    pace.plainSent();
    const answer = await publishOne(nc, write);
    pace.plainAnswered(answer.kind === 'unknown' ? undefined : performance.now());
    return answer;
  }

  async function plain(writes: readonly Write[]): Promise<CommitOutcome>;
  async function plain(writes: readonly Write[], doubt: Promise<boolean>): Promise<CommitOutcome | Held>;
  async function plain(writes: readonly Write[], doubt?: Promise<boolean>): Promise<CommitOutcome | Held> {
    const [guard, ...rest] = writes;
    if (guard === undefined) throw new WriteRefused('an empty transition');
    plainInFlight += writes.length;
    try {
      const outcome = await settle(guard, await send(guard));
      if (!outcome.stored) return { status: 'conflict' };
      if (doubt !== undefined && (await doubt)) return { status: 'held', revision: outcome.revision };
      const answers = rest.map(send);
      const settled = await Promise.all(
        rest.map(async (write, index) =>
          settle(write, (await answers[index]) ?? { kind: 'unknown', detail: 'not sent' }),
        ),
      );
      return {
        status: 'committed',
        revisions: [outcome.revision, ...settled.map((each) => (each.stored ? each.revision : undefined))],
      };
    } finally {
      plainInFlight -= writes.length;
      pump();
    }
  }

  function run(pending: Pending): void {
    plain(pending.writes).then(pending.resolve, pending.reject);
  }

  /** As many waiting transitions as fit, no subject twice: a guard must come before any write to its subject. */
  function takeBatch(): Pending[] {
    const taken: Pending[] = [];
    const touched = new Set<string>();
    let size = 0;
    for (let index = 0; index < queue.length; ) {
      const pending = queue[index];
      if (pending === undefined || (size > 0 && size + pending.writes.length > batchMax)) break;
      if (pending.writes.some((write) => touched.has(write.subject))) {
        index += 1;
        continue;
      }
      for (const write of pending.writes) touched.add(write.subject);
      size += pending.writes.length;
      taken.push(pending);
      queue.splice(index, 1);
    }
    return taken;
  }

  async function group(transitions: readonly Pending[]): Promise<void> {
    const writes = transitions.flatMap((pending) => pending.writes);
    const startedAt = performance.now();
    const answer = await publishBatch(nc, writes);
    // One without an answer took as long as we waited, not as long as the broker does.
    if (answer.kind !== 'unknown') pace.batched(performance.now() - startedAt);
    if (answer.kind !== 'stored') {
      // One failed guard fails the whole batch, and an unknown outcome is settled write by write: each transition by itself finds out.
      for (const pending of transitions) run(pending);
      return;
    }
    let sequence = answer.sequence - writes.length;
    for (const pending of transitions)
      pending.resolve({ status: 'committed', revisions: pending.writes.map(() => (sequence += 1)) });
  }

  function pump(): void {
    while (!batchInFlight && queue.length > 0) {
      const waiting = queue.reduce((sum, pending) => sum + pending.writes.length, 0);
      if (pace.way(waiting + plainInFlight) === 'plain') {
        const [next] = queue;
        if (next === undefined || !fits(next.writes)) return;
        queue.shift();
        run(next);
        continue;
      }
      const transitions = takeBatch();
      const [only] = transitions;
      if (
        only !== undefined &&
        transitions.length === 1 &&
        (only.writes.length === 1 || only.writes.length > batchMax)
      ) {
        run(only);
        continue;
      }
      batchInFlight = true;
      void group(transitions).finally(() => {
        batchInFlight = false;
        pump();
      });
    }
  }

  /** A transition larger than the window goes out when nothing else does. */
  function fits(writes: readonly Write[]): boolean {
    return plainInFlight === 0 || plainInFlight + writes.length <= (options.plainInFlightMax ?? pace.window());
  }

  async function readSubject(subject: string): Promise<Stored | undefined> {
    const giveUpAt = Date.now() + patienceMs;
    for (;;) {
      try {
        return await lastOfSubject(nc, subjects.dagStream, subject);
      } catch (error) {
        if (Date.now() > giveUpAt || nc.isClosed()) throw new StoreUnavailable(`reading ${subject}: ${String(error)}`);
        await pause(RETRY_MS);
      }
    }
  }

  /** Lists what stands below a pattern; one that a break of the connection cut off begins again. */
  async function scanPatiently(patterns: readonly string[]): Promise<ReadonlyMap<string, Stored>> {
    const giveUpAt = Date.now() + patienceMs;
    for (;;) {
      try {
        return await scan(nc, subjects, patterns);
      } catch (error) {
        if (!(error instanceof ConnectionBroke) || Date.now() > giveUpAt || nc.isClosed()) throw error;
        await pause(RETRY_MS);
      }
    }
  }

  function goesPlain(transition: readonly Write[]): boolean {
    const free = !batchInFlight && queue.length === 0 && fits(transition);
    return free && pace.way(transition.length + plainInFlight) === 'plain';
  }

  function commit(transition: readonly Write[]): Promise<CommitOutcome> {
    if (goesPlain(transition)) return plain(transition);
    return new Promise((resolve, reject) => {
      queue.push({ writes: transition, resolve, reject });
      pump();
    });
  }

  return {
    commit,
    async commitUnless(transition, doubt) {
      if (goesPlain(transition)) return plain(transition, doubt);
      return (await doubt) ? { status: 'held', revision: undefined } : commit(transition);
    },
    read: (key) => readSubject(subjects.dagSubject(key)),
    async readMany(keys) {
      const found = new Map<string, Stored>();
      for (let start = 0; start < keys.length; start += READ_WINDOW) {
        const window = keys.slice(start, start + READ_WINDOW);
        const values = await Promise.all(window.map((key) => readSubject(subjects.dagSubject(key))));
        for (const [index, value] of values.entries()) if (value !== undefined) found.set(window[index] ?? '', value);
      }
      return found;
    },
    scan: scanPatiently,
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

interface Found {
  readonly subject: string;
  readonly seq: number;
  readonly data?: string;
  readonly hdrs?: string;
}

/** One message, from the stream's leader. */
async function getMessage(nc: NatsConnection, stream: string, which: object): Promise<Found | undefined> {
  const answer = await requestsOf(nc)(`$JS.API.STREAM.MSG.GET.${stream}`, JSON.stringify(which));
  const body = parseTrusted<{
    readonly message?: Found;
    readonly error?: { readonly err_code?: number; readonly description?: string };
  }>(answer.data);
  if (body.message === undefined && body.error?.err_code !== NOT_FOUND)
    throw new Error(body.error?.description ?? 'no message in the answer');
  return body.message;
}

/** The last message of a subject. */
async function lastOfSubject(nc: NatsConnection, stream: string, subject: string): Promise<Stored | undefined> {
  const found = await getMessage(nc, stream, { last_by_subj: subject });
  // A deleted key is an empty message with this header.
  if (found === undefined || (found.hdrs !== undefined && Buffer.from(found.hdrs, 'base64').includes('KV-Operation')))
    return undefined;
  return { data: Buffer.from(found.data ?? '', 'base64'), revision: found.seq };
}

/** The message of a sequence. */
export async function messageAt(
  nc: NatsConnection,
  stream: string,
  sequence: number,
): Promise<{ readonly subject: string; readonly data: Uint8Array } | undefined> {
  const found = await getMessage(nc, stream, { seq: sequence });
  return found === undefined ? undefined : { subject: found.subject, data: Buffer.from(found.data ?? '', 'base64') };
}

/** Last revisions of many keys, in a few requests: far cheaper than many reads, but a follower may serve it late. */
async function scan(
  nc: NatsConnection,
  subjects: Subjects,
  patterns: readonly string[],
): Promise<ReadonlyMap<string, Stored>> {
  const prefix = subjects.dagSubject('');
  const found = await lastOfEach(nc, subjects.dagStream, patterns.map(subjects.dagSubject));
  return new Map(
    [...found.values()].map(({ subject, sequence, data }) => [
      subject.slice(prefix.length),
      { data, revision: sequence },
    ]),
  );
}

const PROBES = 40;

/** What a stored message takes longer than the bare way, ms: the least of a few, one after the other. The probes expire by themselves. */
async function flushOf(nc: NatsConnection, subjects: Subjects): Promise<number> {
  let bareMs = Number.POSITIVE_INFINITY;
  let storedMs = Number.POSITIVE_INFINITY;
  for (let probe = 0; probe < PROBES; probe += 1) {
    const startedAt = performance.now();
    await nc.flush();
    const between = performance.now();
    const answer = await publishOne(nc, { subject: subjects.probe, data: new Uint8Array(), ttl: PROBE_TTL });
    if (answer.kind !== 'stored') throw new Error('the probe was not stored');
    bareMs = Math.min(bareMs, between - startedAt);
    storedMs = Math.min(storedMs, performance.now() - between);
  }
  return Math.max(0, storedMs - bareMs);
}

const PROBE_TTL = '10s';
