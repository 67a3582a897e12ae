/** One entry of a goal's story, as the log stream holds it. */
import type { GoalRecord } from '../protocol/goal.ts';
import type { Ledger } from '../protocol/ledger.ts';
import type { AgentMessage } from '../protocol/message.ts';
import type { Revision as PlanRevision } from '../protocol/plan.ts';
import type { TaskRecord } from '../protocol/task.ts';
import type { Ballot, RoundRecord, VoteRequest } from '../protocol/vote.ts';
import type { GoalChange, LedgerChange, TaskChange } from './history.ts';

interface Place {
  /** Sequence in the log stream. */
  readonly sequence: number;
  /** When the log stored it, milliseconds since the epoch. */
  readonly at: number;
  readonly subject: string;
}

/** A record of the state: sourced by the broker from the DAG stream, where it has a sequence of its own. */
interface Revision extends Place {
  /** Sequence in the DAG stream: the order in which the mesh committed. */
  readonly revision: number;
  /** The revision of the same key that it replaced, 0 for the first; undefined where whoever wrote it did not say. */
  readonly replaces?: number;
}

export type LogRevision =
  /** `change`: undefined when no transition leads here from the revision before it. */
  | (Revision & { readonly kind: 'goal'; readonly change: GoalChange | undefined; readonly record: GoalRecord })
  | (Revision & {
      readonly kind: 'task';
      readonly change: TaskChange | undefined;
      readonly record: TaskRecord;
      /** Who works on it, or did: the record of a failed attempt does not name its agent. */
      readonly agentId?: string;
    })
  | (Revision & { readonly kind: 'cost'; readonly change: LedgerChange; readonly record: Ledger })
  | (Revision & { readonly kind: 'plan'; readonly record: PlanRevision })
  | (Revision & { readonly kind: 'round'; readonly record: RoundRecord });

export type LogMessage =
  | (Place & { readonly kind: 'message'; readonly record: AgentMessage })
  | (Place & { readonly kind: 'vote'; readonly record: VoteRequest })
  | (Place & { readonly kind: 'ballot'; readonly record: Ballot })
  /** Something about this goal that does not fit the protocol: a forged ballot, a message of another version. */
  | (Place & { readonly kind: 'unreadable'; readonly detail: string });

export type LogEntry = LogRevision | LogMessage;
export type LogKind = LogEntry['kind'];

export function isRevision(entry: LogEntry): entry is LogRevision {
  return 'revision' in entry;
}
