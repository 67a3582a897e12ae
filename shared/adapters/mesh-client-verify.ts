/**
 * Verifies that the log stream is complete (I9): from itself alone (core/log-audit.ts), by its own sequence, and against the DAG stream, of which it is
 * a copy. Reads both streams once, side by side, in their order: memory does not grow with their length.
 */
import { type JetStreamManager, jetstream } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import { type AuditedRevision, type Finding, logAudit } from '../core/log-audit.ts';
import { decode, type Decoded } from '../protocol/codec.ts';
import { GoalRecord } from '../protocol/goal.ts';
import { isId } from '../protocol/ids.ts';
import { isBelow, type Subjects } from '../protocol/subjects.ts';
import { TaskRecord } from '../protocol/task.ts';
import { Ballot, RoundRecord, saysOver, VoteRequest } from '../protocol/vote.ts';
import { readMessage, REQUEST_TIMEOUT_MS, type ScanFrom, type StreamMessage, scanStream } from './mesh-client-read.ts';

export interface Verified {
  readonly goals: number;
  /** Records, by key. */
  readonly keys: number;
  readonly revisions: number;
  /** Messages between agents, vote requests and ballots. */
  readonly messages: number;
  /** Revisions that the DAG stream still holds, each compared with the log byte by byte. */
  readonly compared: number;
  readonly findings: number;
}

export interface VerifyOptions {
  /** One goal; absent: the whole mesh. */
  readonly goalId?: string;
  readonly onFinding: (finding: Finding) => void;
  /** How long the log is given to catch up with the DAG stream, ms. */
  readonly patienceMs?: number;
}

const PATIENCE_MS = 15_000;
const POLL_MS = 100;
/** See mesh-client-log.ts: clocks differ, and the log lags. */
const SLACK_MS = 60_000;

export async function verifyLog(nc: NatsConnection, subjects: Subjects, options: VerifyOptions): Promise<Verified> {
  const { goalId } = options;
  const { logStream, dagStream } = subjects;
  const jsm = await jetstream(nc, { timeout: REQUEST_TIMEOUT_MS }).jetstreamManager(false);
  // Taken first: every revision up to here must be in the log once it has caught up.
  const newest = (await jsm.streams.info(dagStream)).state.last_seq;
  await caughtUp(nc, subjects, options.patienceMs ?? PATIENCE_MS);
  const floor = await floorOf(nc, jsm, subjects);
  const logged = (await lastLogged(nc, subjects)) ?? 0;
  const scope = goalId === undefined ? wholeMesh(subjects) : await oneGoal(nc, subjects, goalId);
  const report = reportOf(options.onFinding);
  const audit = logAudit(floor);
  const counts = { revisions: 0, messages: 0, compared: 0 };

  let behind = 0;
  const truth = truthOf(scanStream(nc, dagStream, scope.records, scope.from), scope.concerns, (missing) => {
    // Older than anything in the log: gone by age. Newer than the beginning of this verification: nobody waited for it.
    if (missing.sequence < floor || missing.sequence > newest) return;
    if (missing.sequence > logged) behind += 1;
    else report.find([missingFrom(subjects, missing)]);
  });
  let firstRead: number | undefined;
  let lastRead = 0;
  for await (const message of scanStream(nc, logStream, [...scope.records, ...scope.said], scope.from)) {
    if (message.marker || !scope.concerns(message)) continue;
    firstRead ??= message.sequence;
    lastRead = message.sequence;
    if (!isBelow(subjects.dagWildcard, message.subject)) {
      counts.messages += 1;
      hear(subjects, audit, message);
      continue;
    }
    counts.revisions += 1;
    // First the stream itself: of a gap it knows more than the log's own chain does, and each is told once.
    const standing = message.originSequence === undefined ? undefined : await truth.upTo(message.originSequence);
    report.find(audit.revision(auditedOf(subjects, message)));
    if (standing === undefined) continue;
    counts.compared += 1;
    report.find(differenceOf(subjects, message, standing));
  }
  report.find(audit.rest());
  await truth.rest();
  if (behind > 0) {
    const message = `log: it ends with revision ${logged} and lacks ${behind} later ones of ${dagStream}: the broker lags, or has stopped copying`;
    report.find([{ code: 'missing_records', message }]);
  }
  report.find(await holes(jsm, subjects, goalId === undefined ? undefined : [firstRead ?? 0, lastRead]));
  return { ...counts, findings: report.found(), ...audit.counts() };
}

/** The chain and the comparison name the same gap; it is told once. */
function reportOf(onFinding: (finding: Finding) => void) {
  const told = new Set<string>();
  return {
    find(findings: readonly Finding[]): void {
      for (const finding of findings) {
        const gap = `${finding.key ?? ''} ${finding.revision ?? finding.message}`;
        if (told.has(gap)) continue;
        told.add(gap);
        onFinding(finding);
      }
    },
    found: () => told.size,
  };
}

/** The first revision that the log can hold: what is older has left it by age. */
async function floorOf(nc: NatsConnection, jsm: JetStreamManager, subjects: Subjects): Promise<number> {
  const { first_seq: first } = (await jsm.streams.info(subjects.logStream)).state;
  if (first <= 1) return 0;
  const earliest = await readMessage(nc, subjects.logStream, { seq: 1, next_by_subj: subjects.dagWildcard });
  return earliest?.originSequence ?? 0;
}

function missingFrom(subjects: Subjects, missing: StreamMessage): Finding {
  const { sequence: revision } = missing;
  const key = subjects.keyOfSubject(missing.subject);
  const message = `${key}: revision ${revision}${whatItSays(missing)} is in ${subjects.dagStream} and not in the log`;
  return { code: 'missing_revision', key, revision, message };
}

function differenceOf(subjects: Subjects, logged: StreamMessage, standing: StreamMessage): readonly Finding[] {
  if (standing.subject === logged.subject && Buffer.compare(standing.data, logged.data) === 0) return [];
  const key = subjects.keyOfSubject(logged.subject);
  const { sequence: revision } = standing;
  const message = `${key}: revision ${revision} reads otherwise in the log (sequence ${logged.sequence}) than in ${subjects.dagStream}`;
  return [{ code: 'altered', key, revision, message }];
}

/** Waits until the log holds the last record that the DAG stream held when this began. */
async function caughtUp(nc: NatsConnection, subjects: Subjects, patienceMs: number): Promise<void> {
  const last = await readMessage(nc, subjects.dagStream, { last_by_subj: subjects.dagWildcard });
  if (last === undefined) return;
  const giveUpAt = Date.now() + patienceMs;
  for (;;) {
    if (((await lastLogged(nc, subjects)) ?? 0) >= last.sequence || Date.now() > giveUpAt) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** The revision up to which the log has got. */
async function lastLogged(nc: NatsConnection, subjects: Subjects): Promise<number | undefined> {
  return (await readMessage(nc, subjects.logStream, { last_by_subj: subjects.dagWildcard }))?.originSequence;
}

interface Scope {
  /** Subjects of the records, in both streams. */
  readonly records: readonly string[];
  /** Subjects of what agents say to each other. */
  readonly said: readonly string[];
  /** Where to begin, in both streams. */
  readonly from: ScanFrom;
  concerns(message: StreamMessage): boolean;
}

function wholeMesh(subjects: Subjects): Scope {
  return {
    records: [subjects.dagWildcard],
    said: saidIn(subjects),
    from: { kind: 'start' },
    concerns: () => true,
  };
}

function saidIn(subjects: Subjects): readonly string[] {
  return [subjects.messagesWildcard, subjects.repliesWildcard, subjects.votesWildcard, subjects.ballotsWildcard];
}

const About = z.object({ goalId: z.string().optional(), roundId: z.string().optional() });

async function oneGoal(nc: NatsConnection, subjects: Subjects, goalId: string): Promise<Scope> {
  const goal = subjects.dagSubject(subjects.goalKey(goalId));
  const rounds = subjects.dagSubject(subjects.roundKeys);
  const records = [
    goal,
    subjects.dagSubject(subjects.ledgerKey(goalId)),
    subjects.dagSubject(subjects.tasksOfGoal(goalId)),
    subjects.dagSubject(subjects.revisionsOfGoal(goalId)),
    rounds,
  ];
  const born = await Promise.all(
    [subjects.logStream, subjects.dagStream].map((stream) => readMessage(nc, stream, { seq: 1, next_by_subj: goal })),
  );
  const times = born.flatMap((message) => (message === undefined ? [] : [message.storedAt]));
  const from: ScanFrom = times.length === 0 ? { kind: 'start' } : { kind: 'time', at: Math.min(...times) - SLACK_MS };
  const ours = new Set<string>();
  return {
    records,
    said: saidIn(subjects),
    from,
    concerns({ subject, data }) {
      // Every other record is read by the goal's own keys.
      if (isBelow(subjects.dagWildcard, subject) && !isBelow(rounds, subject)) return true;
      const about = decode(About, data);
      if (!about.ok) return false;
      const { roundId } = about.value;
      if (about.value.goalId === goalId && roundId !== undefined) ours.add(roundId);
      return about.value.goalId === goalId || (roundId !== undefined && ours.has(roundId));
    },
  };
}

/** The DAG stream beside the log: `missed` is told every revision that the log passed over. */
function truthOf(
  scan: AsyncGenerator<StreamMessage>,
  concerns: (message: StreamMessage) => boolean,
  missed: (message: StreamMessage) => void,
) {
  let next: StreamMessage | undefined;
  let begun = false;
  async function advance(): Promise<void> {
    do {
      const step = await scan.next();
      next = step.done === true ? undefined : step.value;
    } while (next !== undefined && (next.marker || !concerns(next)));
    begun = true;
  }
  return {
    /** The message at this sequence, if the stream still has it. */
    async upTo(sequence: number): Promise<StreamMessage | undefined> {
      if (!begun) await advance();
      while (next !== undefined && next.sequence < sequence) {
        missed(next);
        await advance();
      }
      if (next?.sequence !== sequence) return undefined;
      const found = next;
      await advance();
      return found;
    },
    async rest(): Promise<void> {
      if (!begun) await advance();
      for (; next !== undefined; await advance()) missed(next);
    },
  };
}

const Said = z.object({ status: z.string(), agentId: z.string().optional(), attempt: z.number().optional() });

/** ` (in_progress, attempt 1, coder-1)`, for a person who wants to know what the log does not tell. */
function whatItSays({ data }: StreamMessage): string {
  const said = decode(Said, data);
  if (!said.ok) return '';
  const { status, agentId, attempt } = said.value;
  const parts = [
    status,
    ...(attempt === undefined ? [] : [`attempt ${attempt}`]),
    ...(agentId === undefined ? [] : [agentId]),
  ];
  return ` (${parts.join(', ')})`;
}

function auditedOf(subjects: Subjects, message: StreamMessage): AuditedRevision {
  const key = subjects.keyOfSubject(message.subject);
  const place = {
    sequence: message.sequence,
    revision: message.originSequence,
    replaces: message.replaces,
    key,
  };
  const content = <T>(decoded: Decoded<T>, told: (record: T) => AuditedRevision['content']): AuditedRevision => ({
    ...place,
    content: decoded.ok ? told(decoded.value) : { kind: 'unreadable', detail: decoded.message },
  });
  if (key.startsWith('goal.')) return content(decode(GoalRecord, message.data), (record) => ({ kind: 'goal', record }));
  if (key.startsWith('task.')) return content(decode(TaskRecord, message.data), (record) => ({ kind: 'task', record }));
  if (key.startsWith('round.'))
    return content(decode(RoundRecord, message.data), (record) => ({ kind: 'round', record }));
  return { ...place, content: { kind: 'other' } };
}

/** Requests and ballots are remembered until the decision that must have heard them. */
function hear(subjects: Subjects, audit: ReturnType<typeof logAudit>, { subject, data }: StreamMessage): void {
  if (isBelow(subjects.votesWildcard, subject)) {
    const request = decode(VoteRequest, data);
    // Word that a round is over must not stand for the request that is missing.
    if (request.ok && !saysOver(request.value)) audit.request(request.value.roundId);
  } else if (isBelow(subjects.ballotsWildcard, subject)) {
    const ballot = decode(Ballot, data);
    const agent = subject.slice(subject.lastIndexOf('.') + 1);
    if (ballot.ok && isId(agent)) audit.ballot(ballot.value.roundId, agent);
  }
}

/** Nothing may be deleted from the log, so its sequence has no holes but those that somebody made. */
async function holes(
  jsm: JetStreamManager,
  subjects: Subjects,
  between: readonly [number, number] | undefined,
): Promise<readonly Finding[]> {
  const { state } = await jsm.streams.info(subjects.logStream, { deleted_details: true });
  const gone = (state.deleted ?? []).filter(
    (sequence) => between === undefined || (sequence >= between[0] && sequence <= between[1]),
  );
  return runs(gone).map(([from, to]): Finding => {
    const which = from === to ? `sequence ${from} was` : `sequences ${from} to ${to} were`;
    return { code: 'removed', message: `log: ${which} removed from ${subjects.logStream}` };
  });
}

/** Ascending numbers as ranges. */
function runs(numbers: readonly number[]): [number, number][] {
  const found: [number, number][] = [];
  for (const number of numbers) {
    const last = found.at(-1);
    if (last !== undefined && number === last[1] + 1) last[1] = number;
    else found.push([number, number]);
  }
  return found;
}
