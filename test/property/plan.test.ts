/** Whatever a model proposes, a plan is a graph that code named, bounded and checked; or a problem in words. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { validateGraph } from '../../shared/core/dag.ts';
import {
  fallbackAnew,
  fallbackPlan,
  plannable,
  planFrom,
  type ProposedStep,
  STEP_DESCRIPTION_MAX,
  STEPS_MAX,
  type Surroundings,
} from '../../shared/core/plan.ts';
import { Pattern } from '../../shared/protocol/goal.ts';
import { Plan } from '../../shared/protocol/plan.ts';

const ALIVE = ['plan', 'research', 'code', 'review'];

const hostileWord = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('a', 'b', 'c', 'd', 't1', 't2') },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      '__proto__',
      'constructor',
      'toString',
      '*',
      '>',
      'x.y',
      '../..',
      '',
      ' ',
      '\u0000',
      '\ud800',
      '$KV.mesh_dag.>',
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 3_000 }) },
);

const hostileStep: fc.Arbitrary<ProposedStep> = fc.record({
  id: hostileWord,
  title: hostileWord,
  description: hostileWord,
  capability: fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom('research', 'code', 'review') },
    { weight: 1, arbitrary: hostileWord },
    { weight: 1, arbitrary: fc.constant('plan') },
  ),
  dependsOn: fc.array(hostileWord, { maxLength: 4 }),
});

/** Steps with ids of their own, each depending on any of the others: often a plan that can be run, often a cycle. */
const plausibleSteps = fc.integer({ min: 1, max: 12 }).chain((count) =>
  fc.tuple(
    ...Array.from({ length: count }, (_, at) =>
      fc.record({
        title: fc.constant(''),
        id: fc.constant(`${'__proto__'.slice(0, at)}${at}`),
        description: hostileWord,
        capability: fc.constantFrom('research', 'code', 'review'),
        dependsOn: fc.array(
          fc.nat(count - 1).map((other) => `${'__proto__'.slice(0, other)}${other}`),
          { maxLength: 2 },
        ),
      }),
    ),
  ),
);

const surroundings: fc.Arbitrary<Surroundings> = fc.record({
  capabilities: fc.constant(new Set(ALIVE)),
  reviewers: fc.nat(7),
  pattern: fc.constantFrom(...Pattern.options),
  continues: fc.boolean(),
});

/** What every plan must be, whoever it came from. */
function expectSound(plan: Plan, { pattern, continues }: Surroundings): void {
  expect(Plan.safeParse(plan).success).toBe(true);
  expect(plan.tasks.length).toBeLessThanOrEqual(STEPS_MAX);
  expect(plan.tasks.map((task) => task.taskId)).toEqual(plan.tasks.map((_, at) => `t${at + 1}`));
  expect(validateGraph(plan.tasks)).toMatchObject({ ok: true });
  for (const [at, task] of plan.tasks.entries()) {
    expect(['research', 'code', 'review']).toContain(task.capability);
    expect(task.description.length).toBeLessThanOrEqual(STEP_DESCRIPTION_MAX);
    expect(task.description.isWellFormed()).toBe(true);
    expect(Object.keys(task).toSorted()).toEqual([
      'capability',
      'dependencies',
      'description',
      'taskId',
      // Only a join can do without a part, and only where a failure is not the end.
      ...(pattern === 'parallel' && continues && task.dependencies.length > 0 ? ['tolerant'] : []),
      ...(task.vote === undefined ? [] : ['vote']),
    ]);
    const earlier = plan.tasks.slice(0, at).map((before) => before.taskId);
    for (const dependency of task.dependencies) expect(earlier).toContain(dependency);
    expect(new Set(task.dependencies).size).toBe(task.dependencies.length);
    if (pattern === 'sequential') expect(task.dependencies).toEqual(earlier.slice(-1));
    if (pattern === 'parallel') expect(task.dependencies).toEqual(at === plan.tasks.length - 1 ? earlier : []);
  }
}

describe('a plan out of proposed steps', () => {
  test('hostile steps become a sound plan or a problem of bounded length, never a throw', () => {
    fc.assert(
      fc.property(fc.array(hostileStep, { maxLength: 8 }), surroundings, (steps, around) => {
        const planned = planFrom(steps, around);
        if (planned.ok) {
          expectSound(planned.plan, around);
          return;
        }
        expect(planned.problem.message.length).toBeLessThan(2_000);
        expect(planned.problem.message.isWellFormed()).toBe(true);
      }),
    );
  });

  test('the verdict is the one of a graph checked by name: sound if and only if it has no cycle', () => {
    let sound = 0;
    let cyclic = 0;
    fc.assert(
      fc.property(plausibleSteps, surroundings, (steps, around) => {
        const planned = planFrom(steps, around);
        const byName = validateGraph(steps.map((step) => ({ taskId: step.id, dependencies: step.dependsOn })));
        expect(planned.ok).toBe(byName.ok);
        if (planned.ok) {
          sound += 1;
          expectSound(planned.plan, around);
        } else {
          cyclic += 1;
          expect(planned.problem.code).toBe('cyclic_dependencies');
        }
      }),
      { numRuns: 200, seed: 7 },
    );
    expect(sound).toBeGreaterThan(10);
    expect(cyclic).toBeGreaterThan(10);
  });

  test('each step keeps its words and its dependencies under the new names', () => {
    fc.assert(
      fc.property(plausibleSteps, (steps) => {
        const titled = steps.map((step) => ({ ...step, description: step.id }));
        const planned = planFrom(titled, {
          capabilities: new Set(ALIVE),
          reviewers: 0,
          pattern: 'orchestrator',
          continues: false,
        });
        if (!planned.ok) return;
        const nameOf = new Map(planned.plan.tasks.map((task) => [task.description, task.taskId]));
        for (const step of steps) {
          const task = planned.plan.tasks.find((each) => each.description === step.id);
          expect(task?.capability).toBe(step.capability);
          expect(new Set(task?.dependencies)).toEqual(new Set(step.dependsOn.map((id) => nameOf.get(id))));
        }
      }),
      { numRuns: 200 },
    );
  });

  test('more steps than the bound are refused, whatever they say', () => {
    fc.assert(
      fc.property(fc.integer({ min: STEPS_MAX + 1, max: 5_000 }), surroundings, (count, around) => {
        const steps = Array.from({ length: count }, (_, at) => ({
          id: `${at}`,
          title: '',
          description: '',
          capability: 'code',
          dependsOn: [],
        }));
        expect(planFrom(steps, around)).toMatchObject({ ok: false, problem: { code: 'too_many_steps' } });
        expect(planFrom(steps.slice(0, STEPS_MAX), around)).toMatchObject({ ok: true });
      }),
      { numRuns: 20 },
    );
  });
});

describe('another plan of what a failure left undone', () => {
  const known = ['t1', 't2', 'x-3'];
  const before = fc.record({
    prefix: fc.constant('replan-1-'),
    tasks: fc.subarray(known).map((ids) => new Set(ids)),
    failed: fc.subarray(['research', 'code', 'review']).map((names) => new Set(names)),
    finished: fc.subarray(['research', 'code', 'review']).map((names) => new Set(names)),
  });

  test('names its tasks its own way, and waits for its own and for what there is, and for nothing else', () => {
    let planned = 0;
    let refused = 0;
    // Of hostile steps one plan in twenty can be run: too few for a test that counts them.
    const steps = fc.oneof(
      { weight: 3, arbitrary: fc.array(hostileStep, { maxLength: 4 }) },
      { weight: 1, arbitrary: plausibleSteps },
    );
    fc.assert(
      fc.property(steps, surroundings, before, (proposed, plain, there) => {
        const around = { ...plain, before: there };
        const answer = planFrom(proposed, around);
        if (!answer.ok) {
          refused += 1;
          return;
        }
        planned += 1;
        const own = answer.plan.tasks.map(({ taskId }) => taskId);
        expect(own).toEqual(proposed.map((_, at) => `replan-1-t${at + 1}`));
        const allowed = new Set([...own, ...there.tasks]);
        for (const { dependencies } of answer.plan.tasks) for (const id of dependencies) expect(allowed).toContain(id);
        expect(Plan.safeParse(answer.plan).success).toBe(true);
        expect(proposed.every(({ id }) => !there.tasks.has(id))).toBe(true);
      }),
      { numRuns: 3_000 },
    );
    expect(planned).toBeGreaterThan(100);
    expect(refused).toBeGreaterThan(100);
  });

  test('by fixed steps leaves out what failed and what is done', () => {
    fc.assert(
      fc.property(surroundings, before, (plain, there) => {
        const plan = fallbackAnew('goal', { ...plain, before: there }, there, 'why');
        const left = ['research', 'code', 'review'].filter(
          (name) => !there.failed.has(name) && !there.finished.has(name),
        );
        expect(plan?.tasks.map(({ capability }) => capability) ?? []).toEqual(left);
        expect(plan?.tasks[0]?.dependencies ?? [...there.tasks]).toEqual([...there.tasks]);
      }),
    );
  });
});

describe('the fixed plan', () => {
  test('it is sound for any goal and any reason', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 5_000 }),
        fc.string({ unit: 'binary', maxLength: 5_000 }),
        surroundings,
        (goal, reason, around) => {
          const plan = fallbackPlan(goal, around, reason);
          expectSound(plan, around);
          expect(plan.source).toBe('fallback');
          expect(plan.tasks.map((task) => task.capability)).toEqual(['research', 'code', 'review']);
        },
      ),
    );
  });
});

describe('what may be planned', () => {
  test('anything alive but planning itself', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...ALIVE, 'echo')), (alive) => {
        expect([...plannable(alive)].toSorted()).toEqual(
          [...new Set(alive)].filter((name) => name !== 'plan').toSorted(),
        );
      }),
    );
  });
});
