/** The task graph's rules against a second version of each that is too dumb to be wrong in the same way. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dependentsOf, mayStart, type Node, sinksOf, unreachableAfter, validateGraph } from '../../shared/core/dag.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', '__proto__', 'constructor'];

/** Any nodes: duplicates, unknown dependencies, cycles and self-loops among them. */
const anyGraph: fc.Arbitrary<Node[]> = fc.array(
  fc.record({ taskId: fc.constantFrom(...NAMES), dependencies: fc.array(fc.constantFrom(...NAMES), { maxLength: 3 }) }),
  { maxLength: 8 },
);

/** Each task once, each dependency known; often cyclic. */
const soundGraph: fc.Arbitrary<Node[]> = fc.integer({ min: 1, max: NAMES.length }).chain((count) => {
  const names = NAMES.slice(0, count);
  return fc.tuple(
    ...names.map((taskId) =>
      fc.record({ taskId: fc.constant(taskId), dependencies: fc.subarray(names, { maxLength: Math.min(2, count) }) }),
    ),
  );
});

/** Dependencies on earlier tasks only, listed in any order. */
const acyclicGraph: fc.Arbitrary<Node[]> = fc
  .array(fc.array(fc.nat(), { maxLength: 4 }), { minLength: 1, maxLength: 12 })
  .map((edges) =>
    edges.map((picks, at) => ({
      taskId: `t${at}`,
      dependencies: at === 0 ? [] : picks.map((pick) => `t${pick % at}`),
    })),
  )
  .chain((nodes) => fc.shuffledSubarray(nodes, { minLength: nodes.length }));

function onceEach(tasks: readonly Node[]): boolean {
  return tasks.every((task, at) => tasks.findIndex((other) => other.taskId === task.taskId) === at);
}

function allKnown(tasks: readonly Node[]): boolean {
  return tasks.every((task) =>
    task.dependencies.every((dependency) => tasks.some((other) => other.taskId === dependency)),
  );
}

/** Takes any task away that waits for nobody who is left, until that is impossible. */
function dumbIsAcyclic(tasks: readonly Node[]): boolean {
  const left = [...tasks];
  for (;;) {
    const free = left.findIndex((task) =>
      task.dependencies.every((dependency) => left.every((other) => other.taskId !== dependency)),
    );
    if (free < 0) return left.length === 0;
    left.splice(free, 1);
  }
}

/** Adds whoever waits for one of the lost, until nobody is added. */
function dumbClosure(tasks: readonly Node[], failed: string): Set<string> {
  const lost = new Set<string>();
  for (;;) {
    const next = tasks.find(
      (task) =>
        !lost.has(task.taskId) && task.dependencies.some((dependency) => dependency === failed || lost.has(dependency)),
    );
    if (next === undefined) return lost;
    lost.add(next.taskId);
  }
}

describe('validateGraph', () => {
  test('accepts exactly the graphs that a dumb second version accepts, and names the first fault of the others', () => {
    fc.assert(
      fc.property(fc.oneof(anyGraph, soundGraph, acyclicGraph), (tasks) => {
        const verdict = validateGraph(tasks);
        const expected = !onceEach(tasks)
          ? 'duplicate_task'
          : !allKnown(tasks)
            ? 'unknown_dependency'
            : dumbIsAcyclic(tasks)
              ? 'ok'
              : 'cyclic_dependencies';
        expect(verdict.ok ? 'ok' : verdict.fault.code).toBe(expected);
      }),
      { numRuns: 2_000 },
    );
  });

  test('gives an order in which every task stands once and after all that it waits for', () => {
    fc.assert(
      fc.property(acyclicGraph, (tasks) => {
        const verdict = validateGraph(tasks);
        if (!verdict.ok) throw new Error(verdict.fault.message);
        expect([...verdict.order].toSorted()).toEqual(tasks.map((task) => task.taskId).toSorted());
        for (const task of tasks) {
          for (const dependency of task.dependencies)
            expect(verdict.order.indexOf(dependency)).toBeLessThan(verdict.order.indexOf(task.taskId));
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('names a cycle that is one: closed, and each of its steps an edge', () => {
    let cycles = 0;
    fc.assert(
      fc.property(soundGraph, (tasks) => {
        const verdict = validateGraph(tasks);
        if (verdict.ok || verdict.fault.code !== 'cyclic_dependencies') return;
        cycles += 1;
        const { cycle } = verdict.fault;
        expect(cycle.length).toBeGreaterThan(1);
        expect(cycle[0]).toBe(cycle.at(-1));
        for (const [at, taskId] of cycle.slice(1).entries()) {
          expect(tasks.find((task) => task.taskId === taskId)?.dependencies).toContain(cycle[at]);
        }
      }),
      { numRuns: 1_000 },
    );
    expect(cycles).toBeGreaterThan(100);
  });

  test('points with its path at what is wrong', () => {
    fc.assert(
      fc.property(anyGraph, (tasks) => {
        const verdict = validateGraph(tasks);
        if (verdict.ok) return;
        const [, index, field, at] = verdict.fault.path.split('.');
        const task = tasks[Number(index)];
        expect(task).toBeDefined();
        if (verdict.fault.code === 'unknown_dependency')
          expect(tasks.some((other) => other.taskId === task?.dependencies[Number(at)])).toBe(false);
        if (verdict.fault.code === 'duplicate_task')
          expect(tasks.slice(0, Number(index)).some((other) => other.taskId === task?.taskId)).toBe(true);
        expect(field).toBe(verdict.fault.code === 'duplicate_task' ? 'taskId' : 'dependencies');
      }),
    );
  });
});

describe('edges', () => {
  test('of dependents are those of dependencies, backwards, each once', () => {
    fc.assert(
      fc.property(soundGraph, (tasks) => {
        const dependents = dependentsOf(tasks);
        for (const one of tasks) {
          const expected = tasks
            .filter((other) => other.dependencies.includes(one.taskId))
            .map((other) => other.taskId);
          expect(dependents.get(one.taskId)).toEqual(expected);
        }
      }),
    );
  });

  test('leave as sinks exactly those on which nobody waits', () => {
    fc.assert(
      fc.property(acyclicGraph, (tasks) => {
        const expected = tasks.filter((task) => tasks.every((other) => !other.dependencies.includes(task.taskId)));
        expect(sinksOf(tasks)).toEqual(expected.map((task) => task.taskId));
        expect(sinksOf(tasks).length).toBeGreaterThan(0);
      }),
    );
  });
});

describe('unreachableAfter', () => {
  test('is the naive closure over dependents, each task once, also in graphs with cycles', () => {
    fc.assert(
      fc.property(fc.oneof(soundGraph, acyclicGraph), fc.nat(), (tasks, pick) => {
        const failed = tasks[pick % tasks.length]?.taskId ?? '';
        const dependents = dependentsOf(tasks);
        const lost = unreachableAfter(failed, (taskId) => dependents.get(taskId) ?? []);
        expect(new Set(lost)).toEqual(dumbClosure(tasks, failed));
        expect(lost.length).toBe(new Set(lost).size);
      }),
      { numRuns: 1_000 },
    );
  });

  test('leaves every other task with nothing lost among what it waits for', () => {
    fc.assert(
      fc.property(acyclicGraph, fc.nat(), (tasks, pick) => {
        const failed = tasks[pick % tasks.length]?.taskId ?? '';
        const dependents = dependentsOf(tasks);
        const lost = new Set(unreachableAfter(failed, (taskId) => dependents.get(taskId) ?? []));
        const others = tasks.filter((task) => task.taskId !== failed && !lost.has(task.taskId));
        for (const { dependencies } of others)
          expect(dependencies.some((dependency) => dependency === failed || lost.has(dependency))).toBe(false);
      }),
    );
  });
});

test('a task may start when all that it waits for completed, and not before (I2)', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.constantFrom(...NAMES)), fc.subarray(NAMES), (dependencies, completed) => {
      const open = dependencies.filter((dependency) => !completed.includes(dependency));
      expect(mayStart(dependencies, (taskId) => completed.includes(taskId))).toBe(open.length === 0);
    }),
  );
});
