/** Where spans come from: the engine's events, and rounds of votes. Loaded only when there is a tracer. */
import { taskChange, taskState } from '../core/history.ts';
import type { FinishedSpan, Operation, Tracer } from '../ports.ts';
import { type GoalRecord, isTerminalGoal } from '../protocol/goal.ts';
import { TRACEPARENT_HEADER } from '../protocol/headers.ts';
import { subjectsOf } from '../protocol/subjects.ts';
import type { TaskRecord } from '../protocol/task.ts';
import type { RoundRecord } from '../protocol/vote.ts';
import type { EngineEvents } from './engine/events.ts';
import type { HoldRound } from './engine/review.ts';
import { attemptSpanId, goalTrace, type Tracing, tracingOf } from './tracing.ts';
import type { HoldSpec } from './vote/proposer.ts';

/** What of a process leaves spans behind. */
export interface Traces {
  readonly tracing: Tracing;
  /** Goals and attempts at tasks, by the engine's events. */
  events(events: EngineEvents): EngineEvents;
  rounds(hold: HoldRound): HoldRound;
  /** Sends what is left. Never throws. */
  close(): Promise<void>;
}

interface Where {
  readonly mesh: string;
  readonly agentId: string;
}

export function tracesOf(tracer: Tracer, where: Where): Traces {
  const tracing = tracingOf(tracer, where.mesh);
  return {
    tracing,
    events: (events) => tracedEvents(events, tracer, where),
    rounds: (hold) => tracedRounds(hold, tracing),
    close: () => tracer.close(),
  };
}

/** A span is told by whoever wrote the record that ended what it is about: one process, by compare-and-set, whoever has died before. */
function tracedEvents(events: EngineEvents, tracer: Tracer, { mesh, agentId }: Where): EngineEvents {
  const subject = subjectsOf(mesh).goalsSubmit;
  const traceOf = (record: GoalRecord | TaskRecord) => goalTrace(mesh, record, (traceId) => tracer.samples(traceId));

  return {
    ...events,
    goalAccepted(goal) {
      events.goalAccepted(goal);
      const { goal: context } = traceOf(goal);
      if (!context.sampled) return;
      tracer.record({
        traceId: context.traceId,
        spanId: attemptSpanId(context, goal.goalId, '', 0),
        parentId: context.spanId,
        startMs: Date.parse(goal.createdAt),
        endMs: Date.now(),
        operation: { kind: 'accept', subject, goalId: goal.goalId },
      });
    },
    goalEnded(goal) {
      events.goalEnded(goal);
      const { goal: context, parentId } = traceOf(goal);
      if (!context.sampled || !isTerminalGoal(goal)) return;
      tracer.record({
        traceId: context.traceId,
        spanId: context.spanId,
        ...(parentId === undefined ? {} : { parentId }),
        startMs: Date.parse(goal.createdAt),
        endMs: Date.parse(goal.finishedAt),
        operation: {
          kind: 'goal',
          goalId: goal.goalId,
          pattern: goal.pattern,
          status: goal.status,
          tasks: goal.tasks,
          tokens: goal.spent.tokens,
          usd: goal.cost.total,
          predictedUsd: goal.cost.predicted,
        },
        ...('error' in goal ? { error: goal.error } : {}),
      });
    },
    taskMoved(before, after, startedAt) {
      events.taskMoved?.(before, after, startedAt);
      const ended = endedAttempt(before, after);
      if (ended === undefined) return;
      const { goal: context } = traceOf(after);
      if (!context.sampled) return;
      const { goalId, taskId, capability, dependencies } = after;
      const began = before.status === 'in_progress' ? Date.parse(before.startedAt) : startedAt;
      const endMs = 'finishedAt' in after ? Date.parse(after.finishedAt) : Date.now();
      tracer.record({
        traceId: context.traceId,
        spanId: attemptSpanId(context, goalId, taskId, ended.attempt),
        parentId: context.spanId,
        startMs: Math.min(began ?? endMs, endMs),
        endMs,
        operation: {
          kind: 'attempt',
          goalId,
          taskId,
          capability,
          attempt: ended.attempt,
          agentId: before.status === 'in_progress' ? before.agentId : agentId,
          dependencies,
          ending: ended.ending,
          taskUsd: after.cost.usd,
        },
        ...(ended.error === undefined ? {} : { error: ended.error }),
      });
    },
  };
}

function tracedRounds(hold: HoldRound, tracing: Tracing): HoldRound {
  return async (spec) => {
    const span = tracing.begin(spec.headers?.[TRACEPARENT_HEADER]);
    if (span === undefined) return hold(spec);
    try {
      const headers = { ...spec.headers, [TRACEPARENT_HEADER]: span.traceparent };
      const record = await tracing.within(span.traceparent, () => hold({ ...spec, headers }));
      span.end(roundOf(spec, record));
      return record;
    } catch (error) {
      span.end(roundOf(spec, undefined), { code: 'round_ended', message: String(error) });
      throw error;
    }
  };
}

function roundOf(spec: HoldSpec, record: RoundRecord | undefined): Operation {
  const { roundId, capability, goalId, taskId, rule, roster } = spec;
  const outcome = record === undefined ? 'none' : (record.position ?? record.reason ?? 'no_majority');
  const ballots = record?.ballots ?? [];
  return {
    kind: 'round',
    roundId,
    capability,
    ...(goalId === undefined ? {} : { goalId }),
    ...(taskId === undefined ? {} : { taskId }),
    method: rule.method,
    voters: roster.length,
    outcome,
    ballots: ballots.map(({ agent, position, timestamp }) => ({ agent, position, atMs: Date.parse(timestamp) })),
  };
}

interface EndedAttempt {
  readonly attempt: number;
  readonly ending: string;
  readonly error?: FinishedSpan['error'];
}

/** The attempt that this step of a task ended, if it ended one. */
function endedAttempt(before: TaskRecord, after: TaskRecord): EndedAttempt | undefined {
  const ending = taskChange(taskState(before), after);
  const error = 'error' in after && after.error !== undefined ? { error: after.error } : {};
  switch (ending) {
    case 'complete':
      return { attempt: after.attempt, ending };
    case 'retry':
    case 'fail':
    case 'exhaust':
      return { attempt: after.attempt, ending, ...error };
    case 'takeover': {
      // Whoever held it is dead, frozen or cut off: it cannot tell.
      const holder = before.status === 'in_progress' ? before.agentId : '';
      const lost = { code: 'lease_expired', message: `agent ${holder} lost its lease; another took the task over` };
      return { attempt: before.attempt, ending, error: lost };
    }
    case 'cancel':
      return before.status === 'in_progress' ? { attempt: before.attempt, ending, ...error } : undefined;
    case 'create':
    case 'release':
    case 'claim':
    case 'propose':
    case 'rework':
    case 'replace':
    case undefined:
      return undefined;
  }
}
