/**
 * The causal order of one goal's log. The log stream's own order is not it: what agents say to each other is captured at once, while revisions of the
 * state are sourced by the broker a moment later, so that a vote request can stand before the claim that it follows from. In the order given here
 *
 *  1. revisions stand in the order in which the mesh committed them (their sequence in the DAG stream);
 *  2. messages stand in the order in which the log stored them, but
 *  3. nothing stands before what it follows from: everything after the goal's first record, a message about a task after the task's first claim, a
 *     vote request after the revision that proposes the result it is about, a ballot after its request, a decision after the ballots that it counts;
 *  4. what is left open by that stands in the log's order.
 *
 * An entry whose cause does not come (it was never logged, or its sender made it up) is let go after the log has grown by `WAIT_MS` or `HELD_MAX`
 * entries: order gives way, nothing is lost, and memory is bounded.
 */
import { isTerminalTask } from '../protocol/task.ts';
import { isRevision, type LogEntry } from './log-entry.ts';

/** The broker sources within milliseconds; after a restart of it, or on a busy machine, within seconds. */
const WAIT_MS = 15_000;
const HELD_MAX = 512;

export interface LogOrder {
  /** Takes the next entry in the log's order; returns those whose turn has come. */
  push(entry: LogEntry): readonly LogEntry[];
  /** Lets go of what has waited too long by the time of the log's reader, ms since the epoch. */
  tick(now: number): readonly LogEntry[];
  /** Whatever is left. */
  end(): readonly LogEntry[];
}

interface TaskShown {
  started: boolean;
  over: boolean;
  /** Revisions with a result that waits for its voters, so far. */
  proposals: number;
  /** How many of them stood when the last round about them was asked for, and that round. */
  voted: number;
  round: string | undefined;
}

export function logOrder(): LogOrder {
  const tasks = new Map<string, TaskShown>();
  const asked = new Set<string>();
  const answered = new Set<string>();
  let born = false;
  let held: LogEntry[] = [];

  const shown = (taskId: string): TaskShown => {
    const known = tasks.get(taskId);
    if (known !== undefined) return known;
    const fresh = { started: false, over: false, proposals: 0, voted: 0, round: undefined };
    tasks.set(taskId, fresh);
    return fresh;
  };

  /** True when everything that the entry follows from was shown. */
  function due(entry: LogEntry): boolean {
    switch (entry.kind) {
      case 'goal':
      case 'task':
      case 'cost':
      case 'plan':
        return true;
      case 'round':
        return entry.record.ballots.every((ballot) => answered.has(ballotKey(ballot.roundId, ballot.agent)));
      case 'message': {
        const { taskId } = entry.record;
        return born && (taskId === undefined || shown(taskId).started || shown(taskId).over);
      }
      case 'vote': {
        const { taskId, roundId } = entry.record;
        if (taskId === undefined) return born;
        const task = shown(taskId);
        return task.over || sameRound(task.round, roundId) || task.proposals > task.voted;
      }
      case 'ballot':
        return asked.has(entry.record.roundId);
      case 'unreadable':
        return born;
    }
  }

  function note(entry: LogEntry): void {
    switch (entry.kind) {
      case 'goal':
        born = true;
        return;
      case 'task': {
        const task = shown(entry.record.taskId);
        task.started ||= entry.record.status === 'in_progress';
        task.over ||= isTerminalTask(entry.record);
        if (entry.record.status === 'in_progress' && entry.record.candidate !== undefined) task.proposals += 1;
        return;
      }
      case 'vote': {
        const { taskId, roundId } = entry.record;
        asked.add(roundId);
        if (taskId === undefined) return;
        const task = shown(taskId);
        if (sameRound(task.round, roundId)) return;
        task.round = roundId;
        task.voted = task.proposals;
        return;
      }
      case 'ballot':
        answered.add(ballotKey(entry.record.roundId, entry.record.agent));
        return;
      case 'round':
      case 'cost':
      case 'plan':
      case 'message':
      case 'unreadable':
    }
  }

  /** Shows what can be shown, oldest first, until nothing more can. `forced`: the oldest goes whatever it waits for. */
  function drain(forced: (oldest: LogEntry) => boolean): LogEntry[] {
    const out: LogEntry[] = [];
    for (;;) {
      let blocked = false;
      const at = held.findIndex((entry) => {
        if (!isRevision(entry)) return due(entry);
        // Revisions keep their order: behind one that waits, all wait.
        if (blocked) return false;
        blocked = true;
        return due(entry);
      });
      const [oldest] = held;
      if (oldest === undefined) return out;
      const index = at >= 0 ? at : forced(oldest) ? 0 : undefined;
      if (index === undefined) return out;
      const [entry] = held.splice(index, 1);
      if (entry === undefined) return out;
      note(entry);
      out.push(entry);
    }
  }

  return {
    push(entry) {
      held.push(entry);
      return drain((oldest) => held.length > HELD_MAX || entry.at - oldest.at > WAIT_MS);
    },
    tick: (now) => drain((oldest) => now - oldest.at > WAIT_MS),
    end() {
      const rest = drain(() => true);
      held = [];
      return rest;
    },
  };
}

function ballotKey(roundId: string, agent: string): string {
  return `${roundId} ${agent}`;
}

/** A further discussion of a round is asked under an id that begins with the round's (`<round>-d2-...`), which may have been cut. */
function sameRound(standing: string | undefined, roundId: string): boolean {
  if (standing === undefined) return false;
  if (standing === roundId) return true;
  const stem = /^(.*)-d\d+-[A-Za-z0-9_-]{16}$/.exec(roundId)?.[1];
  return stem !== undefined && standing.startsWith(stem);
}
