/** Calls a manifest's handlers: input checked before, output after, the context in between. */
import type { Logger } from 'pino';
import type { Said } from '../core/cost.ts';
import { addCost } from '../core/task-machine.ts';
import { fit } from '../protocol/codec.ts';
import { isTerminalGoal } from '../protocol/goal.ts';
import { isBlobRef } from '../protocol/ids.ts';
import { AUCTION_CAPABILITY } from '../protocol/subjects.ts';
import { NO_COST, type TaskCost, type TaskFailure } from '../protocol/task.ts';
import type { Ballot, VoteRequest } from '../protocol/vote.ts';
import { ask, type Asker } from './asking.ts';
import { type Ask, HandlerError, type PeerAnswered, type TaskContext } from './context.ts';
import type { RunHandler } from './engine/attempt.ts';
import type { Deps } from './engine/deps.ts';
import { readGoal } from './engine/records.ts';
import { BlobUnusable, resolved } from './engine/values.ts';
import type { Manifest } from './manifest.ts';
import type { Desk } from './peers/desk.ts';
import { doneFor, workOn } from './peers/working.ts';
import { joined, parted, roundOf } from './vote/discussion.ts';
import { mayAsk } from './vote/identity.ts';
import { OtherQuestion, RoundOver, type VoterDeps } from './vote/voter.ts';

const NO_LIMITS = {};
const NOTHING_DONE: TaskContext['done'] = [];

export function handlerRunner(deps: Deps, manifest: Manifest, asker: Asker, desk: Desk, log: Logger): RunHandler {
  return async (call) => {
    const { task, attempt, signal } = call;
    // Whatever an agent is for, it holds auctions.
    if (task.capability === AUCTION_CAPABILITY) return guarded(() => desk.hold(call));
    const { goalId, taskId, correlationId } = task;
    const traceparent = deps.tracing.attempt(task, attempt);
    const capability = Object.hasOwn(manifest.capabilities, task.capability)
      ? manifest.capabilities[task.capability]
      : undefined;
    if (capability === undefined)
      throw new HandlerError(
        'unknown_capability',
        `expected one of ${Object.keys(manifest.capabilities).join(', ')}, got ${task.capability}`,
      );
    let goal: ReturnType<typeof readGoal> | undefined;
    const readOnce = (): ReturnType<typeof readGoal> => (goal ??= readGoal(deps, goalId));
    const onCost = (cost: TaskCost): void => call.onCost(cost);
    const scope = {
      goalId,
      traceparent,
      limits: async () => (await readOnce())?.record.budget ?? NO_LIMITS,
      holder: { agentId: deps.agentId, taskId, attempt },
      signal,
      beforeCall: call.beforeSideEffect,
      onCost,
    };
    const answers: PeerAnswered[] = [];
    const context: TaskContext = {
      agentId: deps.agentId,
      goalId,
      taskId,
      capability: task.capability,
      description: task.description,
      input: call.input,
      dependencies: call.dependencies,
      failures: task.failures ?? [],
      attempt,
      reasons: task.reasons ?? [],
      signal,
      log: {
        info: (fields, message) => log.info({ ...fields, goalId, taskId, correlationId }, message),
        warn: (fields, message) => log.warn({ ...fields, goalId, taskId, correlationId }, message),
      },
      ask: <T>(question: Ask<T>) => ask(asker, scope, question),
      goal: async () => {
        const standing = await readOnce();
        if (standing === undefined) throw new HandlerError('goal_missing', `goal ${goalId} has no record`);
        const { description, pattern } = standing.record;
        const onTaskFailure = 'onTaskFailure' in standing.record ? standing.record.onTaskFailure : 'fail';
        return { description, pattern, onTaskFailure, input: await resolved(deps, standing.record.input) };
      },
      agents: () => deps.registry.list(),
      done: task.peer === undefined ? NOTHING_DONE : await doneFor(deps, task),
      answers,
      askPeer(question) {
        if (!manifest.mayMessage.includes(question.capability))
          return Promise.resolve({
            ok: false,
            reason: `mayMessage of role ${manifest.role} names no ${question.capability}`,
          });
        const about = { goalId, taskId, correlationId, hops: task.peer?.hops ?? 0, traceparent };
        const onSaid = (said: Said): void => onCost({ ...NO_COST, ...said });
        return desk.ask({ ...scope, question, about, attempt, onSaid });
      },
    };
    const run = async (): Promise<unknown> => {
      const work = (): Promise<unknown> => guarded(() => capability.run(context));
      const output = fit(capability.output, await deps.tracing.within(traceparent, work));
      if (!output.ok) throw new HandlerError('invalid_output', `output of ${task.capability}: ${output.message}`);
      return naming(task.failures, output.value);
    };
    if (task.peer === undefined) return run();
    const asPeer = { manifest, capability, task, context, answers, run, onStep: call.onStep };
    return deps.tracing.within(traceparent, () => guarded(() => workOn(asPeer)));
  };
}

/** Parts that a task had to do without stand in its result whatever its handler, or a model, says of them; one that is no object is put beside them. */
function naming(failures: readonly TaskFailure[] = [], result: unknown): unknown {
  if (failures.length === 0) return result;
  const object = typeof result === 'object' && result !== null && !Array.isArray(result) && !isBlobRef(result);
  return { ...(object ? result : { result }), failedParts: failures };
}

/** Whatever a handler throws becomes an error that says what to do with the attempt. */
async function guarded<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof HandlerError) throw error;
    if (error instanceof BlobUnusable) throw new HandlerError(error.code, error.message);
    throw new HandlerError('handler_error', error instanceof Error ? `${error.name}: ${error.message}` : String(error));
  }
}

/** Whether nobody waits for ballots any more: the round is decided, or its goal ends or has ended. Reads the store, which alone knows. */
export function roundIsOver(deps: Deps): NonNullable<VoterDeps['isOver']> {
  return async (roundId, goalId) => {
    const [decision, goal] = await Promise.all([
      deps.store.read(deps.subjects.roundKey(roundId)),
      goalId === undefined ? undefined : readGoal(deps, goalId),
    ]);
    if (decision !== undefined) return true;
    return goal !== undefined && (isTerminalGoal(goal.record) || goal.record.stopping !== undefined);
  };
}

/** A voter's opinion, within the budget of the goal that the round belongs to. */
export function voterOf(
  deps: Deps,
  manifest: Manifest,
  asker: Asker,
  log: Logger,
  /** Hears of each opinion what it used. */
  given: (used: TaskCost) => void,
) {
  const isOver = roundIsOver(deps);
  return async (
    request: VoteRequest,
    signal: AbortSignal,
    traceparent: string | undefined,
  ): Promise<Pick<Ballot, 'position' | 'confidence' | 'rationale'>> => {
    const { vote } = manifest;
    const { roundId, goalId, correlationId } = request;
    if (vote === undefined) return { position: 'abstain', rationale: 'this agent has no opinion' };
    let cost = NO_COST;
    const scope = {
      goalId,
      traceparent,
      limits: async () => (goalId === undefined ? undefined : await readGoal(deps, goalId))?.record.budget ?? NO_LIMITS,
      // One reservation per round and voter: a round id is an id, so it can stand for the task.
      holder: { agentId: deps.agentId, taskId: roundId, attempt: 1, vote: true as const },
      signal,
      beforeCall: () => Promise.resolve(),
      // Looked at when the call is reserved. A round that is undecided now is decided later, and its goal ends later still, so the goal's last account
      // holds this reservation: nothing that a voter spends lands behind it. A goal that is over is not charged.
      afterReserve: async () => {
        if (goalId !== undefined && (await isOver(roundOf(roundId), goalId))) throw new RoundOver();
      },
      onCost: (more: TaskCost) => {
        cost = addCost(cost, more);
      },
    };
    const asked = await wholeOf(deps, request);
    const opine = () =>
      vote(asked, {
        agentId: deps.agentId,
        signal,
        log: {
          info: (fields, message) => log.info({ ...fields, roundId, goalId, correlationId }, message),
          warn: (fields, message) => log.warn({ ...fields, roundId, goalId, correlationId }, message),
        },
        ask: <T>(question: Ask<T>) => ask(asker, scope, question),
      });
    const opinion = await deps.tracing.within(traceparent, opine);
    given(cost);
    return opinion;
  };
}

/**
 * The request with its context whole: a large one is referred to. What a discussion added stays beside it.
 *
 * @throws OtherQuestion when the id of the round is that of another question.
 */
async function wholeOf(deps: Deps, request: VoteRequest): Promise<VoteRequest> {
  const { roundId, goalId, proposal, options } = request;
  const { original, discussion } = parted(request.context);
  const context = await resolved(deps, original);
  if (!mayAsk(roundOf(roundId), { goalId, proposal, options, context })) throw new OtherQuestion();
  const whole = discussion === undefined ? context : joined(context, discussion);
  return whole === undefined ? request : { ...request, context: whole };
}
