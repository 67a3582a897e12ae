/**
 * Judges a mesh by its streams alone, never by an agent's word: what the DAG stream and the log stream hold must fit the invariants that the design
 * numbers. It shares no code with the engine, so that a fault there cannot hide here.
 */
import type { NatsConnection } from '@nats-io/transport-node';
import { jsonOf, readStream, type StreamMessage } from './foreign.ts';
import { ForeignGoal, ForeignRevision, ForeignTask, GOAL_TERMINAL, TASK_TERMINAL } from './foreign-records.ts';

export interface Evidence {
  readonly dag: readonly StreamMessage[];
  readonly log: readonly StreamMessage[];
}

export interface Verdict {
  /** One line each; none when all is well. */
  readonly violations: readonly string[];
  readonly goals: number;
  readonly tasks: number;
  readonly revisions: number;
}

interface Revision<T> {
  readonly sequence: number;
  readonly record: T;
}

/** Older revisions of a key than this are dropped by the stream; the log keeps them. */
const HISTORY_MAX = 64;

/** Reads both streams of a mesh. The log is sourced by the broker, so it may lag: wait until `logHasCaughtUp`. */
export async function gather(
  nc: NatsConnection,
  mesh: string,
  streams: { readonly dag?: string; readonly log?: string } = {},
): Promise<Evidence> {
  const filter = `$KV.${mesh}_dag.>`;
  const dag = await readStream(nc, streams.dag ?? `KV_${mesh}_dag`, filter);
  const log = await readStream(nc, streams.log ?? `${mesh}_log`, filter);
  // Agents write their figures also when every goal is over: what came after the first read is not part of the comparison.
  const end = dag.at(-1)?.sequence ?? 0;
  return { dag, log: log.filter(({ origin = 0 }) => origin <= end) };
}

export function logHasCaughtUp({ dag, log }: Evidence): boolean {
  return log.length >= dag.length;
}

/** `acknowledged`: ids of goals whose submission got a receipt. All of them, and all others that the stream knows, must be over. */
export function judge(mesh: string, evidence: Evidence, acknowledged: Iterable<string>): Verdict {
  const prefix = `$KV.${mesh}_dag.`;
  const goals = new Map<string, Revision<ForeignGoal>[]>();
  const tasks = new Map<string, Revision<ForeignTask>[]>();
  const plans = new Map<string, ForeignRevision[]>();
  for (const { subject, sequence, data } of evidence.dag) {
    const key = subject.slice(prefix.length);
    if (key.startsWith('goal.'))
      add(goals, key.slice('goal.'.length), { sequence, record: ForeignGoal.parse(jsonOf(data)) });
    else if (key.startsWith('task.'))
      add(tasks, key.slice('task.'.length), { sequence, record: ForeignTask.parse(jsonOf(data)) });
    else if (key.startsWith('plan.')) add(plans, key.split('.')[1] ?? '', ForeignRevision.parse(jsonOf(data)));
  }
  const violations = [
    ...[...tasks].flatMap(([key, revisions]) => [
      ...onceDone(key, revisions),
      ...byTheHolder(key, revisions),
      ...afterItsDependencies(key, revisions, tasks),
    ]),
    ...[...goals].flatMap(([goalId, revisions]) => [
      ...onceOver(goalId, revisions),
      ...countsAreExact(goalId, revisions, tasks, plans.get(goalId) ?? []),
    ]),
    ...[...plans].flatMap(([goalId, revisions]) => [...onePlanEach(goalId, revisions)]),
    ...[...acknowledged]
      .filter((goalId) => !goals.has(goalId))
      .map((goalId) => `I5 goal ${goalId}: acknowledged, and not in the stream`),
    ...logIsComplete(evidence),
  ];
  return { violations, goals: goals.size, tasks: tasks.size, revisions: evidence.dag.length };
}

function add<T>(map: Map<string, T[]>, key: string, value: T): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, [value]);
  else known.push(value);
}

const isOver = (task: ForeignTask): boolean => (TASK_TERMINAL as readonly string[]).includes(task.status);

/** I1: one terminal revision, and nothing after it. */
function* onceDone(key: string, revisions: readonly Revision<ForeignTask>[]): Iterable<string> {
  const over = revisions.filter(({ record }) => isOver(record)).length;
  if (over > 1) yield `I1 task ${key}: ${over} terminal revisions`;
  const last = revisions.at(-1)?.record;
  if (over > 0 && last !== undefined && !isOver(last)) yield `I1 task ${key}: ${last.status} after it was terminal`;
}

/** I3: whoever is shown to hold a task is the one who commits it, under the attempt that was claimed. */
function* byTheHolder(key: string, revisions: readonly Revision<ForeignTask>[]): Iterable<string> {
  for (const [index, { record }] of revisions.entries()) {
    const before = revisions[index - 1]?.record;
    if (before === undefined) continue;
    if (record.attempt < before.attempt) yield `I3 task ${key}: attempt ${record.attempt} after ${before.attempt}`;
    if (record.status !== 'completed' || before.status !== 'in_progress') continue;
    if (record.agentId !== before.agentId || record.attempt !== before.attempt) {
      yield `I3 task ${key}: held by ${before.agentId} (attempt ${before.attempt}), completed by ${record.agentId} (attempt ${record.attempt})`;
    }
  }
}

/** I2: a task is worked on only after the completion of each of its dependencies stands in the stream. */
function* afterItsDependencies(
  key: string,
  revisions: readonly Revision<ForeignTask>[],
  tasks: ReadonlyMap<string, readonly Revision<ForeignTask>[]>,
): Iterable<string> {
  const started = revisions.find(({ record }) => record.status === 'in_progress' || record.status === 'completed');
  if (started === undefined) return;
  for (const dependency of started.record.dependencies) {
    const done = tasks
      .get(`${started.record.goalId}.${dependency}`)
      ?.find(({ record }) => record.status === 'completed');
    if (done === undefined || done.sequence > started.sequence)
      yield `I2 task ${key}: started before ${dependency} was completed`;
  }
}

/** I5: one terminal revision, the last. */
function* onceOver(goalId: string, revisions: readonly Revision<ForeignGoal>[]): Iterable<string> {
  const over = revisions.filter(({ record }) => (GOAL_TERMINAL as readonly string[]).includes(record.status)).length;
  const last = revisions.at(-1)?.record.status;
  if (over === 0) yield `I5 goal ${goalId}: still ${last}`;
  if (over > 1) yield `I5 goal ${goalId}: ${over} terminal revisions`;
  if (over === 1 && !(GOAL_TERMINAL as readonly string[]).includes(last ?? ''))
    yield `I5 goal ${goalId}: ${last} after it was terminal`;
}

function* countsAreExact(
  goalId: string,
  revisions: readonly Revision<ForeignGoal>[],
  tasks: ReadonlyMap<string, readonly Revision<ForeignTask>[]>,
  plans: readonly ForeignRevision[],
): Iterable<string> {
  const goal = revisions.at(-1)?.record;
  if (goal === undefined || !(GOAL_TERMINAL as readonly string[]).includes(goal.status)) return;
  const own = [...tasks].filter(([key]) => key.startsWith(`${goalId}.`)).flatMap(([, all]) => all.at(-1)?.record ?? []);
  const count = (status: ForeignTask['status']): number => own.filter((task) => task.status === status).length;
  const found = {
    total: own.length,
    completed: count('completed'),
    failed: count('failed'),
    cancelled: count('cancelled'),
  };
  for (const name of ['total', 'completed', 'failed', 'cancelled'] as const) {
    if (goal.tasks[name] !== found[name])
      yield `goal ${goalId}: says tasks.${name} ${goal.tasks[name]}, the stream holds ${found[name]}`;
  }
  const live = found.total - found.completed - found.failed - found.cancelled;
  if (live > 0) yield `I5 goal ${goalId}: ${goal.status} with ${live} tasks that are not terminal`;
  const spared = new Set(plans.flatMap(({ replaces }) => replaces));
  const lost = own.filter((task) => task.status !== 'completed' && !spared.has(task.taskId)).length;
  if (goal.status === 'completed' && lost > 0)
    yield `goal ${goalId}: completed with ${found.completed} of ${found.total} tasks`;
}

/** I5: each revision of a goal's graph was written once, one number after the other, for a cause of its own. */
function* onePlanEach(goalId: string, plans: readonly ForeignRevision[]): Iterable<string> {
  const numbers = plans.map(({ revision }) => revision);
  if (numbers.some((number, index) => number !== index + 1))
    yield `I5 goal ${goalId}: revisions written as ${numbers.join(', ')}`;
  const causes = plans.map(({ cause }) => cause);
  if (new Set(causes).size < causes.length) yield `I5 goal ${goalId}: two revisions of one cause`;
}

/** I9: the log has the revisions of each key, byte for byte and in their order, and no others but those that the DAG stream no longer keeps. */
function* logIsComplete({ dag, log }: Evidence): Iterable<string> {
  const kept = bySubject(dag);
  const logged = bySubject(log);
  for (const [subject, revisions] of kept) {
    const entries = logged.get(subject) ?? [];
    const missing = revisions.length - entries.length;
    if (missing > 0) yield `I9 log: ${missing} of ${revisions.length} revisions of ${subject} are missing`;
    else if (missing < 0 && revisions.length < HISTORY_MAX) yield `I9 log: ${-missing} records too many of ${subject}`;
    else if (!revisions.every((data, index) => data === entries[entries.length - revisions.length + index]))
      yield `I9 log: other revisions of ${subject} than the DAG stream`;
  }
}

function bySubject(messages: readonly StreamMessage[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const { subject, data } of messages) add(found, subject, Buffer.from(data).toString('latin1'));
  return found;
}
