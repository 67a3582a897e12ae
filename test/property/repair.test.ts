/** Whatever failed in whatever graph: the repair is a revision that the graph takes, and nothing that counts is forgotten or done twice. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { firstRecords } from '../../shared/core/intake.ts';
import { newGoal } from '../../shared/core/goal-machine.ts';
import {
  afterRefusal,
  awaitsRepair,
  type FailedTask,
  repairOf,
  replansOf,
  type Situation,
} from '../../shared/core/repair.ts';
import { liveGraph, revise, stateOf } from '../../shared/core/revision.ts';
import { GoalSubmission, type LiveGoal, TASKS_MAX, type TaskSpec } from '../../shared/protocol/goal.ts';
import { ReplanRequest, Revision } from '../../shared/protocol/plan.ts';
import { TaskRecord } from '../../shared/protocol/task.ts';

const AT = Date.UTC(2030, 0, 1);
const REVISIONS = 64;

interface Drawn {
  readonly situation: Situation;
  readonly failed: FailedTask;
}

function goalOf(onTaskFailure: 'fail' | 'continue', replansMax: number): LiveGoal {
  const submission = GoalSubmission.parse({ description: 'a goal', onTaskFailure });
  const birth = {
    goalId: 'g',
    receipt: 1,
    acceptedBy: 'ann',
    correlationId: 'g',
    now: AT,
    deadline: AT + 1_000,
    total: 0,
    sinks: [],
    predicted: 0,
  };
  return { ...newGoal(submission, birth, 'running'), ...(replansMax === 0 ? {} : { replansMax }) };
}

const node = fc.record({
  edges: fc.array(fc.boolean(), { minLength: 9, maxLength: 9 }),
  tolerant: fc.boolean(),
  plans: fc.nat(9),
  fate: fc.constantFrom('completed', 'completed', 'in_progress', 'ready', 'failed'),
  words: fc.string({ maxLength: 2_000, unit: 'binary' }),
});

/** A graph in the middle of its run, one of whose tasks has just failed. Only a task whose dependencies are completed has begun. */
const drawn: fc.Arbitrary<Drawn | undefined> = fc
  .tuple(
    fc.array(node, { minLength: 1, maxLength: 9 }),
    fc.constantFrom('fail' as const, 'continue' as const),
    fc.nat(2),
  )
  .map(([nodes, onTaskFailure, replansMax]) => {
    const goal = goalOf(onTaskFailure, replansMax);
    const specs = nodes.map(({ edges, tolerant, plans, words }, index) => ({
      taskId: `t${index}`,
      capability: plans === 0 ? 'plan' : 'work',
      description: words,
      dependencies: nodes.flatMap((_, before) => (before < index && edges[before] === true ? [`t${before}`] : [])),
      ...(tolerant ? { tolerant: true as const } : {}),
    }));
    const tasks = new Map<string, TaskRecord>();
    for (const [index, record] of firstRecords(specs, factsOf(goal)).entries()) {
      const free = record.dependencies.every((id) => tasks.get(id)?.status === 'completed');
      tasks.set(record.taskId, free ? begun(record, nodes[index]?.fate ?? 'ready') : { ...record, status: 'pending' });
    }
    const failed = [...tasks.values()].filter((task): task is FailedTask => task.status === 'failed').at(-1);
    return failed === undefined ? undefined : { situation: { goal, tasks, revisions: [] }, failed };
  });

function begun(record: TaskRecord, fate: 'completed' | 'in_progress' | 'ready' | 'failed'): TaskRecord {
  const { taskId, capability, description, dependencies, dependents, deadline, tolerant } = record;
  return TaskRecord.parse({
    goalId: 'g',
    taskId,
    capability,
    description,
    dependencies,
    dependents,
    deadline,
    tolerant,
    attempt: fate === 'ready' ? 0 : 1,
    cost: record.cost,
    correlationId: 'g',
    createdAt: record.createdAt,
    maxAttempts: 1,
    timeoutMs: 1_000,
    revisable: true,
    status: fate,
    agentId: 'ann',
    startedAt: record.createdAt,
    finishedAt: record.createdAt,
    item: 1,
    result: { of: taskId },
    error: { code: 'handler_error', message: 'it broke' },
  });
}

function descendants(tasks: ReadonlyMap<string, TaskRecord>, of: string): Set<string> {
  const found = new Set([of]);
  for (let before = 0; before < found.size; ) {
    before = found.size;
    for (const task of tasks.values()) if (task.dependencies.some((id) => found.has(id))) found.add(task.taskId);
  }
  return found;
}

const RUNS = { numRuns: 3_000 };

function fail(): never {
  throw new Error('expected a task');
}

function specOf(taskId: string): TaskSpec {
  return { taskId, capability: 'work', description: taskId, dependencies: [] };
}

function factsOf(goal: LiveGoal) {
  const { deadline, onTaskFailure } = goal;
  const continues = onTaskFailure === 'continue';
  return { goalId: 'g', correlationId: 'g', deadline, continues, revisable: true, now: AT };
}

/** The situation once the repair of this failure is carried out and its tasks have come so far. */
function carriedOut(before: Situation, failed: FailedTask, fate: 'ready' | 'in_progress' | 'completed'): Situation {
  const { goal, tasks, revisions } = before;
  const repair = repairOf(before, failed);
  if (repair === undefined) throw new Error('expected a repair');
  const { draft, repairs } = repair;
  const fresh = firstRecords(draft.tasks, factsOf(goal)).map((record): [string, TaskRecord] => {
    return [record.taskId, { ...begun(record, fate), input: record.input ?? null }];
  });
  const revision = {
    goalId: 'g',
    revision: revisions.length + 1,
    cause: draft.cause,
    replaces: [...draft.replaces],
    tasks: [...draft.tasks],
    sinks: [],
    total: 0,
    predicted: 0,
    repairs,
    createdAt: failed.createdAt,
  };
  return { goal, tasks: new Map([...tasks, ...fresh]), revisions: [...revisions, revision] };
}

describe('a repair', () => {
  test('is a revision that the graph takes, is the same for everybody, and fits what is stored', () => {
    let repaired = 0;
    fc.assert(
      fc.property(drawn, (draw) => {
        fc.pre(draw !== undefined);
        const { situation, failed } = draw;
        const repair = repairOf(situation, failed);
        const shuffled = new Map([...situation.tasks].toReversed());
        expect(repairOf({ ...situation, tasks: shuffled }, failed)).toEqual(repair);
        if (repair === undefined) return;
        repaired += 1;
        const revised = revise(liveGraph(situation.tasks, situation.revisions), repair.draft, {
          tasks: TASKS_MAX,
          revisions: REVISIONS,
        });
        expect(revised).toMatchObject({ ok: true });
        const record = {
          goalId: 'g',
          revision: 1,
          cause: failed.taskId,
          replaces: repair.draft.replaces,
          tasks: repair.draft.tasks,
          sinks: revised.ok ? revised.sinks : [],
          total: revised.ok ? revised.total : 0,
          predicted: 0,
          repairs: repair.repairs,
          createdAt: new Date(AT).toISOString(),
        };
        expect(Revision.safeParse(JSON.parse(JSON.stringify(record))).success).toBe(true);
      }),
      RUNS,
    );
    expect(repaired).toBeGreaterThan(500);
  });

  test('replan: replaces the task and all that waits for it, and tells the planner of everything that counts', () => {
    fc.assert(
      fc.property(drawn, (draw) => {
        fc.pre(draw !== undefined);
        const { situation, failed } = draw;
        const repair = repairOf(situation, failed);
        const { tasks, goal } = situation;
        if (repair?.repairs.kind !== 'replan') return;
        expect(awaitsRepair({ ...situation, goal: { ...goal, revisionsMax: REVISIONS } })).toBe(true);
        expect(awaitsRepair(situation)).toBe(false);
        const broken = [...tasks.values()].filter((task) => task.status === 'failed' && task.capability !== 'plan');
        const lost = new Set(broken.flatMap(({ taskId }) => [...descendants(tasks, taskId)]));
        expect(new Set(repair.draft.replaces)).toEqual(lost);
        const [plans, ...others] = repair.draft.tasks;
        expect(others).toEqual([]);
        expect(plans?.capability).toBe('plan');
        const { replan } = ReplanRequest.parse(plans?.input);
        const ids = new Set(broken.map(({ taskId }) => taskId));
        expect(new Set(replan.failed.map(({ taskId }) => taskId))).toEqual(ids);
        expect(new Set(replan.waiting.map(({ taskId }) => taskId))).toEqual(lost.difference(ids));
        const work = [...tasks.values()].filter((task) => task.capability !== 'plan');
        const having = (status: string) =>
          new Set(work.filter((task) => task.status === status).map((task) => task.taskId));
        expect(new Set(replan.finished.map(({ taskId }) => taskId))).toEqual(having('completed'));
        expect(new Set(plans?.dependencies)).toEqual(having('completed'));
        expect(new Set(replan.running.map(({ taskId }) => taskId))).toEqual(having('in_progress'));
        for (const { description } of [...replan.failed, ...replan.waiting, ...replan.finished]) {
          expect(description.length).toBeLessThanOrEqual(500);
          expect(description.isWellFormed()).toBe(true);
        }
      }),
      RUNS,
    );
  });

  test('merge: tolerant tasks and what waits for them get copies without what failed, each of which is named', () => {
    let merged = 0;
    fc.assert(
      fc.property(drawn, (draw) => {
        fc.pre(draw !== undefined);
        const { situation, failed } = draw;
        const repair = repairOf(situation, failed);
        if (repair?.repairs.kind !== 'merge') return;
        merged += 1;
        const { tasks } = situation;
        const { draft } = repair;
        expect(situation.goal.onTaskFailure).toBe('continue');
        // By definition: what cannot run any more, given that tolerant tasks do without.
        const lost = new Set(
          [...tasks.values()].filter(({ status }) => status === 'failed').map(({ taskId }) => taskId),
        );
        for (const task of tasks.values()) {
          const gone = task.dependencies.filter((id) => lost.has(id));
          if (
            stateOf(task) === 'waiting' &&
            gone.length > 0 &&
            (task.tolerant !== true || gone.length === task.dependencies.length)
          )
            lost.add(task.taskId);
        }
        const copied = new Set(draft.replaces.slice(0, draft.tasks.length));
        expect([...copied].some((id) => lost.has(id))).toBe(false);
        for (const id of draft.replaces.slice(draft.tasks.length))
          expect(lost.has(id) && id !== failed.taskId).toBe(true);
        for (const [index, copy] of draft.tasks.entries()) {
          const original = tasks.get(draft.replaces[index] ?? '');
          expect(copy).toMatchObject({ capability: original?.capability, description: original?.description });
          const gone = original?.dependencies.filter((id) => lost.has(id)) ?? [];
          expect((copy.failures ?? []).map(({ taskId }) => taskId)).toEqual(gone);
          expect(copy.dependencies).toHaveLength((original?.dependencies.length ?? 0) - gone.length);
          expect(copy.dependencies.length).toBeGreaterThan(0);
          if (gone.length > 0) expect(original?.tolerant).toBe(true);
        }
      }),
      RUNS,
    );
    expect(merged).toBeGreaterThan(100);
  });

  test('none for a failure of the goal itself, of a planner, without a new plan to spare, or with nothing that could do without', () => {
    fc.assert(
      fc.property(drawn, fc.constantFrom('budget_exceeded', 'deadline_exceeded', 'cancelled'), (draw, code) => {
        fc.pre(draw !== undefined);
        const { situation, failed } = draw;
        const beyond: FailedTask = { ...failed, error: { code, message: '' } };
        expect(repairOf(situation, beyond)?.repairs.kind).not.toBe('replan');
        const plans: FailedTask = { ...failed, capability: 'plan' };
        expect(
          repairOf({ ...situation, tasks: new Map([...situation.tasks, [failed.taskId, plans]]) }, plans)?.repairs.kind,
        ).not.toBe('replan');
        const { replansMax: _none, ...goal } = situation.goal;
        expect(repairOf({ ...situation, goal }, failed)?.repairs.kind).not.toBe('replan');
        if (situation.goal.onTaskFailure === 'fail') expect(repairOf({ ...situation, goal }, failed)).toBeUndefined();
      }),
      RUNS,
    );
  });

  test('leaves finished work the goal’s, unless the new plan goes on from it', () => {
    const goal = goalOf('fail', 2);
    const [done, broken] = firstRecords([specOf('done'), specOf('broken')], factsOf(goal));
    const failed = begun(broken ?? fail(), 'failed');
    if (failed.status !== 'failed') throw new Error('expected a failure');
    const tasks = new Map([begun(done ?? fail(), 'completed'), failed].map((task) => [task.taskId, task]));
    const after = carriedOut({ goal, tasks, revisions: [] }, failed, 'completed');
    const limits = { tasks: TASKS_MAX, revisions: REVISIONS };
    const sinksOf = (...dependencies: string[]) => {
      const draft = { cause: 'replan-1', replaces: [], tasks: [{ taskId: 'new', dependencies }] };
      const revised = revise(liveGraph(after.tasks, after.revisions), draft, limits);
      return revised.ok ? revised.sinks : revised.fault;
    };
    expect(after.tasks.get('replan-1')?.dependencies).toEqual(['done']);
    expect(sinksOf()).toEqual(['done', 'new']);
    expect(sinksOf('done')).toEqual(['new']);
  });

  test('is small enough to be stored however many failed, or there is none', () => {
    const goal = goalOf('continue', 0);
    const repairWhere = (count: number) => {
      const parts = Array.from({ length: count }, (_, index) => ({
        ...specOf(`p${index}`),
        description: '€'.repeat(900),
      }));
      const dependencies = ['one', ...parts.map(({ taskId }) => taskId)];
      const join = { ...specOf('join'), dependencies, tolerant: true as const };
      const records = firstRecords([specOf('one'), ...parts, join], factsOf(goal));
      const tasks = new Map(
        records.map((task) => [task.taskId, task.taskId.startsWith('p') ? begun(task, 'failed') : task]),
      );
      const failed = tasks.get('p0');
      return failed?.status === 'failed' ? repairOf({ goal, tasks, revisions: [] }, failed) : undefined;
    };
    for (const count of [3, 300, 2_000]) {
      const [join] = repairWhere(count)?.draft.tasks ?? [];
      expect(join?.failures).toHaveLength(count);
      expect(Buffer.byteLength(JSON.stringify(join))).toBeLessThan(800_000);
    }
    expect(repairWhere(9_000)).toBeUndefined();
  });

  test('takes no task for a planner that a repair asked because of what stands in its input', () => {
    const goal = goalOf('fail', 1);
    const input = { replan: { number: 1, failed: [], waiting: [], finished: [], running: [] } };
    const own = { ...specOf('own'), capability: 'plan', input };
    const [first, second] = firstRecords([own, specOf('broken')], factsOf(goal));
    const failed = begun(second ?? fail(), 'failed');
    if (first === undefined || failed.status !== 'failed') throw new Error('expected a failure');
    const tasks = new Map([first, failed].map((task) => [task.taskId, task]));
    expect(repairOf({ goal, tasks, revisions: [] }, failed)?.draft.replaces).toEqual(['broken']);
  });

  test('a second failure is told to a planner that has not begun, and costs another new plan once it has', () => {
    const goal = goalOf('fail', 2);
    const specs = ['a', 'b', 'c'].map(specOf);
    const running = firstRecords(specs, factsOf(goal)).map((record) => begun(record, 'in_progress'));
    let situation: Situation = { goal, tasks: new Map(running.map((task) => [task.taskId, task])), revisions: [] };
    /** It fails, and the repair is carried out; the planner then has begun, or not. */
    const failing = (taskId: string, fate: 'ready' | 'in_progress'): Situation => {
      const failed = begun(situation.tasks.get(taskId) ?? fail(), 'failed');
      if (failed.status !== 'failed') throw new Error('expected a failure');
      return carriedOut({ ...situation, tasks: new Map([...situation.tasks, [taskId, failed]]) }, failed, fate);
    };
    situation = failing('a', 'ready');
    expect(replansOf(situation.revisions)).toBe(1);
    situation = failing('b', 'in_progress');
    expect(replansOf(situation.revisions)).toBe(1);
    expect([...situation.tasks.keys()]).toEqual(['a', 'b', 'c', 'replan-1', 'replan-1-2']);
    const { replan } = ReplanRequest.parse(situation.tasks.get('replan-1-2')?.input);
    expect(replan).toMatchObject({ number: 1, failed: [{ taskId: 'a' }, { taskId: 'b' }] });
    situation = failing('c', 'in_progress');
    expect(replansOf(situation.revisions)).toBe(2);
    expect(situation.tasks.has('replan-2')).toBe(true);
    const c = situation.tasks.get('c');
    if (c?.status !== 'failed') throw new Error('expected a failure');
    const late: FailedTask = { ...c, taskId: 'late' };
    const after = { ...situation, tasks: new Map([...situation.tasks, ['late', late]]) };
    expect(repairOf(after, late)).toBeUndefined();
    expect(awaitsRepair(after)).toBe(false);
  });

  test('a new plan that cannot be carried out is dropped for one that was asked later, else asked again, as often as there may be new plans', () => {
    const goal = goalOf('fail', 2);
    const begins = (...taskIds: string[]) =>
      new Map(
        firstRecords(taskIds.map(specOf), factsOf(goal)).map((task) => [task.taskId, begun(task, 'in_progress')]),
      );
    const failing = (before: Situation, taskId: string, fate: 'in_progress' | 'completed'): Situation => {
      const failed = begun(before.tasks.get(taskId) ?? fail(), 'failed');
      if (failed.status !== 'failed') throw new Error('expected a failure');
      return carriedOut({ ...before, tasks: new Map([...before.tasks, [taskId, failed]]) }, failed, fate);
    };
    const refused = (situation: Situation, taskId: string) => {
      const planner = situation.tasks.get(taskId);
      return planner?.status === 'completed' ? afterRefusal(situation, planner, 'no') : fail();
    };
    const once = failing({ goal, tasks: begins('a', 'b'), revisions: [] }, 'a', 'completed');
    expect(refused(once, 'replan-1')).toMatchObject({
      draft: { cause: 'replan-1', replaces: [], tasks: [{ taskId: 'replan-2' }] },
      repairs: { kind: 'replan', number: 2, failure: { taskId: 'replan-1', error: { code: 'unplannable' } } },
    });
    const twice = failing(once, 'b', 'completed');
    expect(refused(twice, 'replan-1')).toMatchObject({ draft: { replaces: [], tasks: [] } });
    expect(refused(twice, 'replan-1')).not.toHaveProperty('repairs');
    expect(refused(twice, 'replan-2')).toBeUndefined();
    expect(refused({ ...once, revisions: [] }, 'replan-1')).toBeUndefined();
  });
});
