/** What the log stream holds of one goal: its transitions, the messages between agents about it, and its vote rounds (I9). */
import type { NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import { decode } from '../protocol/codec.ts';
import { GoalRecord } from '../protocol/goal.ts';
import { AgentMessage } from '../protocol/message.ts';
import type { Subjects } from '../protocol/subjects.ts';
import { TaskRecord } from '../protocol/task.ts';
import { Ballot, RoundRecord, VoteRequest } from '../protocol/vote.ts';
import { type StreamMessage, scanStream } from './mesh-client-read.ts';

interface Place {
  /** Sequence in the log stream. */
  readonly sequence: number;
  /** When the log stored it, milliseconds since the epoch. */
  readonly at: number;
  readonly subject: string;
}

export type LogEntry = Place &
  (
    | { readonly kind: 'goal'; readonly record: GoalRecord }
    | { readonly kind: 'task'; readonly record: TaskRecord }
    | { readonly kind: 'message'; readonly record: AgentMessage }
    | { readonly kind: 'vote'; readonly record: VoteRequest }
    | { readonly kind: 'ballot'; readonly record: Ballot }
    | { readonly kind: 'round'; readonly record: RoundRecord }
    /** Something about this goal that does not fit the protocol: a forged ballot, a message of another version. */
    | { readonly kind: 'unreadable'; readonly detail: string }
  );

/** The agents' clocks and the broker's may differ by this much, and what is sourced is logged a moment late. */
const SLACK_MS = 60_000;

const About = z.object({
  goalId: z.string().optional(),
  correlationId: z.string().optional(),
  roundId: z.string().optional(),
});

/** Entries in the log's order. Transitions are sourced by the broker, so one may stand a moment after a message that it caused. */
export async function* readLog(
  nc: NatsConnection,
  subjects: Subjects,
  goal: GoalRecord,
): AsyncGenerator<LogEntry, void, undefined> {
  const goalSubject = subjects.dagSubject(subjects.goalKey(goal.goalId));
  const tasks = subjects.dagSubject(subjects.tasksOfGoal(goal.goalId));
  const rounds = subjects.dagSubject(ROUND_KEYS);
  const filters = [
    goalSubject,
    tasks,
    rounds,
    subjects.messagesWildcard,
    subjects.votesWildcard,
    subjects.ballotsWildcard,
  ];
  const from = { kind: 'time', at: Date.parse(goal.createdAt) - SLACK_MS } as const;
  const taskPrefix = tasks.slice(0, -1);
  /** Ballots name only their round, so the rounds of this goal are remembered. */
  const roundsOfGoal = new Set<string>();

  for await (const message of scanStream(nc, subjects.logStream, filters, from)) {
    if (message.marker) continue;
    const { subject } = message;
    if (subject === goalSubject) yield entry(message, 'goal', GoalRecord);
    else if (subject.startsWith(taskPrefix)) yield entry(message, 'task', TaskRecord);
    else {
      const about = decode(About, message.data);
      if (!about.ok) continue;
      const { goalId, correlationId, roundId } = about.value;
      const ours = goalId === goal.goalId || (goalId === undefined && correlationId === goal.correlationId);
      if (ours && roundId !== undefined) roundsOfGoal.add(roundId);
      if (!ours && (roundId === undefined || !roundsOfGoal.has(roundId))) continue;
      if (subject.startsWith(rounds.slice(0, -1))) yield entry(message, 'round', RoundRecord);
      else if (subject.startsWith(subjects.votesWildcard.slice(0, -1))) yield entry(message, 'vote', VoteRequest);
      else if (subject.startsWith(subjects.ballotsWildcard.slice(0, -1))) yield entry(message, 'ballot', Ballot);
      else yield entry(message, 'message', AgentMessage);
    }
  }
}

/** Key pattern of all decisions. */
const ROUND_KEYS = 'round.*';

type Kinds = { [K in Exclude<LogEntry['kind'], 'unreadable'>]: Extract<LogEntry, { kind: K }>['record'] };

function entry<K extends keyof Kinds>(message: StreamMessage, kind: K, schema: z.ZodType<Kinds[K]>) {
  const place = { sequence: message.sequence, at: message.storedAt, subject: message.subject };
  const decoded = decode(schema, message.data);
  return decoded.ok
    ? { ...place, kind, record: decoded.value }
    : { ...place, kind: 'unreadable' as const, detail: decoded.message };
}
