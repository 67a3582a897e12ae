/**
 * The story of one goal from the log stream alone (I9): its transitions, the messages between agents about it, its vote rounds and what it spent, in
 * causal order. The DAG bucket is not read: what the log tells must not depend on what it is there to prove.
 */
import { jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import {
  type GoalState,
  goalChange,
  goalState,
  ledgerChange,
  taskChange,
  type TaskState,
  taskState,
} from '../core/history.ts';
import type { LogEntry } from '../core/log-entry.ts';
import { logOrder } from '../core/log-order.ts';
import { decode, type Decoded } from '../protocol/codec.ts';
import { GoalRecord, isTerminalGoal } from '../protocol/goal.ts';
import { Ledger } from '../protocol/ledger.ts';
import { AgentMessage } from '../protocol/message.ts';
import { Revision } from '../protocol/plan.ts';
import { isBelow, type Subjects } from '../protocol/subjects.ts';
import { TaskRecord } from '../protocol/task.ts';
import { Ballot, RoundRecord, VoteRequest } from '../protocol/vote.ts';
import { lastSequence, readMessage, REQUEST_TIMEOUT_MS, type StreamMessage, scanStream } from './mesh-client-read.ts';

/** The agents' clocks and the broker's may differ by this much, and what is sourced is logged a moment late. */
const SLACK_MS = 60_000;
/** Nothing is said about a goal that was over for so long: late ballots, and what a late model call cost, come sooner. */
const AFTERMATH_MS = 10 * 60_000;
const POLL_MS = 500;
/** A follower leaves this long after the goal's end, so that late ballots are told too. */
const GRACE_MS = 2_000;

/**
 * Yields nothing when the log holds no such goal. With `follow` it goes on until the goal is over, or until that signal aborts; without, it ends with
 * what the log holds now.
 */
export async function* readLog(
  nc: NatsConnection,
  subjects: Subjects,
  goalId: string,
  follow?: AbortSignal,
): AsyncGenerator<LogEntry, void, undefined> {
  const js = jetstream(nc, { timeout: REQUEST_TIMEOUT_MS });
  const { logStream } = subjects;
  const goalSubject = subjects.dagSubject(subjects.goalKey(goalId));
  const first = await readMessage(nc, logStream, { seq: 1, next_by_subj: goalSubject });
  const born = first === undefined ? undefined : decode(GoalRecord, first.data);
  if (first === undefined || born === undefined) return;
  const startedAt = born.ok ? Math.min(Date.parse(born.value.createdAt), first.storedAt) : first.storedAt;

  const reader = goalReader(subjects, goalId, born.ok ? born.value.correlationId : goalId);
  const order = logOrder();
  let cursor = 0;
  /** Where the stream stood when it was last looked at. */
  let seen = 0;
  let over: number | undefined;
  const scan = (): AsyncGenerator<StreamMessage> =>
    scanStream(
      nc,
      logStream,
      reader.filters,
      cursor === 0 ? { kind: 'time', at: startedAt - SLACK_MS } : { kind: 'sequence', from: cursor + 1 },
    );
  for (;;) {
    for await (const message of scan()) {
      cursor = message.sequence;
      if (over !== undefined && message.storedAt - over > AFTERMATH_MS) break;
      const entry = reader.entry(message);
      if (entry === undefined) continue;
      if (entry.kind === 'goal' && isTerminalGoal(entry.record)) over = entry.at;
      yield* order.push(entry);
    }
    if (follow === undefined || follow.aborted || (over !== undefined && Date.now() - over > GRACE_MS)) break;
    yield* order.tick(Date.now());
    for (let grown = false; !grown && !follow.aborted; ) {
      await pause(POLL_MS, follow);
      const last = await lastSequence(js, logStream);
      // After the end one look more is due, whether or not anything came.
      grown = last > seen || over !== undefined;
      seen = last;
    }
  }
  yield* order.end();
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
  });
}

const About = z.object({
  goalId: z.string().optional(),
  correlationId: z.string().optional(),
  roundId: z.string().optional(),
});

/** What a message of the log is to this goal, with the name of the transition where it is one. */
function goalReader(subjects: Subjects, goalId: string, correlationId: string) {
  const state = subjects.dagWildcard;
  const goal = subjects.dagSubject(subjects.goalKey(goalId));
  const ledger = subjects.dagSubject(subjects.ledgerKey(goalId));
  const tasks = subjects.dagSubject(subjects.tasksOfGoal(goalId));
  const plans = subjects.dagSubject(subjects.revisionsOfGoal(goalId));
  const rounds = subjects.dagSubject(subjects.roundKeys);
  const said = [subjects.messagesWildcard, subjects.repliesWildcard, subjects.votesWildcard, subjects.ballotsWildcard];
  /** Ballots name only their round, so the rounds of this goal are remembered. */
  const ours = new Set<string>();
  const taskStates = new Map<string, TaskState>();
  let goalBefore: GoalState | undefined;
  let ledgerBefore: Ledger | undefined;

  function isOurs(data: Uint8Array): boolean {
    const about = decode(About, data);
    if (!about.ok) return false;
    const { roundId, ...names } = about.value;
    const named = names.goalId === goalId || (names.goalId === undefined && names.correlationId === correlationId);
    if (named && roundId !== undefined) ours.add(roundId);
    return named || (roundId !== undefined && ours.has(roundId));
  }

  function ofState(message: StreamMessage): LogEntry | undefined {
    const { subject, data } = message;
    const place = { ...placeOf(message), revision: message.originSequence ?? 0, ...replacesOf(message) };
    const told = <T>(decoded: Decoded<T>, entry: (record: T) => LogEntry): LogEntry =>
      decoded.ok ? entry(decoded.value) : { ...placeOf(message), kind: 'unreadable', detail: decoded.message };
    if (subject === goal) {
      return told(decode(GoalRecord, data), (record) => {
        const change = goalChange(goalBefore, record);
        goalBefore = goalState(record);
        return { ...place, kind: 'goal', change, record };
      });
    }
    if (subject === ledger) {
      return told(decode(Ledger, data), (record) => {
        const change = ledgerChange(ledgerBefore, record);
        ledgerBefore = record;
        return { ...place, kind: 'cost', change, record };
      });
    }
    if (isBelow(tasks, subject)) {
      return told(decode(TaskRecord, data), (record) => {
        const before = taskStates.get(subject);
        const after = taskState(record);
        taskStates.set(subject, after);
        const agentId = after.agentId ?? before?.agentId;
        const change = taskChange(before, record);
        return { ...place, kind: 'task', change, ...(agentId === undefined ? {} : { agentId }), record };
      });
    }
    if (isBelow(plans, subject)) return told(decode(Revision, data), (record) => ({ ...place, kind: 'plan', record }));
    return isOurs(data)
      ? told(decode(RoundRecord, data), (record) => ({ ...place, kind: 'round', record }))
      : undefined;
  }

  function ofTalk(message: StreamMessage): LogEntry | undefined {
    const { subject, data } = message;
    if (!isOurs(data)) return undefined;
    const place = placeOf(message);
    const told = <T>(decoded: Decoded<T>, entry: (record: T) => LogEntry): LogEntry =>
      decoded.ok ? entry(decoded.value) : { ...place, kind: 'unreadable', detail: decoded.message };
    if (isBelow(subjects.votesWildcard, subject))
      return told(decode(VoteRequest, data), (record) => ({ ...place, kind: 'vote', record }));
    if (isBelow(subjects.ballotsWildcard, subject))
      return told(decode(Ballot, data), (record) => ({ ...place, kind: 'ballot', record }));
    return told(decode(AgentMessage, data), (record) => ({ ...place, kind: 'message', record }));
  }

  return {
    filters: [goal, ledger, tasks, plans, rounds, ...said],
    /** Undefined for what is about something else. */
    entry(each: StreamMessage): LogEntry | undefined {
      if (each.marker) return undefined;
      return isBelow(state, each.subject) ? ofState(each) : ofTalk(each);
    },
  };
}

function placeOf({ sequence, storedAt, subject }: StreamMessage) {
  return { sequence, at: storedAt, subject };
}

function replacesOf({ replaces }: StreamMessage): { readonly replaces?: number } {
  return replaces === undefined ? {} : { replaces };
}
