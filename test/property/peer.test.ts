/** Goals that nobody plans, as rules: whatever agents say, the graph stays a graph, one task has the goal in hand, and words stay words. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { firstRecords } from '../../shared/core/intake.ts';
import { ASSIGNEE_GONE, firstAuction, growthOfPeer, type ProposedStep, stepFrom } from '../../shared/core/peer.ts';
import { type GraphNode, grows, revise, stateOf } from '../../shared/core/revision.ts';
import { HOPS_MAX } from '../../shared/protocol/message.ts';
import { type Award, NOTE_MAX, PARTS_MAX, PEER_TASKS_MAX, Step } from '../../shared/protocol/peer.ts';
import { GraphTask, REVISIONS_MAX } from '../../shared/protocol/plan.ts';
import { type EndedTask, TaskRecord } from '../../shared/protocol/task.ts';

const CAPABILITIES = ['research', 'code', 'constructor'];
const RUNS = { numRuns: 400 };
const FACTS = {
  goalId: 'g',
  correlationId: 'g',
  deadline: '2030-01-02T00:00:00.000Z',
  continues: false,
  revisable: true,
  now: Date.UTC(2030, 0, 1),
};
const AT = { startedAt: '2030-01-01T00:00:01.000Z', finishedAt: '2030-01-01T00:00:02.000Z' };
const GOAL = { description: 'do it', input: { text: 'x' }, onTaskFailure: 'fail' as const };

const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(...CAPABILITIES, '__proto__', 'research.>', '*', '', 'x'.repeat(NOTE_MAX * 2)),
);
/** Mostly one that there may be: or splits, all of whose names must be known, were never met. */
const name = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...CAPABILITIES) }, { weight: 1, arbitrary: hostile });
const proposed: fc.Arbitrary<ProposedStep> = fc.record({
  step: fc.constantFrom('answer', 'hand_on', 'ask', 'split', 'delete', '__proto__'),
  capability: fc.option(name),
  note: fc.option(hostile),
  parts: fc.option(fc.array(fc.record({ capability: name, note: hostile }), { maxLength: PARTS_MAX + 2 })),
});
const choices = fc.record({
  capabilities: fc.subarray(CAPABILITIES).map((names) => new Set(names)),
  mayAsk: fc.subarray(CAPABILITIES).map((names) => new Set(names)),
  asksLeft: fc.nat(1),
});

const answer = fc.constant({ kind: 'answer' as const });
const handOn = fc.record({
  kind: fc.constant('hand_on' as const),
  capability: fc.constantFrom(...CAPABILITIES),
  note: fc.string(),
});
const split = fc.record({
  kind: fc.constant('split' as const),
  parts: fc.array(fc.record({ capability: fc.constantFrom(...CAPABILITIES), note: fc.string() }), {
    minLength: 1,
    maxLength: PARTS_MAX,
  }),
  capability: fc.constantFrom(...CAPABILITIES),
  note: fc.string(),
});
type Outcome = 'gone' | Step;

/** What becomes of each piece of work in turn: its agent is gone, or it says how to go on. Weights of gone, hand_on, split and answer. */
function fates(gone: number, on: number, splits: number, answers: number): fc.Arbitrary<Outcome[]> {
  const one = fc.oneof(
    { weight: gone, arbitrary: fc.constant('gone' as const) },
    { weight: on, arbitrary: handOn },
    { weight: splits, arbitrary: split },
    { weight: answers, arbitrary: answer },
  );
  return fc.array(one, { minLength: 45, maxLength: 60 });
}
const outcomes: fc.Arbitrary<Outcome[]> = fc.oneof(
  fates(1, 2, 1, 2),
  fates(1, 6, 1, 0),
  fates(1, 1, 8, 0),
  fates(20, 1, 0, 0),
);

describe('a step that an agent proposes', () => {
  test('can be done, or there is a problem in words; its capabilities are those that are there', () => {
    const kinds = new Set<string>();
    fc.assert(
      fc.property(proposed, choices, (said, may) => {
        const resolved = stepFrom(said, may);
        kinds.add(resolved.ok ? ('step' in resolved ? resolved.step.kind : 'ask') : 'problem');
        if (!resolved.ok) {
          expect(resolved.problem.length).toBeLessThan(500);
          return;
        }
        if ('ask' in resolved) {
          expect(may.mayAsk.has(resolved.ask.capability)).toBe(true);
          expect(may.asksLeft).toBeGreaterThan(0);
          return;
        }
        expect(Step.safeParse(resolved.step).error).toBeUndefined();
        const { step: next } = resolved;
        if (next.kind === 'answer') return;
        const named = [
          next.capability,
          ...(next.kind === 'split' ? next.parts.map(({ capability }) => capability) : []),
        ];
        for (const capability of named) expect(may.capabilities.has(capability)).toBe(true);
      }),
      { numRuns: 5_000 },
    );
    expect([...kinds].sort()).toEqual(['answer', 'ask', 'hand_on', 'problem', 'split']);
  });
});

/** Plays a goal through: each outcome is that of the next piece of work. */
function play(fate: readonly Outcome[]) {
  const ended: EndedTask[] = [];
  const replaced = new Set<string>();
  const causes = new Set<string>();
  let open: readonly TaskRecord[] = firstRecords([firstAuction('do it')], FACTS);
  let turn = 0;
  for (let revisions = 0; ; ) {
    const [task] = open.filter(({ peer }) => peer?.role !== 'part');
    if (task === undefined || open.filter(({ peer }) => peer?.role !== 'part').length !== 1)
      throw new Error('expected one task that has the goal in hand');
    const done = (each: TaskRecord, more: object): EndedTask => ({
      ...each,
      ...AT,
      attempt: 1,
      status: 'completed',
      agentId: 'ann',
      result: null,
      ...more,
    });
    ended.push(...open.filter((each) => each !== task).map((each) => done(each, {})));
    const award: Award = {
      agentId: `agent-${turn}`,
      capability: task.peer?.capability ?? 'research',
      score: 1,
      offers: [],
      asked: [],
      silent: [],
    };
    const isAuction = task.peer?.role === 'auction';
    const now = isAuction ? undefined : (fate[turn] ?? { kind: 'answer' as const });
    if (!isAuction) turn += 1;
    const error = { code: ASSIGNEE_GONE, message: '' };
    const end =
      now === 'gone'
        ? ({ ...task, ...AT, status: 'cancelled', error } as EndedTask)
        : done(task, isAuction ? { result: award } : { step: now });
    ended.push(end);
    expect(TaskRecord.safeParse(end).error).toBeUndefined();
    const growth = growthOfPeer(end, GOAL, isAuction ? award : undefined, []);
    expect(growth !== undefined).toBe(grows(end));
    if (growth === undefined) return { ended, replaced, stopped: undefined };
    if (!growth.ok) return { ended, replaced, stopped: growth.error };
    const nodes = ended.map((each): GraphNode => ({ ...each, state: stateOf(each) }));
    const limits = { tasks: PEER_TASKS_MAX, revisions: REVISIONS_MAX };
    const revised = revise({ nodes, replaced, causes, revisions }, { cause: end.taskId, ...growth }, limits);
    if (!revised.ok) return { ended, replaced, stopped: revised.fault };
    for (const each of growth.tasks) expect(GraphTask.safeParse(each).error).toBeUndefined();
    revisions += 1;
    causes.add(end.taskId);
    for (const id of growth.replaces) replaced.add(id);
    open = firstRecords(growth.tasks, FACTS);
  }
}

/** The capability that the auction of this turn asked for; an auction that was never held asked for none. */
function askedIn(ended: readonly EndedTask[], turn: number): string | undefined {
  const auction = ended.find(({ taskId }) => taskId === `a${turn}`);
  return (auction ?? ended.find(({ taskId }) => taskId === `a${turn - 1}`))?.peer?.capability;
}

describe('a goal that nobody plans', () => {
  test('grows by valid revisions alone, whatever its agents say, and ends: by an answer, or with a reason', () => {
    const ends = new Set<string>();
    fc.assert(
      fc.property(outcomes, (fate) => {
        const { ended, stopped } = play(fate);
        ends.add(stopped?.code ?? 'answer');
        const works = ended.filter(({ peer, status }) => peer?.role === 'work' && status === 'completed');
        expect(works.length).toBeLessThanOrEqual(HOPS_MAX + 1);
        expect(ended.length).toBeLessThanOrEqual(PEER_TASKS_MAX);
        expect(new Set(ended.map(({ taskId }) => taskId)).size).toBe(ended.length);
        const answers = works.filter((task) => task.status === 'completed' && task.step?.kind === 'answer');
        expect(answers.length).toBe(stopped === undefined ? 1 : 0);
      }),
      RUNS,
    );
    expect([...ends].sort()).toEqual(['answer', 'plan_too_large', 'too_many_hops', 'too_many_revisions']);
  });

  test('gives whoever works what was done before, and never the work of an agent that is gone', () => {
    fc.assert(
      fc.property(outcomes, (fate) => {
        const { ended, replaced } = play(fate);
        const done: string[] = [];
        for (const task of ended) {
          const turn = task.peer?.turn ?? 0;
          if (task.peer?.role === 'work') {
            const [auction, ...before] = task.dependencies;
            expect(auction).toBe(`a${task.peer.turn}`);
            expect(before).toEqual(done);
            expect(task.assignee).toBeDefined();
          }
          if (task.peer?.role !== 'auction' && task.status === 'completed') done.push(task.taskId);
          expect(task.dependencies.some((id) => replaced.has(id))).toBe(false);
          // Announced anew, it is the same work.
          if (task.status === 'cancelled') expect(askedIn(ended, turn + 1)).toBe(askedIn(ended, turn));
        }
      }),
      RUNS,
    );
  });
});
