/** The task machine under any events in any order: it answers each, and no order of them breaks I1, I3 or I10. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { taskChange, taskState } from '../../shared/core/history.ts';
import { addCost, type Claimant, dependenciesDone, nextTask, type TaskEvent } from '../../shared/core/task-machine.ts';
import { isTerminalTask, NO_COST, type TaskCost, TaskRecord } from '../../shared/protocol/task.ts';

const AT = Date.UTC(2030, 0, 1);

const claimant: fc.Arbitrary<Claimant> = fc.record({
  agentId: fc.constantFrom('ann', 'bob'),
  startedAt: fc.integer({ min: AT, max: AT + 1_000 }),
  item: fc.integer({ min: 1, max: 2 }),
});
const cost: fc.Arbitrary<TaskCost> = fc.record({
  usd: fc.integer({ min: 0, max: 1_000 }).map((nano) => nano / 1e9),
  inputTokens: fc.nat(100),
  outputTokens: fc.nat(100),
  messages: fc.nat(3),
});
const at = fc.integer({ min: AT, max: AT + 10_000 });
const error = fc.record({ code: fc.constantFrom('flaky', 'timeout'), message: fc.string() });
const result = fc.constantFrom(1, 'done', null, { deep: [1] });

const event: fc.Arbitrary<TaskEvent> = fc.oneof(
  fc.record({ type: fc.constant('release' as const) }),
  { weight: 3, arbitrary: fc.record({ type: fc.constant('claim' as const), by: claimant, redelivered: fc.boolean() }) },
  fc.record({ type: fc.constant('complete' as const), by: claimant, result, cost, at }),
  fc.record({ type: fc.constant('propose' as const), by: claimant, result, salt: fc.string(), cost }),
  fc.record({
    type: fc.constant('reject' as const),
    by: claimant,
    reasons: fc.array(fc.string(), { maxLength: 2 }),
    at,
  }),
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('fail' as const), by: claimant, error, final: fc.boolean(), cost, at }),
  },
  fc.record({ type: fc.constant('expire' as const), at }),
  fc.record({ type: fc.constant('cancel' as const), at }),
  fc.record({ type: fc.constant('replace' as const), revision: fc.integer({ min: 1, max: 3 }), at }),
);

const vote = fc.option(
  fc.record({
    capability: fc.constant('voter'),
    rule: fc.constant({ method: 'majority' as const }),
    onReject: fc.constantFrom('rework' as const, 'fail' as const),
    maxReworks: fc.nat(2),
  }),
  { nil: undefined },
);

const birth: fc.Arbitrary<TaskRecord> = fc
  .record({ dependencies: fc.subarray(['x', 'y']), maxAttempts: fc.integer({ min: 1, max: 4 }), vote })
  .map(({ dependencies, maxAttempts, vote: asked }) => ({
    goalId: 'g',
    taskId: 't',
    capability: 'echo',
    description: '',
    attempt: 0,
    dependencies,
    cost: NO_COST,
    correlationId: 'g',
    createdAt: '2030-01-01T00:00:00.000Z',
    dependents: ['z'],
    maxAttempts,
    timeoutMs: 1_000,
    deadline: '2030-01-02T00:00:00.000Z',
    ...(asked === undefined ? {} : { vote: asked }),
    status: dependencies.length === 0 ? ('ready' as const) : ('pending' as const),
  }));

interface Step {
  readonly before: TaskRecord;
  readonly event: TaskEvent;
  readonly after: TaskRecord | undefined;
}

/** Every step of a life, those that were refused among them. */
function live(first: TaskRecord, events: readonly TaskEvent[]): Step[] {
  let standing = first;
  return events.map((each) => {
    const before = standing;
    const step = nextTask(before, each);
    if (step.ok) standing = step.task;
    return { before, event: each, after: step.ok ? step.task : undefined };
  });
}

/** What a reader of the records may call the step: an unclaimed attempt that failed and one whose lease ran out look the same. */
function namesOf(each: TaskEvent, before: TaskRecord): readonly string[] {
  switch (each.type) {
    case 'claim':
      return before.status === 'in_progress' ? ['takeover', 'exhaust'] : ['claim', 'propose'];
    case 'propose':
      return ['propose', 'claim'];
    case 'reject':
      return ['rework', 'fail'];
    case 'fail':
      return ['retry', 'fail'];
    case 'expire':
      return ['retry', 'exhaust'];
    case 'release':
    case 'complete':
    case 'cancel':
    case 'replace':
      return [each.type];
  }
}

const life = fc.tuple(birth, fc.array(event, { maxLength: 25 }));
const RUNS = { numRuns: 1_500 };

describe('a task', () => {
  test('has an answer to every event in every status, and its records fit the protocol', () => {
    const met = new Set<string>();
    fc.assert(
      fc.property(life, ([first, events]) => {
        for (const { before, event: each, after } of live(first, events)) {
          met.add(`${before.status} ${each.type}`);
          if (after !== undefined) expect(TaskRecord.safeParse(after).error).toBeUndefined();
        }
      }),
      RUNS,
    );
    // All 6 statuses have met all 9 events, or the test proves less than it says.
    expect(met.size).toBe(54);
  });

  test('is replaced by a revision only as long as nobody has begun it', () => {
    let replaced = 0;
    fc.assert(
      fc.property(life, ([first, events]) => {
        const steps = live(first, events);
        for (const [index, { before, event: each, after }] of steps.entries()) {
          if (each.type !== 'replace') continue;
          const begun = steps.slice(0, index).some(({ event: { type }, after: made }) => {
            return made !== undefined && type !== 'release' && type !== 'replace';
          });
          expect(after !== undefined).toBe(!begun && !isTerminalTask(before));
          if (after === undefined) continue;
          replaced += 1;
          expect(after).toMatchObject({ status: 'cancelled', attempt: 0, error: { code: 'replaced' } });
        }
      }),
      RUNS,
    );
    expect(replaced).toBeGreaterThan(50);
  });

  test('never changes once it is terminal, so it ends once (I1)', () => {
    fc.assert(
      fc.property(life, ([first, events]) => {
        const steps = live(first, events);
        for (const { before, after } of steps) if (isTerminalTask(before)) expect(after).toBeUndefined();
        expect(steps.filter(({ after }) => after !== undefined && isTerminalTask(after)).length).toBeLessThanOrEqual(1);
      }),
      RUNS,
    );
  });

  test('is written by nobody but its holder while it is claimed, and changes hands only by a redelivery of the same item (I3)', () => {
    fc.assert(
      fc.property(life, ([first, events]) => {
        for (const { before, event: each, after } of live(first, events)) {
          if (before.status !== 'in_progress' || after === undefined) continue;
          if (each.type === 'claim') {
            expect(each.redelivered).toBe(true);
            expect(each.by.item).toBe(before.item);
          } else if ('by' in each) expect([each.by.agentId, each.by.item]).toEqual([before.agentId, before.item]);
        }
      }),
      RUNS,
    );
  });

  test('counts attempts up one by one, never beyond maxAttempts, and reworks never beyond maxReworks (I10)', () => {
    fc.assert(
      fc.property(life, ([first, events]) => {
        for (const { before, after } of live(first, events)) {
          if (after === undefined) continue;
          expect([0, 1]).toContain(after.attempt - before.attempt);
          expect(after.attempt).toBeLessThanOrEqual(after.maxAttempts);
          expect(after.reworks ?? 0).toBeLessThanOrEqual(after.vote?.maxReworks ?? 1);
        }
      }),
      RUNS,
    );
  });

  test('keeps what it is: ids, edges, limits; and its cost only grows', () => {
    const identity = ({
      goalId,
      taskId,
      capability,
      dependencies,
      dependents,
      maxAttempts,
      deadline,
      vote: asked,
    }: TaskRecord) =>
      JSON.stringify([goalId, taskId, capability, dependencies, dependents, maxAttempts, deadline, asked]);
    fc.assert(
      fc.property(life, ([first, events]) => {
        for (const { before, after } of live(first, events)) {
          if (after === undefined) continue;
          expect(identity(after)).toBe(identity(before));
          expect(after.cost.usd).toBeGreaterThanOrEqual(before.cost.usd);
          expect(after.cost.inputTokens).toBeGreaterThanOrEqual(before.cost.inputTokens);
        }
      }),
      RUNS,
    );
  });

  test('leaves records from which each of its steps can be named, so that a log is told and verified by them (I9)', () => {
    fc.assert(
      fc.property(life, ([first, events]) => {
        expect(taskChange(undefined, first)).toBe('create');
        for (const { before, event: each, after } of live(first, events)) {
          if (after === undefined) continue;
          const name = taskChange(taskState(before), after);
          expect(namesOf(each, before)).toContain(name);
        }
      }),
      RUNS,
    );
  });

  test('fails for good when each of its holders loses the lease', () => {
    fc.assert(
      fc.property(birth, claimant, (first, by) => {
        const claims = Array.from(
          { length: first.maxAttempts + 1 },
          () => ({ type: 'claim', by, redelivered: true }) as const,
        );
        const last = live(first, claims).at(-1)?.after;
        expect(last).toMatchObject({ status: 'failed', attempt: first.maxAttempts, error: { code: 'lease_expired' } });
      }),
    );
  });

  test('that failed an attempt keeps a candidate that waits for its voters', () => {
    fc.assert(
      fc.property(birth, claimant, result, cost, (first, by, said, spent) => {
        const events: TaskEvent[] = [
          { type: 'propose', by, result: said, salt: 'salt', cost: spent },
          { type: 'fail', by, error: { code: 'no_consensus', message: '' }, final: false, cost: NO_COST, at: AT },
          { type: 'claim', by: { ...by, agentId: 'eve' }, redelivered: true },
        ];
        const last = live({ ...first, maxAttempts: 5 }, events).at(-1)?.after;
        expect(last).toMatchObject({
          status: 'in_progress',
          agentId: 'eve',
          attempt: 2,
          candidate: { result: said, salt: 'salt' },
        });
      }),
    );
  });
});

test('costs add up the same in any order, to the nano-dollar', () => {
  fc.assert(
    fc.property(fc.array(cost, { maxLength: 30 }), (costs) => {
      const sum = costs.reduce(addCost, NO_COST);
      expect(costs.toReversed().reduce(addCost, NO_COST)).toEqual(sum);
      expect(Math.round(sum.usd * 1e9)).toBe(costs.reduce((nano, { usd }) => nano + Math.round(usd * 1e9), 0));
    }),
  );
});

test('dependencies are done when every one of them is completed; a missing record is not (I2)', () => {
  const status = fc.constantFrom(undefined, 'pending', 'ready', 'in_progress', 'completed', 'failed', 'cancelled');
  fc.assert(
    fc.property(birth, status, status, (task, x, y) => {
      const statuses = new Map([
        ['x', x],
        ['y', y],
      ] as const);
      const statusOf = (taskId: string) => statuses.get(taskId === 'x' ? 'x' : 'y');
      expect(dependenciesDone(task, statusOf)).toBe(
        task.dependencies.every((taskId) => statusOf(taskId) === 'completed'),
      );
    }),
  );
});
