/**
 * Is the log complete (I9)? Judged from the log alone, record by record, in the log's order:
 *
 *  - each revision names the revision of its key that it replaced, so a missing one is named by its successor;
 *  - each step is one that the state machines know;
 *  - when a goal ends, each of its tasks has ended before it, and there are as many as it says;
 *  - each ballot that a decision counts is there, and the request that it answers.
 *
 * What this cannot see: a last revision of a goal that is still open, or of a ledger (the DAG stream tells, see adapters/mesh-client-verify.ts), and a
 * message that nothing refers to, such as one between agents or a ballot that did not count (a hole in the log's own sequence tells, if it was
 * removed; one that the broker never stored leaves no trace).
 */
import type { GoalRecord } from '../protocol/goal.ts';
import { isTerminalGoal } from '../protocol/goal.ts';
import type { TaskRecord } from '../protocol/task.ts';
import type { RoundRecord } from '../protocol/vote.ts';
import { goalChange, type GoalState, goalState, taskChange, type TaskState, taskState } from './history.ts';

export interface AuditedRevision {
  /** Sequence in the log stream. */
  readonly sequence: number;
  /** Sequence in the DAG stream; undefined: it was not sourced, so somebody wrote it into the log by hand. */
  readonly revision: number | undefined;
  /** Revision of the key that it replaced, 0 for the first; undefined where the writer did not say. */
  readonly replaces: number | undefined;
  readonly key: string;
  readonly content:
    | { readonly kind: 'goal'; readonly record: GoalRecord }
    | { readonly kind: 'task'; readonly record: TaskRecord }
    | { readonly kind: 'round'; readonly record: RoundRecord }
    | { readonly kind: 'other' }
    | { readonly kind: 'unreadable'; readonly detail: string };
}

export interface Finding {
  readonly code:
    | 'missing_revision'
    | 'missing_records'
    | 'missing_request'
    | 'missing_ballot'
    | 'removed'
    | 'duplicate'
    | 'fork'
    | 'illegal_step'
    | 'altered'
    | 'foreign'
    | 'unreadable';
  /** Says what is missing or wrong, and where. */
  readonly message: string;
  readonly key?: string;
  /** The revision that is missing or wrong: a sequence in the DAG stream. */
  readonly revision?: number;
}

export interface LogAudit {
  revision(entry: AuditedRevision): readonly Finding[];
  request(roundId: string): void;
  ballot(roundId: string, agent: string): void;
  /** What the log lacks of what agents said, once all of it was read: agents' words and records reach it on two ways, so either may come first. */
  rest(): readonly Finding[];
  /** Goals, and keys of all kinds, met so far. */
  counts(): { readonly goals: number; readonly keys: number };
}

interface KeyState {
  revision: number;
  readonly task?: TaskState;
}

interface GoalTrack {
  state: GoalState;
  /** Its first record is in the log, so all of its tasks' must be. */
  readonly fromBirth: boolean;
  readonly tasks: Set<string>;
}

const TERMINAL: ReadonlySet<TaskState['status']> = new Set(['completed', 'failed', 'cancelled']);

/** `floor`: DAG revisions below it have left the log by age; a record that replaces one of them replaces nothing that could be here. */
export function logAudit(floor: number): LogAudit {
  const known = new Map<string, KeyState>();
  const goals = new Map<string, GoalTrack>();
  /** Goals that are over: of a long log nothing else is kept of them. */
  const ended = new Set<string>();
  const requests = new Set<string>();
  const ballots = new Set<string>();
  /** What decisions count and the log has not shown yet, by its key in one of the two above. */
  const owed = new Map<string, Finding>();
  let keys = 0;
  let last = 0;

  function chain({ key, revision, replaces, sequence }: AuditedRevision, standing: number | undefined): Finding[] {
    if (replaces === undefined || replaces === (standing ?? 0)) return [];
    if (standing === undefined && replaces < floor) return [];
    const at = `revision ${revision ?? 0} (log sequence ${sequence})`;
    if (standing !== undefined && replaces < standing) {
      const message = `${key}: ${at} says that it replaced revision ${replaces}, which revision ${standing} had replaced already`;
      return [{ code: 'fork', key, revision: revision ?? 0, message }];
    }
    const since =
      standing === undefined ? 'no earlier one is here' : `the last one before it here is revision ${standing}`;
    const message = `${key}: revision ${replaces} is missing; ${at} replaced it, and ${since}`;
    return [{ code: 'missing_revision', key, revision: replaces, message }];
  }

  function task(entry: AuditedRevision, record: TaskRecord, before: TaskState | undefined, broken: boolean): Finding[] {
    const track = goals.get(record.goalId);
    track?.tasks.add(entry.key);
    // Behind a gap, or an old log's first record, nothing is known of the step.
    if (broken || taskChange(before, record) !== undefined) return [];
    return [illegal(entry, before?.status, record.status, `attempt ${before?.attempt ?? 0} to ${record.attempt}`)];
  }

  function goal(entry: AuditedRevision, record: GoalRecord, broken: boolean): Finding[] {
    const { goalId } = record;
    const track = goals.get(goalId);
    const found =
      broken || goalChange(track?.state, record) !== undefined
        ? []
        : [illegal(entry, track?.state.status, record.status, 'the goal')];
    const state = goalState(record);
    if (track === undefined) goals.set(goalId, { state, fromBirth: !broken, tasks: new Set() });
    else track.state = state;
    if (!isTerminalGoal(record)) return found;
    if (track !== undefined) found.push(...over(entry, record, track));
    goals.delete(goalId);
    ended.add(goalId);
    return found;
  }

  /** I5: a goal ends after all of its tasks. Then nothing of them has to be kept. */
  function over(entry: AuditedRevision, record: GoalRecord, track: GoalTrack): Finding[] {
    const open = [...track.tasks].filter((key) => !TERMINAL.has(known.get(key)?.task?.status ?? 'completed'));
    const found: Finding[] = open.map((key) => {
      const { revision = 0, task: left } = known.get(key) ?? {};
      const message = `${key}: its last revision is missing; goal ${record.goalId} ended (revision ${entry.revision ?? 0}), and the last one here (revision ${revision}) is ${left?.status ?? 'unknown'}`;
      return { code: 'missing_records', key, message };
    });
    const { total } = record.tasks;
    if (track.fromBirth && track.tasks.size < total) {
      const message = `goal ${record.goalId}: ${total - track.tasks.size} of its ${total} tasks have no record in the log`;
      found.push({ code: 'missing_records', key: entry.key, message });
    }
    for (const key of track.tasks) known.delete(key);
    return found;
  }

  function round({ key }: AuditedRevision, record: RoundRecord): void {
    for (const roundId of new Set(record.ballots.map((ballot) => ballot.roundId))) {
      if (requests.delete(roundId)) continue;
      const message = `${key}: ballots of round ${roundId} were counted, and its request is missing`;
      owed.set(roundId, { code: 'missing_request', key, message });
    }
    for (const { roundId, agent } of record.ballots) {
      const ballot = ballotKey(roundId, agent);
      if (ballots.delete(ballot)) continue;
      const message = `${key}: the ballot of ${agent} in round ${roundId} was counted, and is missing`;
      owed.set(ballot, { code: 'missing_ballot', key, message });
    }
  }

  function hear(key: string, heard: Set<string>): void {
    if (!owed.delete(key)) heard.add(key);
  }

  function content(entry: AuditedRevision, before: KeyState | undefined, broken: boolean): Finding[] {
    const { content: what, key } = entry;
    switch (what.kind) {
      case 'goal':
        return goal(entry, what.record, broken);
      case 'task':
        return task(entry, what.record, before?.task, broken);
      case 'round':
        round(entry, what.record);
        return [];
      case 'other':
        return [];
      case 'unreadable': {
        const message = `${key}: revision ${entry.revision ?? 0} does not fit the protocol: ${what.detail}`;
        return [{ code: 'unreadable', key, revision: entry.revision ?? 0, message }];
      }
    }
  }

  /** I5: of a goal that is over no record changes but the account of what was spent. */
  function isOver({ content: what }: AuditedRevision): boolean {
    return (what.kind === 'goal' || what.kind === 'task') && ended.has(what.record.goalId);
  }

  return {
    revision(entry) {
      const { key, revision, sequence } = entry;
      if (revision === undefined) {
        const message = `${key}: log sequence ${sequence} was not copied from the DAG stream by the broker`;
        return [{ code: 'foreign', key, message }];
      }
      if (revision <= last) {
        const message = `${key}: log sequence ${sequence} holds revision ${revision} after revision ${last}: a second copy, or out of order`;
        return [{ code: 'duplicate', key, revision, message }];
      }
      last = revision;
      if (isOver(entry)) return [afterTheEnd(entry)];
      const before = known.get(key);
      if (before === undefined) keys += 1;
      const gaps = chain(entry, before?.revision);
      const unborn = before === undefined && entry.replaces !== undefined && entry.replaces > 0;
      const found = [...gaps, ...content(entry, before, gaps.length > 0 || unborn)];
      // A decision is written once, and a goal that is over never again.
      if (entry.content.kind === 'round' || isOver(entry)) known.delete(key);
      else
        known.set(key, {
          revision,
          ...(entry.content.kind === 'task' ? { task: taskState(entry.content.record) } : {}),
        });
      return found;
    },
    request: (roundId) => hear(roundId, requests),
    ballot: (roundId, agent) => hear(ballotKey(roundId, agent), ballots),
    rest: () => [...owed.values()],
    counts: () => ({ goals: goals.size + ended.size, keys }),
  };
}

function afterTheEnd({ key, revision = 0, sequence }: AuditedRevision): Finding {
  const message = `${key}: revision ${revision} (log sequence ${sequence}) was written after its goal had ended`;
  return { code: 'illegal_step', key, revision, message };
}

function illegal(entry: AuditedRevision, from: string | undefined, to: string, what: string): Finding {
  const { key, revision, sequence } = entry;
  const step = from === undefined ? `it begins as ${to}` : `${from} to ${to}`;
  const message = `${key}: no transition leads to revision ${revision ?? 0} (log sequence ${sequence}) from what is here before it (${step}, ${what}): a revision in between is missing, or one was altered`;
  return { code: 'illegal_step', key, revision: revision ?? 0, message };
}

function ballotKey(roundId: string, agent: string): string {
  return `${roundId} ${agent}`;
}
