/** A handler's questions to the model: within the goal's budget (I4), errors split by what to do with the attempt. */
import type { Holder, Limits } from '../core/budget.ts';
import type { Model, ModelAnswer, Reservation, SpendGate, WorstCase } from '../ports.ts';
import { TRACEPARENT_HEADER } from '../protocol/headers.ts';
import type { TaskCost } from '../protocol/task.ts';
import { type Answer, type Ask, GOAL_OVER, HandlerError } from './context.ts';
import type { Ledgers } from './engine/ledgers.ts';
import type { Tracing } from './tracing.ts';

export interface Asker {
  readonly tracing: Tracing;
  readonly model: Model | undefined;
  readonly ledgers: Ledgers;
  readonly observe: (
    model: string,
    outcome: string,
    seconds: number,
    usage: { readonly inputTokens: number; readonly outputTokens: number },
  ) => void;
}

export interface AskFor {
  /** Undefined: a round by hand belongs to no goal and has no budget. */
  readonly goalId: string | undefined;
  /** W3C context of whatever asks. */
  readonly traceparent: string | undefined;
  readonly limits: () => Promise<Limits>;
  readonly holder: Holder;
  readonly signal: AbortSignal;
  readonly beforeCall: () => Promise<void>;
  /** Between the reservation and the call; a throw gives the reservation back. */
  readonly afterReserve?: () => Promise<void>;
  readonly onCost: (cost: TaskCost) => void;
}

const FREE: SpendGate = { reserve: () => Promise.resolve({ granted: true, settle: () => Promise.resolve() }) };

/** Throws HandlerError: `invalid_output`, `model_unavailable`, `model_refused`, `budget_exceeded`, `no_model`. */
export async function ask<T>(asker: Asker, what: AskFor, question: Ask<T>): Promise<Answer<T>> {
  const { model, ledgers } = asker;
  if (model === undefined)
    throw new HandlerError(
      'no_model',
      'this agent has no model: set OPENAI_BASE_URL and declare usesModel in its manifest',
      { retry: false },
    );
  await what.beforeCall();
  const limits = await what.limits();
  const { goalId } = what;
  const budget: SpendGate =
    goalId === undefined ? FREE : { reserve: (worst) => reserved(ledgers, goalId, limits, what, worst) };
  const span = asker.tracing.begin(what.traceparent);
  const traceparent = span?.traceparent ?? what.traceparent;
  const headers = traceparent === undefined ? {} : { headers: { [TRACEPARENT_HEADER]: traceparent } };
  const startedAt = performance.now();
  const answer = await model.complete({ ...question, budget, signal: what.signal, ...headers });
  const { usage } = answer;
  span?.end(
    {
      kind: 'model',
      name: question.name,
      model: model.name,
      ...(answer.ok ? { answeredBy: answer.model } : {}),
      ...(goalId === undefined ? {} : { goalId }),
      maxOutputTokens: question.maxOutputTokens,
      inputTokens: usage.inputTokens,
      outputTokens: usage.outputTokens,
      usd: usage.usd,
      calls: answer.calls,
      repaired: answer.ok && answer.repaired,
      offline: answer.ok && answer.offline,
    },
    answer.ok ? undefined : { code: answer.reason, message: answer.message },
  );
  asker.observe(model.name, answer.ok ? 'ok' : answer.reason, (performance.now() - startedAt) / 1_000, usage);
  what.onCost({ usd: usage.usd, inputTokens: usage.inputTokens, outputTokens: usage.outputTokens, messages: 0 });
  if (answer.ok)
    return { value: answer.value, usage, model: answer.model, offline: answer.offline, repaired: answer.repaired };
  throw errorOf(answer);
}

async function reserved(
  ledgers: Ledgers,
  goalId: string,
  limits: Limits,
  { holder, afterReserve }: AskFor,
  worst: WorstCase,
): Promise<Reservation> {
  const reservation = await ledgers.reserve(goalId, limits, holder, worst);
  if (!reservation.granted || afterReserve === undefined) return reservation;
  try {
    await afterReserve();
  } catch (error) {
    await reservation.settle(NOTHING);
    throw error;
  }
  return reservation;
}

const NOTHING = { inputTokens: 0, outputTokens: 0, usd: 0 };

function errorOf(failure: Extract<ModelAnswer<unknown>, { ok: false }>): HandlerError {
  const { reason, message, retryAfterMs } = failure;
  switch (reason) {
    case 'budget':
      if (failure.limit === 'ended') return new HandlerError(GOAL_OVER, message, { retry: false });
      return new HandlerError('budget_exceeded', message, { retry: false });
    case 'invalid_output':
      return new HandlerError('invalid_output', message);
    case 'refused':
      return new HandlerError('model_refused', message, { retry: false });
    case 'unavailable':
      return new HandlerError('model_unavailable', message, retryAfterMs === undefined ? {} : { retryAfterMs });
    case 'aborted':
      return new HandlerError('aborted', message);
  }
}
