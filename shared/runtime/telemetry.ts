/** Events of the engine and the model -> log lines with stable names, and metrics. The only file that names log events of the engine. */
import type { Logger } from 'pino';
import type { UsageDoubt } from '../adapters/openai-usage.ts';
import type { GoalRecord } from '../protocol/goal.ts';
import { isTerminalGoal } from '../protocol/goal.ts';
import { SHUTDOWN } from './engine/attempt.ts';
import type { EngineEvents } from './engine/events.ts';
import { fading } from './fading.ts';
import { bounded, type Metrics } from './metrics.ts';
import type { HealthEvents } from './health.ts';
import type { ModelObserver } from './models.ts';
import { type MonitorDeps, SURVEY_PARTS } from './monitor/monitor.ts';
import type { EndpointCounts } from './service-info.ts';
import type { Tracing } from './tracing.ts';

/** Distinct capabilities, message types... that get a label of their own. */
const LABELS_MAX = 100;
const CODES_MAX = 50;
/** A part of the survey that goes on failing is told so often. */
const SURVEY_TOLD_MS = 60_000;

function seconds(goal: GoalRecord): number {
  return isTerminalGoal(goal) ? (Date.parse(goal.finishedAt) - Date.parse(goal.createdAt)) / 1_000 : 0;
}

export function engineEvents(
  log: Logger,
  metrics: Metrics,
  counts: EndpointCounts,
  agentId: string,
  tracing: Tracing,
): EngineEvents {
  const capabilityLabel = bounded(LABELS_MAX);
  // Codes come from handlers, and may be anything.
  const codeLabel = bounded(CODES_MAX);
  const reserved = { open: 0, usd: 0 };
  // Lines that nobody reads must not cost an object each.
  const debugging = log.isLevelEnabled('debug');
  return {
    goalAccepted(goal) {
      metrics.goals.inc({ pattern: goal.pattern, status: goal.status });
      const { goalId, correlationId, pattern } = goal;
      log.debug(
        { event: 'goal.accepted', goalId, correlationId, ...tracing.ids(goal), pattern, tasks: goal.tasks.total },
        'goal accepted',
      );
    },
    goalRejected(goal) {
      log.warn({ event: 'goal.rejected', ...goal }, 'submission rejected');
    },
    goalEnded(goal) {
      const labels = { pattern: goal.pattern, status: goal.status };
      metrics.goals.inc(labels);
      metrics.goalDuration.observe(labels, seconds(goal));
      const { total, predicted } = goal.cost;
      if (goal.status === 'completed' && predicted > 0)
        metrics.costPrediction.observe({ pattern: goal.pattern }, total / predicted);
      metrics.goalsIdle.forget(goal.goalId);
      const { goalId, correlationId, status, tasks, spent } = goal;
      log.info(
        {
          event: 'goal.ended',
          goalId,
          correlationId,
          ...tracing.ids(goal),
          status,
          tasks,
          spent,
          ...('error' in goal ? { error: goal.error } : {}),
        },
        'goal ended',
      );
    },
    goalRevised({ goalId, correlationId, replansMax }, revision) {
      const { revision: number, cause, replaces, tasks, repairs, reason } = revision;
      const adds = tasks.map(({ taskId }) => taskId);
      const change = { event: 'goal.revised', goalId, correlationId, revision: number, cause, replaces, adds, reason };
      if (repairs === undefined) return log.info(change, 'the graph of a goal was changed');
      metrics.repairs.inc({ kind: repairs.kind });
      const { kind, failure } = repairs;
      const replans = kind === 'replan' ? { replan: repairs.number, replansMax } : {};
      return log.warn(
        { ...change, kind, ...replans, code: failure.error.code, failed: failure.error.message },
        kind === 'replan'
          ? 'a task failed: its part of the plan is planned anew'
          : 'a task failed: others do without it',
      );
    },
    goalStopping(goalId, status, code, message) {
      log.warn({ event: 'goal.stopping', goalId, status, code, reason: message }, 'goal is being stopped');
    },
    transition(name, outcome, ids) {
      metrics.transitions.inc({ transition: name, outcome });
      if (!debugging) return;
      log.debug({ event: 'transition', transition: name, outcome, ...ids }, 'transition');
    },
    taskStarted(task, queuedMs) {
      const capability = capabilityLabel(task.capability);
      metrics.taskQueue.observe({ capability }, queuedMs / 1_000);
      if (!debugging) return;
      const { goalId, taskId, correlationId } = task;
      log.debug(
        {
          event: 'task.started',
          goalId,
          taskId,
          correlationId,
          ...tracing.ids(task, { taskId, attempt: task.attempt + 1 }),
          capability: task.capability,
          queuedMs,
        },
        'task started',
      );
    },
    taskEnded(task, durationMs) {
      const labels = { capability: capabilityLabel(task.capability), status: task.status };
      metrics.tasks.inc(labels);
      if (durationMs !== undefined) metrics.taskDuration.observe(labels, durationMs / 1_000);
      if (!debugging) return;
      const { goalId, taskId, correlationId, status, attempt, cost } = task;
      const error = 'error' in task ? { error: task.error } : {};
      log.debug(
        {
          event: 'task.ended',
          goalId,
          taskId,
          correlationId,
          ...tracing.ids(task, { taskId, attempt }),
          capability: task.capability,
          status,
          attempt,
          durationMs,
          cost,
          ...error,
        },
        'task ended',
      );
    },
    taskDropped(task, reason) {
      metrics.workDropped.inc({ reason: reason === SHUTDOWN ? 'shutdown' : 'lost' });
      const { goalId, taskId, correlationId } = task;
      log.info(
        { event: 'task.dropped', goalId, taskId, correlationId, ...tracing.ids(task), reason },
        'work dropped: it is not ours any more',
      );
    },
    attemptFailed(task, code, message, retryInMs) {
      counts.failed(task.capability, code);
      metrics.attemptsFailed.inc({ capability: capabilityLabel(task.capability), code: codeLabel(code) });
      if (retryInMs !== undefined) metrics.retries.inc({ policy: 'task' });
      const { goalId, taskId, correlationId, attempt } = task;
      log.warn(
        {
          event: 'task.attempt_failed',
          goalId,
          taskId,
          correlationId,
          ...tracing.ids(task, { taskId, attempt }),
          attempt,
          code,
          reason: message,
          retryInMs,
        },
        'attempt failed',
      );
    },
    deadLetter(origin, code, ids) {
      metrics.deadLetters.inc({ code: codeLabel(code) });
      log.warn({ event: 'dead_letter', origin, code, ...ids }, 'dead letter');
    },
    sweepRepair(what, ids) {
      metrics.sweepRepairs.inc();
      log.warn({ event: 'sweep.repair', what, ...ids }, 'the sweep repaired what no message would have woken');
    },
    goalSwept(goalId, idleMs) {
      metrics.goalsIdle.see(goalId, idleMs / 1_000);
    },
    budgetRefused(limit, goalId, message) {
      metrics.budgetRefusals.inc({ limit });
      log.warn({ event: 'budget.refused', goalId, limit, reason: message }, 'budget refused');
    },
    reservations(change, usd) {
      reserved.open += change;
      // Sums of fractions leave a dust; nothing open is nothing reserved.
      reserved.usd = reserved.open === 0 ? 0 : reserved.usd + change * usd;
      metrics.reservationsOpen.set(reserved.open);
      metrics.reservedUsd.set(reserved.usd);
    },
    reservationsLost(goalId, calls) {
      metrics.reservationsLost.inc(calls);
      log.warn(
        { event: 'budget.reservations_lost', goalId, calls },
        'calls that nobody reported the end of count as spent: nobody knows whether they were billed',
      );
    },
    spent(kind, usd) {
      metrics.costUsd.inc({ agent: agentId, kind }, usd);
    },
    engineError(where, error, ids) {
      metrics.engineErrors.inc({ where });
      log.error({ event: 'engine.error', where, ...ids, err: error }, 'will be repeated');
    },
    capabilityMissing(capability, missing) {
      const label = capabilityLabel(capability);
      metrics.capabilitiesMissing.see(label, missing ? 1 : 0);
      if (missing)
        log.warn(
          { event: 'capability.missing', capability },
          'ready tasks wait for a capability that no live agent has',
        );
    },
  };
}

const DOUBTS: Readonly<Record<UsageDoubt, 0>> = { missing: 0, zero: 0, over_output_limit: 0, over_prompt: 0 };

export function modelObserver(log: Logger, metrics: Metrics): ModelObserver {
  return {
    breakerState(name, state) {
      metrics.breakerState.set({ breaker: name }, state);
      // Called once at the start: from then on the policy's other series exist, too.
      metrics.retries.inc({ policy: name }, 0);
      for (const reason of ['timeout', 'overloaded']) metrics.callsRefused.inc({ policy: name, reason }, 0);
      for (const doubt of Object.keys(DOUBTS)) metrics.usageDoubted.inc({ doubt }, 0);
      if (state !== 0)
        log.warn({ event: 'breaker', breaker: name, state: state === 2 ? 'open' : 'half-open' }, 'breaker');
    },
    retry(name, attempt, delayMs) {
      metrics.retries.inc({ policy: name });
      log.info({ event: 'retry', policy: name, attempt, delayMs }, 'retry');
    },
    timeout(name) {
      metrics.callsRefused.inc({ policy: name, reason: 'timeout' });
      log.warn({ event: 'timeout', policy: name }, 'timeout');
    },
    overloaded(name) {
      metrics.callsRefused.inc({ policy: name, reason: 'overloaded' });
      log.warn({ event: 'overloaded', policy: name }, 'bulkhead is full');
    },
    usageDoubted(doubt, detail) {
      metrics.usageDoubted.inc({ doubt });
      log.warn({ event: 'model.usage_doubted', doubt, detail }, "the endpoint's count of tokens was not believed");
    },
  };
}

export function healthEvents(log: Logger, metrics: Metrics): HealthEvents {
  return {
    changed({ check, ok, reason }, first) {
      metrics.ready.set({ check }, ok ? 1 : 0);
      // That a check was not made yet, and that the agent was told to stop, is said elsewhere.
      if (first || check === 'stopping') return;
      if (ok) log.info({ event: 'health.passed', check }, 'check passed');
      else log.warn({ event: 'health.failed', check, reason }, 'check failed');
    },
  };
}

export function monitorEvents(log: Logger, metrics: Metrics): MonitorDeps['events'] {
  const told = fading(SURVEY_TOLD_MS, SURVEY_PARTS.length);
  return {
    chosen: (isMonitor) =>
      log.info(
        { event: isMonitor ? 'monitor.chosen' : 'monitor.left' },
        'who looks at queues and streams for the mesh',
      ),
    surveyFailed(what, error) {
      metrics.surveyErrors.inc({ what });
      if (told.entries().some(([part]) => part === what)) return;
      told.see(what, 1);
      log.warn({ event: 'monitor.survey_failed', what, err: error }, 'metrics of the mesh are missing');
    },
  };
}
