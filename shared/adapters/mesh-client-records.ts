/** Goals and tasks as their records stand in the DAG bucket. */
import type { NatsConnection } from '@nats-io/transport-node';
import type { z } from 'zod';
import { decode } from '../protocol/codec.ts';
import { GoalRecord } from '../protocol/goal.ts';
import { Ledger } from '../protocol/ledger.ts';
import { Revision } from '../protocol/plan.ts';
import type { Subjects } from '../protocol/subjects.ts';
import { TaskRecord } from '../protocol/task.ts';
import { RecordUnreadable } from './mesh-client-failure.ts';
import { readMessage, type StreamMessage, scanStream } from './mesh-client-read.ts';

/** A record and the revision that it was read at. */
export interface Revised<T> {
  readonly record: T;
  readonly revision: number;
}

export type GoalChange =
  | { readonly kind: 'goal'; readonly revision: number; readonly record: GoalRecord }
  | { readonly kind: 'task'; readonly revision: number; readonly record: TaskRecord };

export function recordReader(nc: NatsConnection, subjects: Subjects) {
  const goalSubject = (goalId: string) => subjects.dagSubject(subjects.goalKey(goalId));
  const tasksSubject = (goalId: string) => subjects.dagSubject(subjects.tasksOfGoal(goalId));

  return {
    goalSubject,
    tasksSubject,

    async goal(goalId: string): Promise<Revised<GoalRecord> | undefined> {
      const message = await readMessage(nc, subjects.dagStream, { last_by_subj: goalSubject(goalId) });
      return message === undefined || message.marker
        ? undefined
        : { record: read(GoalRecord, message), revision: message.sequence };
    },

    async task(goalId: string, taskId: string): Promise<TaskRecord | undefined> {
      const message = await readMessage(nc, subjects.dagStream, {
        last_by_subj: subjects.dagSubject(subjects.taskKey(goalId, taskId)),
      });
      return message === undefined || message.marker ? undefined : read(TaskRecord, message);
    },

    /** The goal's account; undefined while nothing was spent. */
    async ledger(goalId: string): Promise<Ledger | undefined> {
      const subject = subjects.dagSubject(subjects.ledgerKey(goalId));
      const message = await readMessage(nc, subjects.dagStream, { last_by_subj: subject });
      return message === undefined || message.marker ? undefined : read(Ledger, message);
    },

    /** All tasks of a goal, in the order in which they were last changed. */
    async tasks(goalId: string): Promise<readonly TaskRecord[]> {
      const found = new Map<string, TaskRecord>();
      for await (const message of scanStream(nc, subjects.dagStream, [tasksSubject(goalId)], {
        kind: 'last-per-subject',
      })) {
        if (!message.marker) found.set(message.subject, read(TaskRecord, message));
      }
      return [...found.values()];
    },

    /** How its graph was changed while it ran, in order. */
    async revisions(goalId: string): Promise<readonly Revision[]> {
      const found: Revision[] = [];
      const subject = subjects.dagSubject(subjects.revisionsOfGoal(goalId));
      for await (const message of scanStream(nc, subjects.dagStream, [subject], { kind: 'last-per-subject' })) {
        if (!message.marker) found.push(read(Revision, message));
      }
      return found.toSorted((one, other) => one.revision - other.revision);
    },

    /** All goals of the mesh, as a stream; one that cannot be read is the error that says so. */
    async *goals(): AsyncGenerator<GoalRecord | RecordUnreadable, void, undefined> {
      const every = subjects.dagSubject(GOAL_KEYS);
      for await (const message of scanStream(nc, subjects.dagStream, [every], { kind: 'last-per-subject' })) {
        if (message.marker) continue;
        const decoded = decode(GoalRecord, message.data);
        yield decoded.ok ? decoded.value : unreadable(message, decoded.message);
      }
    },

    /** A revision of the goal or of one of its tasks; undefined for a marker. */
    change(goalId: string, message: StreamMessage): GoalChange | undefined {
      if (message.marker) return undefined;
      if (message.subject === goalSubject(goalId))
        return { kind: 'goal', revision: message.sequence, record: read(GoalRecord, message) };
      return { kind: 'task', revision: message.sequence, record: read(TaskRecord, message) };
    },
  };
}

/** Key pattern of all goals. */
const GOAL_KEYS = 'goal.*';

function read<T>(schema: z.ZodType<T>, message: StreamMessage): T {
  const decoded = decode(schema, message.data);
  if (!decoded.ok) throw unreadable(message, decoded.message);
  return decoded.value;
}

function unreadable(message: StreamMessage, detail: string): RecordUnreadable {
  return new RecordUnreadable(
    `the record at ${message.subject}, revision ${message.sequence}, is not of protocol version 1 (${detail}); was it written by another version?`,
  );
}
