/**
 * The number of a goal's tasks stands in its record before the first of them is written; then the graph becomes records, then the goal `running`, then
 * work items; in that order, in chunks below the batch limit. Everything is created with
 * "must not exist", so whoever repeats it after a crash writes only what is missing, and there is never a second plan.
 */
import { firstRecords, graphOfPlan, revisionsMaxOf } from '../../core/intake.ts';
import { addUsd } from '../../core/cost.ts';
import { sinksOf } from '../../core/dag.ts';
import type { Predict } from '../../core/prediction.ts';
import { nextGoal } from '../../core/goal-machine.ts';
import { fit } from '../../protocol/codec.ts';
import { type GoalRecord, isTerminalGoal, type TaskSpec } from '../../protocol/goal.ts';
import { Plan } from '../../protocol/plan.ts';
import type { CompletedTask, TaskRecord } from '../../protocol/task.ts';
import { createTasks, factsOf } from './births.ts';
import type { Write } from '../../ports.ts';
import type { Closing } from './closing.ts';
import type { Deps } from './deps.ts';
import { itemWrite } from './items.ts';
import { goalWrite, moveGoal, readGoal, type Versioned } from './records.ts';
import { resolved } from './values.ts';

const CHUNK = 250;
const CONFLICTS_MAX = 16;

export interface Materializer {
  /** `planning` -> `running` with these tasks; `extra`: tasks of the goal that exist already; `revisions`: how often the graph may be revised. */
  run(goal: Versioned<GoalRecord>, tasks: readonly TaskSpec[], extra: number, revisions?: number): Promise<void>;
  /** The graph that a goal's plan task committed. */
  fromPlan(goal: Versioned<GoalRecord>, planTask: CompletedTask): Promise<void>;
  readonly predict: Predict;
}

export function materializerOf(deps: Deps, closing: Closing, predict: Predict): Materializer {
  async function start(
    goal: Versioned<GoalRecord>,
    records: readonly TaskRecord[],
    tasks: readonly TaskSpec[],
    extra: number,
    revisions: number,
    written: ReadonlyMap<string, number>,
  ): Promise<void> {
    // With the record as it was just written: whoever is given the item need not read it.
    const itemOf = (task: TaskRecord): Write => {
      const revision = written.get(task.taskId);
      return itemWrite(deps, task, revision === undefined ? undefined : { revision, results: {} });
    };
    const sinks = sinksOf(tasks);
    const roots = records.filter((task) => task.status === 'ready');
    let standing: Versioned<GoalRecord> | undefined = goal;
    for (let conflicts = 0; conflicts < CONFLICTS_MAX && standing !== undefined; conflicts += 1) {
      if (isTerminalGoal(standing.record)) return;
      if (standing.record.stopping !== undefined) return closing.resume(standing.record.goalId);
      const step = nextGoal(standing.record, {
        type: 'materialize',
        total: tasks.length + extra,
        sinks,
        predicted: addUsd([standing.record.cost.predicted, predict(tasks, 'any')]),
        ...(revisions === 0 ? {} : { revisionsMax: revisions }),
      });
      // Running already: the agent before us died between the goal's write and the last items, or is still sending them. A second item is harmless.
      const guard = step.ok ? [goalWrite(deps, step.goal, standing.revision)] : [];
      const first = await deps.store.commit([...guard, ...roots.slice(0, CHUNK).map(itemOf)]);
      deps.events.transition('goal.materialize', first.status, {
        goalId: standing.record.goalId,
        correlationId: standing.record.correlationId,
      });
      if (first.status === 'committed') break;
      standing = await readGoal(deps, goal.record.goalId);
    }
    for (let at = CHUNK; at < roots.length; at += CHUNK) {
      await deps.store.commit(roots.slice(at, at + CHUNK).map(itemOf));
    }
  }

  async function run(
    goal: Versioned<GoalRecord>,
    tasks: readonly TaskSpec[],
    extra: number,
    revisions = 0,
  ): Promise<void> {
    const standing = await declared(goal, tasks.length + extra);
    if (standing === undefined || isTerminalGoal(standing.record)) return;
    const { goalId, stopping, tasks: counts } = standing.record;
    // Stopped before a single one of these tasks was promised: they never come to be.
    if (stopping !== undefined && counts.total !== tasks.length + extra) return closing.resume(goalId);
    const records = firstRecords(tasks, { ...factsOf(standing.record), revisable: revisions > 0 });
    const written = await createTasks(deps, records);
    await start(standing, records, tasks, extra, revisions, written);
  }

  async function declared(goal: Versioned<GoalRecord>, total: number): Promise<Versioned<GoalRecord> | undefined> {
    const { goalId } = goal.record;
    const moved = await moveGoal(deps, goalId, () => ({ type: 'declare', total }), goal);
    return moved.ok ? moved : readGoal(deps, goalId);
  }

  return {
    predict,
    run,
    async fromPlan(goal, planTask) {
      if (isTerminalGoal(goal.record)) return;
      const plan = fit(Plan, await resolved(deps, planTask.result));
      const graph = plan.ok
        ? graphOfPlan(plan.value, goal.record.input)
        : { ok: false as const, error: { code: 'invalid_schema', message: plan.message } };
      const asked = plan.ok ? (plan.value.revisions ?? 0) : 0;
      if (graph.ok) return run(goal, graph.tasks, 1, revisionsMaxOf(goal.record, graph.tasks, asked));
      await closing.stop(goal.record.goalId, 'failed', {
        code: 'unplannable',
        message: `the plan cannot be run: ${graph.error.message}`,
      });
    },
  };
}
