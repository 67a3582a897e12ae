/** What a handler is given. Nothing in it can change the graph, a subject, a permission or a budget. */
import type { z } from 'zod';
import type { ModelUsage } from '../ports.ts';
import type { Presence } from '../protocol/agent.ts';
import type { Question } from '../protocol/peer.ts';
import type { TaskFailure } from '../protocol/task.ts';

export interface Ask<T> {
  /** Name of the structured output; the offline endpoint answers by it. */
  readonly name: string;
  readonly system: string;
  readonly user: string;
  readonly schema: z.ZodType<T>;
  readonly maxOutputTokens: number;
}

export interface Answer<T> {
  readonly value: T;
  readonly usage: ModelUsage;
  readonly model: string;
  /** True when a simulated endpoint answered. */
  readonly offline: boolean;
  readonly repaired: boolean;
}

export interface HandlerLog {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
}

interface Shared {
  readonly agentId: string;
  /** Aborted on cancel, lost lease, timeout and shutdown. */
  readonly signal: AbortSignal;
  readonly log: HandlerLog;
  /**
   * Asks the model for one structured value, within the goal's budget. Throws `HandlerError`: `invalid_output` when the answer does not fit
   * after one repair, `model_unavailable` (retried with back-off), `model_refused`, `budget_exceeded`.
   */
  ask<T>(question: Ask<T>): Promise<Answer<T>>;
}

export interface TaskContext<In = unknown> extends Shared {
  readonly goalId: string;
  readonly taskId: string;
  readonly capability: string;
  readonly description: string;
  readonly input: In;
  /** Results of the dependencies, by taskId. */
  readonly dependencies: Readonly<Record<string, unknown>>;
  /**
   * Dependencies that failed, and that this task does without: of a tolerant task, and of whoever goes on with a peer-to-peer goal. They are put into its
   * result, as `failedParts`.
   */
  readonly failures: readonly TaskFailure[];
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** Why voters sent the result back, oldest first; empty at first. */
  readonly reasons: readonly string[];
  /** The goal as the user said it. */
  goal(): Promise<{
    readonly description: string;
    readonly input: unknown;
    readonly pattern: string;
    readonly onTaskFailure: string;
  }>;
  /** Agents that are alive now. */
  agents(): Promise<readonly Presence[]>;
  /** What was done for a peer-to-peer goal before this task, in order; else empty. */
  readonly done: readonly { readonly taskId: string; readonly capability: string }[];
  /** What peers answered to questions that were asked for this task in this attempt, oldest first. */
  readonly answers: readonly PeerAnswered[];
  /**
   * Asks one agent that has this capability, which the manifest's `mayMessage` must name. An answer that does not come is a value: the work goes on without
   * it. Throws `HandlerError` `budget_exceeded`.
   */
  askPeer(question: Question): Promise<PeerSaid>;
}

/** What came of a question to a peer. */
export type PeerSaid =
  | { readonly ok: true; readonly from: string; readonly answer: string }
  | { readonly ok: false; readonly reason: string };

export interface PeerAnswered {
  readonly capability: string;
  readonly question: string;
  readonly from: string;
  readonly answer: string;
}

export interface VoterContext extends Shared {}

/** Code of an error that says: the goal is over, or about to be, so that nothing of it is worked on or paid for any more. */
export const GOAL_OVER = 'goal_ended';

/** For whoever answers a question of another agent. */
export interface AnswerContext extends Shared {
  readonly goalId: string | undefined;
}

/** An error that says what to do with the attempt. `retry: false` fails the task for good. */
export class HandlerError extends Error {
  readonly code: string;
  readonly retry: boolean;
  readonly retryAfterMs: number | undefined;
  constructor(
    code: string,
    message: string,
    options: { readonly retry?: boolean; readonly retryAfterMs?: number } = {},
  ) {
    super(message);
    this.name = 'HandlerError';
    this.code = code;
    this.retry = options.retry ?? true;
    this.retryAfterMs = options.retryAfterMs;
  }
}
