/** What a schedule of the simulation left in the stream, by what it is. */
import { GoalRecord } from '../../shared/protocol/goal.ts';
import { Ledger } from '../../shared/protocol/ledger.ts';
import { Revision } from '../../shared/protocol/plan.ts';
import { TaskRecord } from '../../shared/protocol/task.ts';
import { RoundRecord } from '../../shared/protocol/vote.ts';
import type { Revision as StreamRevision } from './memory-dag.ts';
import { subjects } from './sim-world.ts';

export interface Written<T> {
  readonly record: T;
  readonly revision: number;
}

export interface History {
  readonly goals: Map<string, Written<GoalRecord>[]>;
  /** By `<goalId>.<taskId>`. */
  readonly tasks: Map<string, Written<TaskRecord>[]>;
  readonly ledgers: Map<string, Written<Ledger>[]>;
  /** By goal, in the order in which they were written. */
  readonly revisions: Map<string, Written<Revision>[]>;
  readonly rounds: Map<string, Written<RoundRecord>[]>;
  readonly items: { readonly task: string; readonly revision: number }[];
}

const decoder = new TextDecoder();

/** Everything that was written, by what it is; what does not fit its schema is a problem. */
export function readHistory(stream: readonly StreamRevision[], problems: string[]): History {
  const history: History = {
    goals: new Map(),
    tasks: new Map(),
    ledgers: new Map(),
    revisions: new Map(),
    rounds: new Map(),
    items: [],
  };
  const keep = <T>(into: Map<string, Written<T>[]>, id: string, record: T, revision: number): void => {
    into.set(id, [...(into.get(id) ?? []), { record, revision }]);
  };
  const prefix = subjects.dagSubject('');
  for (const { subject, data, revision } of stream) {
    const json: unknown = JSON.parse(decoder.decode(data));
    if (!subject.startsWith(prefix)) {
      history.items.push({ task: subject.split('.').slice(3).join('.'), revision });
      continue;
    }
    const [kind, ...rest] = subject.slice(prefix.length).split('.');
    const id = rest.join('.');
    try {
      if (kind === 'goal') keep(history.goals, id, GoalRecord.parse(json), revision);
      else if (kind === 'task') keep(history.tasks, id, TaskRecord.parse(json), revision);
      else if (kind === 'plan') keep(history.revisions, rest[0] ?? '', Revision.parse(json), revision);
      else if (kind === 'round') keep(history.rounds, id, RoundRecord.parse(json), revision);
      else if (kind === 'ledger') keep(history.ledgers, id, Ledger.parse(json), revision);
    } catch (error) {
      problems.push(`PROTOCOL ${subject} at ${revision} does not fit its schema: ${String(error)}`);
    }
  }
  return history;
}
