/**
 * Revisions of a live goal's graph as records: who finds one carries it out, and everything may be repeated. In this order: the record by create, so that
 * there is one n-th revision; the goal, which counts the new tasks from then on and does not end; the new tasks; the cancelling of what is replaced.
 * Then (`growth.ts`) the work items, and the goal again.
 */
import { firstRecords } from '../../core/intake.ts';
import { lateEdges } from '../../core/revision.ts';
import { encode, parseTrusted } from '../../protocol/codec.ts';
import type { LiveGoal } from '../../protocol/goal.ts';
import type { Revision } from '../../protocol/plan.ts';
import { createTasks, factsOf } from './births.ts';
import type { Deps } from './deps.ts';
import type { Memory } from './memory.ts';
import { moveTask, readTasks } from './records.ts';

export interface Revisions {
  /** The n-th revision of a goal; undefined when there is none. */
  read(goalId: string, n: number): Promise<Revision | undefined>;
  /** Revisions that count, in order. No read for a goal without any. */
  of(goal: LiveGoal): Promise<readonly Revision[]>;
  /** Edges that revisions added to tasks which were there before them: by dependency, the tasks that wait for it. */
  lateEdges(goal: LiveGoal): Promise<ReadonlyMap<string, readonly string[]>>;
  /** False when the n-th revision exists already. */
  create(revision: Revision): Promise<boolean>;
  /** The new tasks exist, and what they replace is cancelled unless it has begun. */
  carryOut(goal: LiveGoal, revision: Revision): Promise<void>;
}

const CREATE = 0;
const WINDOW = 128;

export function revisionsOf(deps: Deps, memory: Memory): Revisions {
  async function read(goalId: string, n: number): Promise<Revision | undefined> {
    const known = memory.of(goalId).revisions;
    const before = known.get(n);
    if (before !== undefined) return before;
    const stored = await deps.store.read(deps.subjects.revisionKey(goalId, n));
    if (stored === undefined) return undefined;
    const revision = parseTrusted<Revision>(stored.data);
    known.set(n, revision);
    return revision;
  }

  async function of(goal: LiveGoal): Promise<readonly Revision[]> {
    const count = goal.revision ?? 0;
    const found = await Promise.all(Array.from({ length: count }, (_, index) => read(goal.goalId, index + 1)));
    const lost = found.indexOf(undefined);
    // The goal's record names a revision only after its own record stands.
    if (lost >= 0) throw new Error(`revision ${lost + 1} of goal ${goal.goalId} cannot be read`);
    return found.filter((revision) => revision !== undefined);
  }

  return {
    read,
    of,
    async lateEdges(goal) {
      const edges = (await of(goal)).flatMap(({ tasks }) => [...lateEdges(tasks)]);
      const by = Map.groupBy(edges, ([dependency]) => dependency);
      return new Map([...by].map(([dependency, found]) => [dependency, found.flatMap(([, waiting]) => waiting)]));
    },
    async create(revision) {
      const { goalId, revision: n } = revision;
      const subject = deps.subjects.dagSubject(deps.subjects.revisionKey(goalId, n));
      const { status } = await deps.store.commit([{ subject, data: encode(revision), expect: CREATE }]);
      deps.events.transition('revision.create', status, { goalId, taskId: revision.cause });
      return status === 'committed';
    },
    async carryOut(goal, revision) {
      const facts = { ...factsOf(goal), revisable: true, now: Date.parse(revision.createdAt) };
      await createTasks(deps, firstRecords(revision.tasks, facts));
      const { goalId, replaces } = revision;
      for (let start = 0; start < replaces.length; start += WINDOW) {
        const found = await readTasks(deps, goalId, replaces.slice(start, start + WINDOW));
        // One that starts meanwhile wins: the machine refuses to replace what has begun, and the compare-and-set sees who was first (I3).
        const event = { type: 'replace' as const, revision: revision.revision, at: deps.clock.now() };
        await Promise.all([...found.values()].map((task) => moveTask(deps, task, event)));
      }
    },
  };
}
