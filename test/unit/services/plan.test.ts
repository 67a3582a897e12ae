/** Single plans, each with what must become of it. */
import { describe, expect, test } from 'vitest';
import { fallbackPlan, planFrom, type ProposedStep, type Surroundings } from '../../../shared/core/plan.ts';

const around: Surroundings = {
  capabilities: new Set(['plan', 'research', 'code', 'review']),
  reviewers: 3,
  pattern: 'orchestrator',
  continues: false,
};

function step(id: string, capability: string, ...dependsOn: string[]): ProposedStep {
  return { id, title: id, description: `what ${id} does`, capability, dependsOn };
}

function problemOf(...steps: ProposedStep[]): unknown {
  const planned = planFrom(steps, around);
  return planned.ok ? undefined : planned.problem;
}

describe('problems name what is wrong', () => {
  test('a cycle, closed', () => {
    const steps = [step('x', 'research'), step('a', 'code', 'b'), step('b', 'code', 'c'), step('c', 'code', 'a')];
    expect(problemOf(...steps)).toEqual({
      code: 'cyclic_dependencies',
      message: expect.stringMatching(/in a circle: "(\w)" -> "\w" -> "\w" -> "\1"$/),
    });
  });

  test('a step that waits for itself', () => {
    expect(problemOf(step('a', 'code', 'a'))).toEqual({
      code: 'cyclic_dependencies',
      message: 'steps wait for each other in a circle: "a" -> "a"',
    });
  });

  test('a stranger among the dependencies', () => {
    expect(problemOf(step('a', 'code', '__proto__'))).toEqual({
      code: 'unknown_dependency',
      message: 'step "a" depends on "__proto__", which is not the id of a step',
    });
  });

  test.each(['plan', '*', '>', '__proto__', 'research.>', ''])('the capability %j', (capability) => {
    expect(problemOf(step('a', capability))).toEqual({
      code: 'unknown_capability',
      message: `step "a": expected a capability out of research, code, review; got ${JSON.stringify(capability)}`,
    });
  });

  test('one id twice', () => {
    expect(problemOf(step('a', 'code'), step('a', 'review'))).toEqual({
      code: 'duplicate_step',
      message: 'expected each step id once, got "a" twice',
    });
  });

  test('no step', () => {
    expect(problemOf()).toEqual({ code: 'no_steps', message: 'expected at least one step, got none' });
  });
});

describe('plans', () => {
  test('steps are named and ordered by code; a repeated dependency counts once', () => {
    const planned = planFrom(
      [step('review', 'review', 'make', 'make'), step('make', 'code', 'find'), step('find', 'research')],
      around,
    );
    expect(planned).toEqual({
      ok: true,
      plan: {
        source: 'model',
        tasks: [
          { taskId: 't1', capability: 'research', description: 'find: what find does', dependencies: [] },
          {
            taskId: 't2',
            capability: 'code',
            description: 'make: what make does',
            dependencies: ['t1'],
            vote: expect.anything(),
          },
          { taskId: 't3', capability: 'review', description: 'review: what review does', dependencies: ['t2'] },
        ],
      },
    });
  });

  test.each([
    { reviewers: 0, vote: undefined },
    { reviewers: 2, vote: undefined },
    {
      reviewers: 3,
      vote: { capability: 'review', rule: { method: 'majority', quorum: 2 }, onReject: 'rework', maxReworks: 1 },
    },
    {
      reviewers: 6,
      vote: { capability: 'review', rule: { method: 'majority', quorum: 4 }, onReject: 'rework', maxReworks: 1 },
    },
  ])('with $reviewers reviewers what is made is voted on: $vote', ({ reviewers, vote }) => {
    const planned = planFrom([step('a', 'code')], { ...around, reviewers });
    expect(planned.ok ? planned.plan.tasks[0]?.vote : planned).toEqual(vote);
    expect(fallbackPlan('goal', { ...around, reviewers }, 'why').tasks[1]?.vote).toEqual(vote);
  });

  test('the fixed plan: analyze, implement, review', () => {
    expect(fallbackPlan('Brief this text', around, 'the model is away')).toEqual({
      source: 'fallback',
      reason: 'the model is away',
      tasks: [
        { taskId: 't1', capability: 'research', description: 'Analyze: Brief this text', dependencies: [] },
        {
          taskId: 't2',
          capability: 'code',
          description: 'Implement: Brief this text',
          dependencies: ['t1'],
          vote: expect.anything(),
        },
        { taskId: 't3', capability: 'review', description: 'Review: Brief this text', dependencies: ['t2'] },
      ],
    });
  });

  test('in parallel the last step joins the others', () => {
    const plan = fallbackPlan('goal', { ...around, pattern: 'parallel' }, 'why');
    expect(plan.tasks.map((task) => task.dependencies)).toEqual([[], [], ['t1', 't2']]);
  });
});
