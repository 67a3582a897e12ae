/** What a revision may do to a live graph, against a second version that knows nothing of order: it tries every subset and counts on its fingers. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Draft, type GraphNode, lateEdges, type LiveGraph, revise } from '../../shared/core/revision.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e'] as const;
const NEW = ['x', 'y', 'z', 'a'] as const;
const STATES = ['waiting', 'waiting', 'started', 'completed', 'failed', 'cancelled'] as const;
const LIMITS = { tasks: 7, revisions: 2 };
const RUNS = { numRuns: 5_000 };

/** Each task waits for some of those before it. */
const nodes: fc.Arbitrary<GraphNode[]> = fc.integer({ min: 1, max: NAMES.length }).chain((count) =>
  fc.tuple(
    ...NAMES.slice(0, count).map((taskId, index) =>
      fc.record({
        taskId: fc.constant(taskId),
        dependencies: fc.subarray(NAMES.slice(0, index)),
        state: fc.constantFrom(...STATES),
      }),
    ),
  ),
);
const graph: fc.Arbitrary<LiveGraph> = fc.record({
  nodes,
  replaced: fc.subarray([...NAMES], { maxLength: 1 }).map((ids) => new Set<string>(ids)),
  causes: fc.subarray([...NAMES], { maxLength: 2 }).map((ids) => new Set<string>(ids)),
  revisions: fc.nat(2),
});
const draft: fc.Arbitrary<Draft> = fc.record({
  cause: fc.constantFrom(...NAMES),
  replaces: fc.subarray([...NAMES], { maxLength: 3 }),
  tasks: fc.array(
    fc.record({
      taskId: fc.constantFrom(...NEW),
      dependencies: fc.uniqueArray(fc.constantFrom('a', 'b', 'x', 'y', 'nobody'), { maxLength: 2 }),
    }),
    { maxLength: 3 },
  ),
});

/** True when the revision keeps every rule, each put as directly as it can be said. */
function allowed(before: LiveGraph, { cause, replaces, tasks }: Draft): boolean {
  const counting = before.nodes.filter(({ taskId }) => !before.replaced.has(taskId));
  const kept = counting.filter(({ taskId }) => !replaces.includes(taskId));
  const ids = [...before.nodes, ...tasks].map(({ taskId }) => taskId);
  const usable = [...kept.filter(({ state }) => state !== 'failed' && state !== 'cancelled'), ...tasks];
  const after = [...kept, ...tasks];
  const wanted = new Set(after.flatMap(({ dependencies }) => dependencies));
  return (
    before.revisions < LIMITS.revisions &&
    ids.length <= LIMITS.tasks &&
    new Set(ids).size === ids.length &&
    replaces.every((id) =>
      counting.some(({ taskId, state }) => taskId === id && state !== 'started' && state !== 'completed'),
    ) &&
    !kept.some(({ dependencies }) => dependencies.some((id) => replaces.includes(id))) &&
    tasks.every(({ dependencies }) => dependencies.every((id) => usable.some(({ taskId }) => taskId === id))) &&
    tasks.every((task) => !reaches(tasks, task.taskId, task.taskId)) &&
    after.some(
      ({ taskId }) =>
        !wanted.has(taskId) && taskId !== cause && !before.causes.has(taskId) && !isForNothing(before, kept, taskId),
    )
  );
}

/** No result will come of it, and something was to use that: it was never the goal's. */
function isForNothing({ nodes: all }: LiveGraph, kept: readonly GraphNode[], taskId: string): boolean {
  const hopeless = (id: string): boolean => {
    const task = kept.find((each) => each.taskId === id);
    return (
      task !== undefined && (task.state === 'failed' || task.state === 'cancelled' || task.dependencies.some(hopeless))
    );
  };
  return hopeless(taskId) && all.some(({ dependencies }) => dependencies.includes(taskId));
}

function reaches(tasks: Draft['tasks'], from: string, to: string, steps = tasks.length): boolean {
  const next = tasks.find(({ taskId }) => taskId === from)?.dependencies ?? [];
  return next.includes(to) || (steps > 0 && next.some((id) => reaches(tasks, id, to, steps - 1)));
}

describe('a revision', () => {
  test('is allowed exactly when it keeps every rule, and every rule has refused some', () => {
    const verdicts = new Map<string, number>();
    fc.assert(
      fc.property(graph, draft, (before, change) => {
        const verdict = revise(before, change, LIMITS);
        const kind = verdict.ok ? 'ok' : verdict.fault.code;
        verdicts.set(kind, (verdicts.get(kind) ?? 0) + 1);
        expect(verdict.ok, kind).toBe(allowed(before, change));
      }),
      RUNS,
    );
    for (const kind of [
      'ok',
      'too_many_revisions',
      'plan_too_large',
      'duplicate_task',
      'unknown_dependency',
      'cyclic_dependencies',
      'unknown_task',
      'task_started',
      'still_needed',
      'nothing_left',
    ])
      expect(verdicts.get(kind) ?? 0, kind).toBeGreaterThan(0);
  });

  test('leaves as sinks what counts, is no cause, is waited for by nothing that counts, and was not lost to what waited for it', () => {
    let lost = 0;
    fc.assert(
      fc.property(graph, draft, (before, change) => {
        const verdict = revise(before, change, LIMITS);
        if (!verdict.ok) return;
        const gone = new Set([...before.replaced, ...change.replaces]);
        const kept = before.nodes.filter(({ taskId }) => !gone.has(taskId));
        const after = [...kept, ...change.tasks];
        const ends = after
          .map(({ taskId }) => taskId)
          .filter((id) => !after.some(({ dependencies }) => dependencies.includes(id)))
          .filter((id) => id !== change.cause && !before.causes.has(id));
        const sinks = ends.filter((id) => !isForNothing(before, kept, id));
        lost += ends.length - sinks.length;
        expect([...verdict.sinks].sort()).toEqual(sinks.sort());
        expect(verdict.total).toBe(before.nodes.length + change.tasks.length);
      }),
      { numRuns: 40_000 },
    );
    expect(lost).toBeGreaterThan(10);
  });

  test('replaces in an order in which the tasks could have run', () => {
    fc.assert(
      fc.property(graph, draft, (before, change) => {
        const verdict = revise(before, change, LIMITS);
        if (!verdict.ok) return;
        expect([...verdict.replaces].sort()).toEqual([...new Set(change.replaces)].sort());
        for (const [index, id] of verdict.replaces.entries()) {
          const { dependencies = [] } = before.nodes.find(({ taskId }) => taskId === id) ?? {};
          for (const dependency of dependencies) expect(verdict.replaces.indexOf(dependency)).toBeLessThan(index);
        }
      }),
      RUNS,
    );
  });

  test('has as late edges those from a new task to one that was there before, each once', () => {
    fc.assert(
      fc.property(draft, ({ tasks }) => {
        const fresh = new Set(tasks.map(({ taskId }) => taskId));
        const edges = [...lateEdges(tasks)].flatMap(([dependency, waiting]) =>
          waiting.map((id) => `${id}>${dependency}`),
        );
        const expected = tasks.flatMap(({ taskId, dependencies }) =>
          dependencies.filter((id) => !fresh.has(id)).map((id) => `${taskId}>${id}`),
        );
        expect(edges.sort()).toEqual(expected.sort());
      }),
      RUNS,
    );
  });
});
