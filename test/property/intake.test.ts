/** Whatever bytes are submitted: one verdict, never a throw, the same for everybody, and nothing in it that could become a subject of somebody's choice. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Accepted, firstRecords, graphOfPlan, readSubmission, type Refused } from '../../shared/core/intake.ts';
import { encode } from '../../shared/protocol/codec.ts';
import { REJECT_CODES } from '../../shared/protocol/goal.ts';
import { isId, SUBMITTED_BYTES_MAX } from '../../shared/protocol/ids.ts';
import { Plan, PLAN_TASK } from '../../shared/protocol/plan.ts';
import { subjectsOf } from '../../shared/protocol/subjects.ts';
import { TaskRecord } from '../../shared/protocol/task.ts';

const subjects = subjectsOf('mesh');
const FACTS = {
  goalId: 'g',
  continues: false,
  revisable: false,
  correlationId: 'g',
  deadline: '2030-01-02T00:00:00.000Z',
  now: Date.UTC(2030, 0, 1),
};

const hostileText = fc.oneof(
  fc.constantFrom(
    '__proto__',
    'constructor',
    'a',
    'b',
    'plan',
    '*',
    '>',
    'a.b',
    'a b',
    '',
    '$JS.API.STREAM.DELETE.x',
    '../../etc',
    '\u0000',
    '\ud800',
    'x'.repeat(64),
    'x'.repeat(65),
    'y'.repeat(5_000),
  ),
  fc.string({ unit: 'binary', maxLength: 40 }),
);
const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  hostileText,
  fc.constantFrom<unknown>(null, true, 0, -1, 1e308, Number.MAX_SAFE_INTEGER + 2, [], {}, [[[[]]]]),
  fc.anything({ withNullPrototype: false, maxDepth: 3, key: hostileText }).filter((value) => isJson(value)),
);

function isJson(value: unknown): boolean {
  try {
    return typeof JSON.stringify(value) === 'string';
  } catch {
    return false;
  }
}

const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });
const hostileTask = fc.record(
  {
    taskId: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom('a', 'b', 'c', '__proto__') },
      { weight: 1, arbitrary: hostileText },
    ),
    capability: fc.oneof({ weight: 4, arbitrary: fc.constant('echo') }, { weight: 1, arbitrary: hostileText }),
    dependencies: maybe(fc.array(fc.constantFrom('a', 'b', 'c', '__proto__', 'nowhere'), { maxLength: 2 })),
    input: maybe(hostileValue),
    maxAttempts: maybe(fc.constantFrom<unknown>(1, 100, 0, 1e9, '3', null)),
    vote: maybe(
      fc.oneof(
        { weight: 3, arbitrary: fc.constant({ capability: 'v', rule: { method: 'majority' }, onReject: 'fail' }) },
        { weight: 1, arbitrary: hostileValue },
      ),
    ),
  },
  { requiredKeys: ['taskId', 'capability'] },
);
const hostileSubmission = fc.record(
  {
    goalId: maybe(hostileText),
    description: fc.oneof({ weight: 4, arbitrary: fc.constant('brief') }, { weight: 1, arbitrary: hostileValue }),
    input: maybe(hostileValue),
    tasks: maybe(fc.array(hostileTask, { maxLength: 4 })),
    budget: maybe(fc.constantFrom<unknown>({ usd: 1 }, { usd: -1 }, { usd: 'NaN' }, { wallMs: 0 }, 'much')),
    metadata: maybe(fc.oneof(fc.constant({ note: 1 }), hostileValue)),
    __proto__: maybe(fc.constant({ admin: true })),
    extra: maybe(hostileValue),
  },
  { requiredKeys: ['description'] },
);

/** Random bytes, JSON of anything, submissions with one thing or another wrong, and valid ones; some cut short. */
const anyBytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  hostileValue.map((value) => encode(value)),
  { weight: 4, arbitrary: hostileSubmission.map((value) => encode(value)) },
  // Nothing wrong but, perhaps, the graph.
  {
    weight: 4,
    arbitrary: fc
      .array(
        fc.record({
          taskId: fc.constantFrom('a', 'b', 'c', '__proto__'),
          capability: fc.constant('echo'),
          dependencies: fc.subarray(['a', 'b', 'c', 'nowhere'], { maxLength: 2 }),
        }),
        { minLength: 1, maxLength: 4 },
      )
      .map((tasks) => encode({ description: 'd', tasks })),
  },
  fc.tuple(hostileSubmission, fc.nat(300)).map(([value, length]) => encode(value).slice(0, length)),
);
const anySubject = fc.option(fc.oneof(fc.constant('echo'), hostileText), { nil: undefined });
const RUNS = { numRuns: 2_000 };

/** Everything that a submission's names turn into must be one of our own subjects. */
function expectOwnSubjects(accepted: Accepted): void {
  for (const { taskId, capability } of accepted.tasks) {
    expect(subjects.readySubject(capability, accepted.goalId, taskId).split('.').length).toBe(5);
    expect(subjects.taskKey(accepted.goalId, taskId).split('.').length).toBe(3);
  }
}

describe('a submission', () => {
  test('of any bytes is a value, never a throw; refusals carry a code of the protocol and only ids that are ids', () => {
    const verdicts = new Map<string, number>();
    fc.assert(
      fc.property(anyBytes, anySubject, (bytes, capability) => {
        const verdict = readSubmission(bytes, 7, capability);
        const kind = verdict.ok ? 'accepted' : verdict.error.code;
        verdicts.set(kind, (verdicts.get(kind) ?? 0) + 1);
        if (verdict.ok) {
          expect(isId(verdict.goalId)).toBe(true);
          expectOwnSubjects(verdict);
        } else {
          expect(REJECT_CODES).toContain(verdict.error.code);
          if (verdict.goalId !== undefined) expect(isId(verdict.goalId)).toBe(true);
          expect(verdict.error.message.length).toBeGreaterThan(0);
        }
      }),
      RUNS,
    );
    for (const kind of [
      'accepted',
      'invalid_json',
      'invalid_schema',
      'unknown_dependency',
      'cyclic_dependencies',
      'duplicate_task',
    ]) {
      expect(verdicts.get(kind) ?? 0, kind).toBeGreaterThan(0);
    }
  });

  test('of the same bytes gives the same records, byte for byte, whoever accepts it and however often', () => {
    const bytesOf = (verdict: Accepted | Refused): string =>
      JSON.stringify(verdict.ok ? firstRecords(verdict.tasks, { ...FACTS, goalId: verdict.goalId }) : verdict);
    fc.assert(
      fc.property(anyBytes, anySubject, (bytes, capability) => {
        expect(bytesOf(readSubmission(bytes.slice(), 7, capability))).toBe(
          bytesOf(readSubmission(bytes, 7, capability)),
        );
      }),
      RUNS,
    );
  });

  test('that is accepted gives records that fit the protocol, each task once, ready exactly when it waits for nothing', () => {
    let accepted = 0;
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        const verdict = readSubmission(bytes, 7, undefined);
        if (!verdict.ok) return;
        accepted += 1;
        const records = firstRecords(verdict.tasks, { ...FACTS, goalId: verdict.goalId });
        expect(new Set(records.map(({ taskId }) => taskId)).size).toBe(records.length);
        for (const record of records) {
          expect(TaskRecord.safeParse(JSON.parse(JSON.stringify(record))).error).toBeUndefined();
          expect(record.status).toBe(record.dependencies.length === 0 ? 'ready' : 'pending');
          for (const other of records)
            expect(record.dependents.includes(other.taskId)).toBe(other.dependencies.includes(record.taskId));
        }
        expect(verdict.explicit || records.every(({ taskId }) => taskId === PLAN_TASK)).toBe(true);
      }),
      RUNS,
    );
    expect(accepted).toBeGreaterThan(100);
  });

  test('cannot reach the prototype of anything', () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        readSubmission(bytes, 7, undefined);
        const fresh: Record<string, unknown> = {};
        expect(fresh['admin']).toBeUndefined();
        expect(Object.keys(Object.prototype)).toEqual([]);
      }),
    );
    const hidden = new TextEncoder().encode(
      '{"description":"d","__proto__":{"goalId":"stolen","tasks":[]},"metadata":{"__proto__":{"admin":true}}}',
    );
    expect(readSubmission(hidden, 7, undefined)).toMatchObject({ ok: true, goalId: 'g-7', explicit: false });
  });

  test('of any depth is answered: deep nesting is refused, not run into', () => {
    for (const depth of [200, 300, 10_000, 200_000]) {
      const bytes = new TextEncoder().encode(`{"description":"d","input":${'['.repeat(depth)}${']'.repeat(depth)}}`);
      const verdict = readSubmission(bytes, 7, undefined);
      expect(verdict.ok ? 'accepted' : verdict.error.code).toBe(
        depth === 200 ? 'accepted' : depth > 100_000 && !verdict.ok ? verdict.error.code : 'invalid_schema',
      );
    }
  });

  test('of 10,001 tasks is too large; of 10,000 in one chain it is accepted', () => {
    const tasks = (count: number) =>
      Array.from({ length: count }, (_, at) => ({
        taskId: `t${at}`,
        capability: 'echo',
        dependencies: at === 0 ? [] : [`t${at - 1}`],
      }));
    expect(readSubmission(encode({ description: 'd', tasks: tasks(10_000) }), 7, undefined)).toMatchObject({
      ok: true,
    });
    expect(
      readSubmission(encode({ description: 'd', goalId: 'big', tasks: tasks(10_001) }), 7, undefined),
    ).toMatchObject({ ok: false, goalId: 'big', error: { code: 'plan_too_large' } });
  });

  test('in short form is a goal of one task of the capability that its subject names', () => {
    fc.assert(
      fc.property(anyBytes, hostileText, (bytes, capability) => {
        const verdict = readSubmission(bytes, 7, capability);
        if (!verdict.ok) return;
        expect(verdict.tasks).toMatchObject([{ taskId: 'task', capability, dependencies: [] }]);
        expect(isId(capability)).toBe(true);
      }),
      RUNS,
    );
  });
});

test('a plan becomes a graph beside its plan task only when nothing in it is reserved, and then it is a valid graph', () => {
  const step = fc.record({
    taskId: fc.constantFrom('a', 'b', 'c', PLAN_TASK),
    capability: fc.constantFrom('echo', 'plan'),
    description: fc.constant(''),
    dependencies: fc.subarray(['a', 'b', 'c']),
  });
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 4 }),
      fc.option(fc.constant({ text: 'x' }), { nil: undefined }),
      fc.nat(1),
      (tasks, input, revisions) => {
        const graph = graphOfPlan({ tasks, source: 'model', revisions }, input);
        // A later plan is one revision: a plan that allows none must not ask for it.
        const reserved = tasks.some(
          ({ taskId, capability }) => taskId === PLAN_TASK || (capability === 'plan' && revisions === 0),
        );
        if (reserved) expect(graph.ok).toBe(false);
        if (!graph.ok) return;
        expect(graph.tasks.map(({ taskId }) => taskId)).toEqual(tasks.map(({ taskId }) => taskId));
        for (const task of graph.tasks) expect(task.input).toEqual(task.dependencies.length === 0 ? input : undefined);
      },
    ),
    { numRuns: 1_000 },
  );
});

test('a plan whose tasks make records that no broker takes is no graph, whether by input, by the goal’s, or by edges', () => {
  const task = (taskId: string, more: object = {}) => {
    return { taskId, capability: 'echo', description: '', dependencies: [], ...more };
  };
  const verdictOf = (tasks: readonly ReturnType<typeof task>[], input?: string) => {
    const graph = graphOfPlan(Plan.parse({ tasks, source: 'model' }), input);
    return graph.ok ? 'graph' : [graph.error.code, graph.error.path];
  };
  const wide = Array.from({ length: 5_000 }, (_, index) =>
    task(`${'n'.repeat(50)}-${index}`, { dependencies: ['root'] }),
  );
  const large = 'x'.repeat(SUBMITTED_BYTES_MAX - 500);
  expect(verdictOf([task('a'), task('b', { input: large })])).toBe('graph');
  expect(verdictOf([task('a'), task('b', { input: `${large}${'x'.repeat(500)}` })])).toEqual([
    'plan_too_large',
    'tasks.1',
  ]);
  expect(verdictOf([task('root'), ...wide], 'x'.repeat(300_000))).toBe('graph');
  expect(verdictOf([task('root'), ...wide], 'x'.repeat(500_000))).toEqual(['plan_too_large', 'tasks.0']);
});
