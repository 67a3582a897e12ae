/** Parts of a goal that nobody plans fail, in any order and several at once: whoever goes on is told of each of them, to the end, and loses nothing else. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { newGoal } from '../../shared/core/goal-machine.ts';
import { firstRecords } from '../../shared/core/intake.ts';
import { ASSIGNEE_GONE, firstAuction, growthOfPeer } from '../../shared/core/peer.ts';
import { awaitsRepair, type FailedTask, type Repair, repairOf } from '../../shared/core/repair.ts';
import { type Draft, limitsOf, liveGraph, revise } from '../../shared/core/revision.ts';
import { nextTask } from '../../shared/core/task-machine.ts';
import { GoalSubmission, type LiveGoal } from '../../shared/protocol/goal.ts';
import { type Award, PARTS_MAX, PEER_TASKS_MAX, type Step } from '../../shared/protocol/peer.ts';
import { GraphTask, Revision, REVISIONS_MAX } from '../../shared/protocol/plan.ts';
import { type EndedTask, isTerminalTask, TaskRecord } from '../../shared/protocol/task.ts';

const AT = Date.UTC(2030, 0, 1);
const AFTER = { startedAt: '2030-01-01T00:00:01.000Z', finishedAt: '2030-01-01T00:00:02.000Z' };
const ERROR = { code: 'broken', message: 'nothing helps' };

/** What one piece of work says, and of a split which parts fail, in which order the parts end, and how many end before anybody looks. */
type Turn =
  | { readonly kind: 'gone' }
  | { readonly kind: 'answer' }
  | { readonly kind: 'hand_on' }
  | { readonly kind: 'split'; readonly parts: readonly Fate[]; readonly atOnce: number };
interface Fate {
  readonly fails: boolean;
  readonly place: number;
  readonly note: string;
}

const fate: fc.Arbitrary<Fate> = fc.record({
  fails: fc.boolean(),
  place: fc.nat(99),
  note: fc.string({ unit: 'binary', maxLength: 600 }),
});
const turn: fc.Arbitrary<Turn> = fc.oneof(
  fc.constantFrom<Turn>({ kind: 'gone' }, { kind: 'answer' }, { kind: 'hand_on' }),
  fc.record({
    kind: fc.constant('split' as const),
    parts: fc.array(fate, { minLength: 1, maxLength: PARTS_MAX }),
    atOnce: fc.integer({ min: 1, max: 3 }),
  }),
);
const turns = fc.oneof(
  fc.array(turn, { maxLength: 12 }),
  // Nothing but splits all of whose parts fail: as many tasks as there may be.
  fc.array(
    fc.record({
      kind: fc.constant('split' as const),
      parts: fc.array(
        fate.map((each) => ({ ...each, fails: true })),
        { minLength: 5, maxLength: PARTS_MAX },
      ),
      atOnce: fc.constant(1),
    }),
    { minLength: 12, maxLength: 12 },
  ),
);

function goalOf(onTaskFailure: 'fail' | 'continue', description: string): LiveGoal {
  const submission = GoalSubmission.parse({ description, pattern: 'peer-to-peer', onTaskFailure });
  const birth = {
    goalId: 'g',
    receipt: 1,
    acceptedBy: 'ann',
    correlationId: 'g',
    now: AT,
    deadline: AT + 1_000,
    total: 1,
    sinks: ['a1'],
    predicted: 0,
    revisionsMax: REVISIONS_MAX,
  };
  return newGoal(submission, birth, 'running');
}

/** A goal and all its records, as they would be in the store. */
class Life {
  readonly goal: LiveGoal;
  readonly tasks = new Map<string, TaskRecord>();
  readonly revisions: Revision[] = [];
  /** Ids of tasks that ended with a result, or failed, in that order. */
  readonly done: string[] = [];
  readonly lost: string[] = [];
  stopped: string | undefined;

  constructor(goal: LiveGoal) {
    this.goal = goal;
    this.#write([firstAuction(goal.description)]);
  }

  get #situation() {
    return { goal: this.goal, tasks: this.tasks, revisions: this.revisions };
  }

  #write(tasks: readonly GraphTask[]): void {
    const { deadline } = this.goal;
    const facts = { goalId: 'g', correlationId: 'g', deadline, continues: true, revisable: true, now: AT };
    for (const record of firstRecords(tasks, facts)) {
      assert(!this.tasks.has(record.taskId), `task ${record.taskId} comes twice`);
      this.tasks.set(record.taskId, record);
    }
  }

  /** Tasks that may start: all that they wait for is completed (I2). */
  startable(role: 'part' | 'work' | 'auction'): TaskRecord[] {
    const completed = (id: string): boolean => this.tasks.get(id)?.status === 'completed';
    return [...this.tasks.values()].filter(
      (task) => !isTerminalTask(task) && task.peer?.role === role && task.dependencies.every(completed),
    );
  }

  end(task: TaskRecord, more: object): EndedTask {
    const ended = { ...task, ...AFTER, attempt: 1, agentId: 'ann', ...more };
    const record = TaskRecord.parse(ended);
    if (!isTerminalTask(record)) throw new Error('expected an end');
    this.tasks.set(task.taskId, record);
    if (record.status === 'completed' && task.peer?.role !== 'auction') this.done.push(task.taskId);
    if (record.status === 'failed') this.lost.push(task.taskId);
    return record;
  }

  revise(draft: Draft<GraphTask>, repairs?: Repair['repairs']): void {
    const cause = this.tasks.get(draft.cause);
    const revised = revise(liveGraph(this.tasks, this.revisions), draft, limitsOf(this.goal, cause));
    if (!revised.ok) {
      this.stopped = revised.fault.code;
      return;
    }
    const { replaces, sinks, total } = revised;
    const { cause: of, tasks } = draft;
    const known = { goalId: 'g', revision: this.revisions.length + 1, cause: of, replaces, sinks, total, predicted: 0 };
    this.revisions.push(Revision.parse({ ...known, tasks, repairs, createdAt: AFTER.finishedAt }));
    this.#write(tasks);
    for (const taskId of replaces) {
      const task = this.tasks.get(taskId);
      const step = task && nextTask(task, { type: 'replace', revision: this.revisions.length, at: AT });
      if (step?.ok === true) this.tasks.set(taskId, step.task);
    }
  }

  grow(task: EndedTask, award?: Award): void {
    const growth = growthOfPeer(task, this.goal, award, []);
    if (growth === undefined) return;
    if (growth.ok) this.revise({ cause: task.taskId, ...growth });
    else this.stopped = growth.error.code;
  }

  /** Undefined: the failure is the goal's. */
  mend(task: FailedTask): Repair | undefined {
    const shuffled = new Map([...this.tasks].toReversed());
    const repair = repairOf(this.#situation, task);
    assert.deepEqual(repairOf({ ...this.#situation, tasks: shuffled }, task), repair);
    assert.equal(awaitsRepair(this.#situation), repair !== undefined && this.#fits(repair));
    if (repair === undefined) return undefined;
    this.revise(repair.draft, repair.repairs);
    return repair;
  }

  #fits({ draft }: Repair): boolean {
    return (
      this.tasks.size + draft.tasks.length <= PEER_TASKS_MAX && this.revisions.length < (this.goal.revisionsMax ?? 0)
    );
  }
}

function stepOf(one: Exclude<Turn, { kind: 'gone' }>): Step {
  if (one.kind === 'answer') return { kind: 'answer' };
  if (one.kind === 'hand_on') return { kind: 'hand_on', capability: 'code', note: '' };
  return {
    kind: 'split',
    parts: one.parts.map(({ note }) => ({ capability: 'code', note })),
    capability: 'code',
    note: '',
  };
}

/** The parts of one split end; those that fail at once are mended one after the other. */
function endParts(life: Life, { parts, atOnce }: Extract<Turn, { kind: 'split' }>): void {
  const open = life.startable('part').map((task, index) => ({ task, fate: parts[index] }));
  const order = open.toSorted((one, other) => (one.fate?.place ?? 0) - (other.fate?.place ?? 0));
  for (let at = 0; at < order.length; at += atOnce) {
    const failed: FailedTask[] = [];
    for (const { task, fate: one } of order.slice(at, at + atOnce)) {
      const ended = life.end(
        task,
        one?.fails === true ? { status: 'failed', error: ERROR } : { status: 'completed', result: {} },
      );
      if (ended.status === 'failed') failed.push(ended);
    }
    for (const each of failed) if (life.stopped === undefined) life.mend(each);
  }
}

/** Plays a goal to its end, with an answer when there is nothing more to be said. */
function play(life: Life, said: readonly Turn[]): void {
  for (let at = 0; life.stopped === undefined; ) {
    const [auction, second] = life.startable('auction');
    if (auction === undefined) return;
    expect(second).toBeUndefined();
    const award = { agentId: `agent-${at}`, capability: 'code', score: 1, offers: [], asked: [], silent: [] };
    life.grow(life.end(auction, { status: 'completed', result: award }), award);
    const [work] = life.startable('work');
    if (work === undefined || life.stopped !== undefined) return;
    const now = said[at] ?? { kind: 'answer' };
    at += 1;
    if (now.kind === 'gone') {
      life.grow(life.end(work, { status: 'cancelled', error: { code: ASSIGNEE_GONE, message: '' } }));
      continue;
    }
    life.grow(life.end(work, { status: 'completed', result: {}, step: stepOf(now) }));
    if (now.kind === 'split' && life.stopped === undefined) endParts(life, now);
  }
}

const RUNS = { numRuns: 150 };

test('under `continue` the answer is without the parts that failed, names each of them once, and has everything else', () => {
  const ends = new Map<string, number>();
  fc.assert(
    fc.property(turns, fc.string({ minLength: 1, maxLength: 800 }), (said, description) => {
      const life = new Life(goalOf('continue', description));
      play(life, said);
      const end = life.stopped ?? (life.lost.length > 0 ? 'answer without' : 'answer');
      ends.set(end, (ends.get(end) ?? 0) + 1);
      expect(life.tasks.size).toBeLessThanOrEqual(PEER_TASKS_MAX);
      if (life.stopped !== undefined) return;
      const answers = [...life.tasks.values()].filter(
        (task) => task.status === 'completed' && task.step?.kind === 'answer',
      );
      expect(answers).toHaveLength(1);
      const [answer] = answers;
      expect(life.revisions.at(-1)?.sinks).toEqual([answer?.taskId]);
      expect((answer?.failures ?? []).map(({ taskId }) => taskId).sort()).toEqual([...life.lost].sort());
      expect(answer?.dependencies.slice(1).toSorted()).toEqual(
        life.done.filter((id) => id !== answer?.taskId).toSorted(),
      );
      // What a part was about is its note; the goal's own words all of them have.
      const notes = said.flatMap((one) => (one.kind === 'split' ? one.parts.map(({ note }) => note.trim()) : []));
      for (const { description: about } of answer?.failures ?? []) {
        expect(about.length).toBeLessThanOrEqual(500);
        const note = about.replace(/^code says: /, '').trim();
        expect(
          about === description.slice(0, 500).toWellFormed() ||
            notes.some((each) => each.toWellFormed().startsWith(note)),
        ).toBe(true);
      }
    }),
    RUNS,
  );
  expect([...ends.keys()].sort()).toEqual(['answer', 'answer without', 'plan_too_large']);
  for (const [end, times] of ends) expect(times, end).toBeGreaterThan(5);
});

test('under `fail` nothing is done without a part', () => {
  fc.assert(
    fc.property(turns, (said) => {
      const life = new Life(goalOf('fail', 'do it'));
      play(life, said);
      expect(life.revisions.filter(({ repairs }) => repairs !== undefined)).toEqual([]);
      expect([...life.tasks.values()].filter(({ tolerant, failures }) => tolerant ?? failures)).toEqual([]);
      if (life.lost.length > 0 && life.stopped === undefined)
        expect(life.startable('auction').length + life.startable('work').length).toBe(0);
    }),
    RUNS,
  );
});

test('a copy differs from its auction in nothing but what it waits for and what it names', () => {
  fc.assert(
    fc.property(turns, (said) => {
      const life = new Life(goalOf('continue', 'do it'));
      play(life, said);
      for (const { tasks: copies, replaces, repairs } of life.revisions) {
        if (repairs === undefined) continue;
        const [original, copy] = [replaces[0], copies[0]?.taskId].map((id) =>
          GraphTask.parse(life.tasks.get(id ?? '')),
        );
        const same = { taskId: '', dependencies: [], failures: [] };
        expect({ ...copy, ...same }).toEqual({ ...original, ...same });
        expect(original?.tolerant).toBe(true);
      }
    }),
    RUNS,
  );
});
