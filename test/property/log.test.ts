/** The log's order, its transitions and its completeness (I9), on goals that the real machines made up. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type TaskState, taskChange, taskState } from '../../shared/core/history.ts';
import { type AuditedRevision, type Finding, logAudit } from '../../shared/core/log-audit.ts';
import type { LogEntry } from '../../shared/core/log-entry.ts';
import { logOrder } from '../../shared/core/log-order.ts';
import { asLogged, goalRun, type Happened, randomOf } from '../support/log-run.ts';

const RUNS = { numRuns: 400 };
const seed = fc.nat();
const size = fc.integer({ min: 1, max: 6 });

function logOf(
  one: number,
  tasks: number,
): { readonly happened: readonly Happened[]; readonly logged: readonly number[] } {
  const random = randomOf(one);
  const happened = goalRun(random, tasks);
  return { happened, logged: asLogged(happened, random) };
}

function ordered(entries: readonly LogEntry[]): readonly LogEntry[] {
  const order = logOrder();
  return [...entries.flatMap((entry) => order.push(entry)), ...order.end()];
}

const isRevised = (entry: LogEntry): entry is Extract<LogEntry, { revision: number }> => 'revision' in entry;

describe('the causal order', () => {
  test('has every entry once, revisions as they were committed, and nothing before what it follows from', () => {
    let moved = 0;
    fc.assert(
      fc.property(seed, size, (one, tasks) => {
        const { happened, logged } = logOf(one, tasks);
        const entryAt = (index: number): LogEntry => {
          const found = happened[index]?.entry;
          if (found === undefined) throw new Error(`no step ${index}`);
          return found;
        };
        const told = ordered(logged.map(entryAt));
        expect(new Set(told).size).toBe(happened.length);
        expect(told).toHaveLength(happened.length);
        const revisions = told.filter(isRevised).map(({ revision }) => revision);
        expect(revisions).toEqual(revisions.toSorted((a, b) => a - b));
        const place = new Map(told.map((entry, index) => [entry, index]));
        for (const { entry, causes } of happened) {
          for (const cause of causes)
            expect(place.get(entryAt(cause)), `${entry.kind} after its cause`).toBeLessThan(place.get(entry) ?? -1);
        }
        if (told.some((entry, index) => entry !== entryAt(logged[index] ?? 0))) moved += 1;
      }),
      RUNS,
    );
    // In the log's own order causes do come late, or this proves nothing.
    expect(moved).toBeGreaterThan(RUNS.numRuns / 4);
  });

  test('waits for a cause that never comes no longer than its limits, and loses nothing', () => {
    const ballot = { roundId: 'lost', agent: 'v', position: 'approve', timestamp: '2030-01-01T00:00:00.000Z' };
    const orphan: LogEntry = { kind: 'ballot', sequence: 1, at: 0, subject: 's', record: ballot };
    const order = logOrder();
    expect(order.push(orphan)).toEqual([]);
    expect(order.tick(10_000)).toEqual([]);
    expect(order.tick(15_001)).toEqual([orphan]);
    const many = Array.from(
      { length: 600 },
      (_, at): LogEntry => ({ ...orphan, sequence: at, record: { ...ballot, agent: `v${at}` } }),
    );
    const before = many.flatMap((entry) => order.push(entry));
    expect(before.length).toBeGreaterThan(0);
    expect([...before, ...order.end()]).toEqual(many);
  });
});

describe('a transition', () => {
  test('is named for every step of the machines, and for no two of them left out', () => {
    const names = new Set<string>();
    fc.assert(
      fc.property(seed, size, (one, tasks) => {
        const states = new Map<string, TaskState>();
        for (const { entry } of logOf(one, tasks).happened) {
          if (entry.kind !== 'task') continue;
          const { taskId } = entry.record;
          const change = taskChange(states.get(taskId), entry.record);
          expect(change, `${taskId}: ${states.get(taskId)?.status} to ${entry.record.status}`).toBeDefined();
          names.add(change ?? '');
          states.set(taskId, taskState(entry.record));
        }
      }),
      RUNS,
    );
    expect([...names].sort()).toEqual([
      'cancel',
      'claim',
      'complete',
      'create',
      'fail',
      'propose',
      'release',
      'retry',
      'rework',
      'takeover',
    ]);
  });
});

function audited(entries: readonly LogEntry[], chained = true): Finding[] {
  const audit = logAudit(0);
  const found = entries.flatMap((entry, index): readonly Finding[] => {
    if (entry.kind === 'vote') audit.request(entry.record.roundId);
    if (entry.kind === 'ballot') audit.ballot(entry.record.roundId, entry.record.agent);
    if (entry.kind !== 'goal' && entry.kind !== 'task' && entry.kind !== 'round') return [];
    const content = { kind: entry.kind, record: entry.record } as AuditedRevision['content'];
    const { revision, subject } = entry;
    const replaces = chained ? entry.replaces : undefined;
    return audit.revision({
      sequence: index + 1,
      revision,
      replaces,
      key: subject.slice('$KV.m_dag.'.length),
      content,
    });
  });
  return [...found, ...audit.rest()];
}

/** What a removed message leaves behind: a decision that counts a ballot, or a ballot that answers a request, nobody has. */
function expectedWithout(gone: LogEntry, entries: readonly LogEntry[]): readonly string[] {
  if (gone.kind === 'vote') return ['missing_request'];
  if (gone.kind !== 'ballot') return [];
  const { agent, roundId } = gone.record;
  const counted = entries.some(
    (entry) =>
      entry.kind === 'round' &&
      entry.record.ballots.some((ballot) => ballot.agent === agent && ballot.roundId === roundId),
  );
  return counted ? ['missing_ballot'] : [];
}

describe('the audit', () => {
  test('finds nothing in a complete log, also where nobody said what a revision replaced', () => {
    fc.assert(
      fc.property(seed, size, (one, tasks) => {
        const { happened, logged } = logOf(one, tasks);
        const entries = logged.flatMap((index) => happened[index]?.entry ?? []);
        expect(audited(entries)).toEqual([]);
        expect(audited(entries, false)).toEqual([]);
      }),
      RUNS,
    );
  });

  test('finds nothing either where all that agents said comes after the records', () => {
    fc.assert(
      fc.property(seed, size, (one, tasks) => {
        const entries = logOf(one, tasks).happened.map(({ entry }) => entry);
        const isSaid = ({ kind }: LogEntry): boolean => kind === 'vote' || kind === 'ballot';
        const late = [...entries.filter((entry) => !isSaid(entry)), ...entries.filter(isSaid)];
        expect(audited(late)).toEqual([]);
      }),
      RUNS,
    );
  });

  test('names any one revision that is removed, and any counted ballot and its request', () => {
    let named = 0;
    fc.assert(
      fc.property(seed, size, fc.nat(), (one, tasks, which) => {
        const { happened, logged } = logOf(one, tasks);
        const entries = logged.flatMap((index) => happened[index]?.entry ?? []);
        const at = which % entries.length;
        const gone = entries[at];
        if (gone === undefined) throw new Error('an empty log');
        const found = audited(entries.filter((_, index) => index !== at));
        const codes = found.map(({ code }) => code);
        if (!isRevised(gone)) {
          expect(codes).toEqual(expectedWithout(gone, entries));
          return;
        }
        const last = !entries.some((entry) => isRevised(entry) && entry.replaces === gone.revision);
        if (!last) {
          expect(found).toContainEqual(expect.objectContaining({ code: 'missing_revision', revision: gone.revision }));
          named += 1;
        } else if (gone.kind === 'task') {
          const key = `task.g.${gone.record.taskId}`;
          expect(found).toContainEqual(expect.objectContaining({ code: 'missing_records', key }));
          named += 1;
        } else {
          // A decision and the goal's last record have no successor that could name them; the DAG stream does.
          expect(codes).toEqual([]);
        }
      }),
      { numRuns: 1_000 },
    );
    expect(named).toBeGreaterThan(300);
  });

  test('finds a copy, two records that replace one, a record written by hand, and one after the end', () => {
    const { happened } = logOf(1, 3);
    const entries = happened.map(({ entry }) => entry);
    const revised = entries.filter(isRevised);
    const first = revised.find((entry) => entry.kind === 'task');
    const end = revised.at(-1);
    if (first?.kind !== 'task' || end === undefined) throw new Error('a run without tasks');
    const codes = (more: readonly LogEntry[]) => audited([...entries, ...more]).map(({ code }) => code);
    expect(codes([first])).toEqual(['duplicate']);
    expect(codes([{ ...first, revision: end.revision + 1 }])).toEqual(['illegal_step']);
    const second = revised.find((entry) => entry.kind === 'task' && entry.replaces === first.revision);
    if (second === undefined) throw new Error('a task with one revision');
    const at = entries.indexOf(second);
    const forked = entries.flatMap((entry, index) =>
      index === at ? [entry, { ...second, revision: second.revision + 0.5 }] : [entry],
    );
    expect(audited(forked).map(({ code }) => code)).toContain('fork');
  });
});
