/**
 * The life of one goal as it happens. Two sources, because one is not enough: a key-value watch tells at once but can fall silent for a
 * minute when its consumer or its server dies, so a slow poll asks the stream itself whether anything was missed and starts a new watch.
 */
import { type KV, Kvm } from '@nats-io/kv';
import type { NatsConnection } from '@nats-io/transport-node';
import { isTerminalGoal } from '../protocol/goal.ts';
import type { Subjects } from '../protocol/subjects.ts';
import { isPassing } from './mesh-client-failure.ts';
import { readMessage, type StreamMessage, scanStream } from './mesh-client-read.ts';
import { type GoalChange, recordReader } from './mesh-client-records.ts';

export interface FollowOptions {
  /** False: the goal's own record only. */
  readonly tasks: boolean;
  /** How often the stream is asked whether the watch missed anything, milliseconds. */
  readonly pollMs?: number;
  readonly signal: AbortSignal;
}

export type FollowEvent =
  | GoalChange
  /** Nothing happened for one poll; all that stands has been told. */
  | { readonly kind: 'quiet' }
  /** The broker does not answer; we go on asking. Told once per outage. */
  | { readonly kind: 'silent'; readonly detail: string };

const POLL_MS = 2_000;
/** A broker that is gone for longer than this ends the follower with its error. */
const SILENCE_MAX_MS = 60_000;

/**
 * Yields the present state (last revision of each record), then every change, and ends after the goal's terminal record and the last
 * of its tasks. A goal without a record is waited for. Ends silently when `signal` aborts.
 */
export async function* followGoal(
  nc: NatsConnection,
  subjects: Subjects,
  goalId: string,
  options: FollowOptions,
): AsyncGenerator<FollowEvent, void, undefined> {
  const { signal, pollMs = POLL_MS } = options;
  const records = recordReader(nc, subjects);
  const filters = [records.goalSubject(goalId), ...(options.tasks ? [records.tasksSubject(goalId)] : [])];
  /** Every revision up to here was told. */
  let cursor = 0;
  let ended = false;

  const told = (message: StreamMessage): GoalChange | undefined => {
    if (message.sequence <= cursor) return undefined;
    cursor = message.sequence;
    const change = records.change(goalId, message);
    if (change?.kind === 'goal' && isTerminalGoal(change.record)) ended = true;
    return change;
  };

  for await (const message of scanStream(nc, subjects.dagStream, filters, { kind: 'last-per-subject' })) {
    const change = told(message);
    if (change !== undefined) yield change;
    if (signal.aborted) return;
  }
  if (ended) return;

  const watch = watcher(nc, subjects, [
    subjects.goalKey(goalId),
    ...(options.tasks ? [subjects.tasksOfGoal(goalId)] : []),
  ]);
  watch.startFrom(cursor + 1);
  let missedInARow = 0;
  let silentSince: number | undefined;
  try {
    while (!signal.aborted) {
      const heard = ended && silentSince === undefined ? false : await watch.next(pollMs, signal);
      for (const message of watch.take()) {
        const change = told(message);
        if (change !== undefined) yield change;
      }
      if (heard && !ended) continue;
      // The watch delivers in order, so whatever the stream has after the cursor was missed, or is on its way.
      const last = ended;
      let missed = 0;
      try {
        for await (const message of since(nc, subjects.dagStream, filters, () => cursor + 1)) {
          const change = told(message);
          if (change !== undefined) yield change;
          missed += 1;
        }
      } catch (error) {
        if (!isPassing(error)) throw error;
        if (silentSince === undefined) {
          yield { kind: 'silent', detail: error instanceof Error ? error.message : String(error) };
        }
        silentSince ??= Date.now();
        if (Date.now() - silentSince > SILENCE_MAX_MS) throw error;
        continue;
      }
      silentSince = undefined;
      // The goal's record is the last one of all, so one round after it has told everything.
      if (last) return;
      missedInARow = missed > 0 ? missedInARow + 1 : 0;
      if (missedInARow > 1) watch.startFrom(cursor + 1);
      if (missed === 0) yield { kind: 'quiet' };
    }
  } finally {
    watch.stop();
  }
}

/** All messages from a sequence on that match, by single reads: no consumer that could stall. */
async function* since(
  nc: NatsConnection,
  stream: string,
  filters: readonly string[],
  from: () => number,
): AsyncGenerator<StreamMessage> {
  for (;;) {
    const next = await Promise.all(
      filters.map((filter) => readMessage(nc, stream, { seq: from(), next_by_subj: filter })),
    );
    const [first] = next.filter((message) => message !== undefined).sort((a, b) => a.sequence - b.sequence);
    if (first === undefined) return;
    yield first;
  }
}

interface Watcher {
  /** Drops the watch that is there, if any, and begins at a revision. */
  startFrom(revision: number): void;
  /** True as soon as something waits to be taken; false after `ms` or when the signal aborts. */
  next(ms: number, signal: AbortSignal): Promise<boolean>;
  take(): readonly StreamMessage[];
  stop(): void;
}

function watcher(nc: NatsConnection, subjects: Subjects, keys: string[]): Watcher {
  let waiting: StreamMessage[] = [];
  let wake = () => {};
  let generation = 0;
  let stopCurrent = () => {};
  let bucket: Promise<KV> | undefined;

  async function run(revision: number, mine: number): Promise<void> {
    bucket ??= new Kvm(nc).open(subjects.dagBucket, { allow_direct: false });
    const iterator = await (await bucket).watch({ key: keys, resumeFromRevision: revision });
    if (mine !== generation) return iterator.stop();
    stopCurrent = () => iterator.stop();
    for await (const entry of iterator) {
      if (mine !== generation) return;
      waiting.push({
        subject: subjects.dagSubject(entry.key),
        sequence: entry.revision,
        data: entry.value,
        storedAt: entry.created.getTime(),
        marker: entry.operation !== 'PUT',
      });
      wake();
    }
  }

  return {
    startFrom(revision) {
      stopCurrent();
      generation += 1;
      // A watch that cannot start or breaks is only slower: the poll finds what it would have told.
      run(revision, generation).catch(() => {
        bucket = undefined;
      });
    },
    next(ms, signal) {
      if (waiting.length > 0) return Promise.resolve(true);
      return new Promise((resolve) => {
        const finish = (heard: boolean) => {
          clearTimeout(timer);
          signal.removeEventListener('abort', onAbort);
          wake = () => {};
          resolve(heard);
        };
        const onAbort = () => finish(false);
        const timer = setTimeout(() => finish(false), ms);
        signal.addEventListener('abort', onAbort, { once: true });
        wake = () => finish(true);
        if (signal.aborted) finish(false);
      });
    },
    take() {
      const taken = waiting;
      waiting = [];
      return taken;
    },
    stop() {
      generation += 1;
      stopCurrent();
    },
  };
}
