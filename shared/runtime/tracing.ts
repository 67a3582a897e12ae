/**
 * Traces: one for each goal, from its submission to its end, across all processes and whoever dies in between.
 *
 * What is durable carries the trace. A goal's context is the one it was submitted with, kept in its records; without one it follows from the goal's
 * name and birth. Ids of the spans of a goal and of each attempt at its tasks follow from that, so every process knows them without being told: what
 * an agent did before it was killed hangs below an attempt that its successor reports. An attempt is reported by whoever writes the record that
 * ends it, and that is one process, by compare-and-set.
 *
 * Without a tracer nothing is recorded, and a context that came with a goal or a message is passed on as it is.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash, randomBytes } from 'node:crypto';
import type { FinishedSpan, Operation, Tracer } from '../ports.ts';
import { readTraceparent, type SpanContext, traceparentOf } from '../protocol/trace.ts';

/** As log lines name them. */
export interface TraceIds {
  readonly trace_id: string;
  readonly span_id: string;
}

/** An operation under way. */
export interface Begun {
  /** For the headers of what it says. */
  readonly traceparent: string;
  /** Once. */
  end(operation: Operation, error?: FinishedSpan['error']): void;
}

/** What a goal's or a task's record says of the trace that it belongs to. */
export interface Traced {
  readonly goalId: string;
  /** The goal's, also in the records of its tasks, whenever those came to be; a rejected goal has none, and no tasks. */
  readonly deadline?: string;
  readonly createdAt: string;
  readonly traceparent?: string | undefined;
}

export interface Tracing {
  /** The context of a goal, from its record or that of one of its tasks; without a tracer the one that it came with. */
  goal(record: Traced): string | undefined;
  /** The context of one attempt, for what it says; without a tracer the one that the goal came with. */
  attempt(task: Traced & { readonly taskId: string }, attempt: number): string | undefined;
  /** Begins an operation below `parent`, or at the top of a new trace. Undefined without a tracer, and in a trace that is not kept. */
  begin(parent: string | undefined): Begun | undefined;
  /** Runs with `traceparent` as what every log line inside names. */
  within<T>(traceparent: string | undefined, run: () => T): T;
  /** What a line about this goal, or about an attempt at one of its tasks, should name; undefined when there is no trace. */
  ids(record: Traced, of?: { readonly taskId: string; readonly attempt: number }): TraceIds | undefined;
}

function digits(length: number, ...parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, length);
}

/** 32 hex digits: the same wherever it is asked for, and another for a goal of the same name in another run of a mesh. */
function traceIdOf(mesh: string, { goalId, deadline, createdAt }: Traced): string {
  return digits(32, 'trace', mesh, goalId, deadline ?? createdAt);
}

/** The context of a goal's own span, and what it hangs below. */
export interface GoalTrace {
  readonly goal: SpanContext;
  readonly parentId: string | undefined;
}

export function goalTrace(mesh: string, record: Traced, samples: (traceId: string) => boolean): GoalTrace {
  const given = readTraceparent(record.traceparent);
  const traceId = given?.traceId ?? traceIdOf(mesh, record);
  const sampled = given?.sampled ?? samples(traceId);
  const spanId = digits(16, 'goal', traceId, record.goalId);
  return { goal: { traceId, spanId, sampled }, parentId: given?.spanId };
}

export function attemptSpanId(goal: SpanContext, goalId: string, taskId: string, attempt: number): string {
  return digits(16, 'attempt', goal.traceId, goalId, taskId, String(attempt));
}

function idsOf(context: SpanContext | undefined): TraceIds | undefined {
  return context === undefined ? undefined : { trace_id: context.traceId, span_id: context.spanId };
}

const active = new AsyncLocalStorage<TraceIds>();

function within<T>(traceparent: string | undefined, run: () => T): T {
  const ids = traceparent === undefined ? undefined : idsOf(readTraceparent(traceparent));
  return ids === undefined ? run() : active.run(ids, run);
}

/** What a log line should name that is written now. */
export function currentTrace(): TraceIds | undefined {
  return active.getStore();
}

/** Passes contexts on, and keeps nothing. */
export const UNTRACED: Tracing = {
  goal: (record) => record.traceparent,
  attempt: (task) => task.traceparent,
  begin: () => undefined,
  within,
  ids: (record) => (record.traceparent === undefined ? undefined : idsOf(readTraceparent(record.traceparent))),
};

export function tracingOf(tracer: Tracer, mesh: string): Tracing {
  const samples = (traceId: string): boolean => tracer.samples(traceId);
  const attemptContext = (task: Traced, taskId: string, attempt: number): SpanContext => {
    const { goal } = goalTrace(mesh, task, samples);
    return { ...goal, spanId: attemptSpanId(goal, task.goalId, taskId, attempt) };
  };
  return {
    goal: (record) => traceparentOf(goalTrace(mesh, record, samples).goal),
    attempt: (task, attempt) => traceparentOf(attemptContext(task, task.taskId, attempt)),
    begin(parent) {
      const above = readTraceparent(parent);
      const traceId = above?.traceId ?? randomBytes(16).toString('hex');
      const spanId = randomBytes(8).toString('hex');
      if (!(above?.sampled ?? samples(traceId))) return undefined;
      const startMs = preciseNow();
      return {
        traceparent: traceparentOf({ traceId, spanId, sampled: true }),
        end(operation, error) {
          tracer.record({
            traceId,
            spanId,
            ...(above === undefined ? {} : { parentId: above.spanId }),
            startMs,
            endMs: preciseNow(),
            operation,
            ...(error === undefined ? {} : { error }),
          });
        },
      };
    },
    within,
    ids: (record, of) =>
      idsOf(of === undefined ? goalTrace(mesh, record, samples).goal : attemptContext(record, of.taskId, of.attempt)),
  };
}

/** Milliseconds since the epoch, with fractions: a question to a cache may take less than one. */
function preciseNow(): number {
  return performance.timeOrigin + performance.now();
}
