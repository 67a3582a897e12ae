/** What agents of the simulation do with a task, and with a vote: what the dice wrote into the goal. */
import { encode } from '../../shared/protocol/codec.ts';
import { timestamp } from '../../shared/protocol/ids.ts';
import { ReplanRequest } from '../../shared/protocol/plan.ts';
import { AUCTION_CAPABILITY, PLAN_CAPABILITY } from '../../shared/protocol/subjects.ts';
import type { TaskRecord } from '../../shared/protocol/task.ts';
import { type RoundRecord, RoundRecord as RoundSchema } from '../../shared/protocol/vote.ts';
import { HandlerError } from '../../shared/runtime/context.ts';
import type { RunHandler } from '../../shared/runtime/engine/attempt.ts';
import type { Deps } from '../../shared/runtime/engine/deps.ts';
import type { Ledgers } from '../../shared/runtime/engine/ledgers.ts';
import { readGoal, readTasks } from '../../shared/runtime/engine/records.ts';
import type { HoldRound } from '../../shared/runtime/engine/review.ts';
import { holdAuction } from '../../shared/runtime/peers/auction.ts';
import type { Calls } from '../../shared/runtime/peers/calls.ts';
import type { Dice } from './sim-dice.ts';
import { type Behaviour, behaviourOf, MICRO, planAnew, resultOf } from './sim-goals.ts';

interface World {
  /** Micro-dollars that models really billed, by goal. */
  readonly billed: Map<string, number>;
  note(what: string): void;
}

/** Long enough for something else to fail meanwhile. */
const PLANNING_MS = 300;

/** The planner is told names and words of what failed; what would do instead is written into those tasks themselves. */
async function anew(
  deps: Deps,
  task: TaskRecord,
  { failed, finished, running }: ReplanRequest['replan'],
): Promise<unknown> {
  const ids = failed.map(({ taskId }) => taskId);
  const records = await readTasks(deps, task.goalId, ids);
  const behaviours = [...records.values()].map(({ record }) => record.input as unknown as Behaviour);
  return planAnew(
    task.taskId,
    behaviours,
    finished.map(({ taskId }) => taskId),
    running.map(({ taskId }) => taskId),
  );
}

export function handlerOf(world: World, deps: Deps, peers: Calls, ledgers: Ledgers): RunHandler {
  const wait = (ms: number): Promise<void> => new Promise((resolve) => deps.clock.after(ms, resolve));
  return async (call) => {
    const { task, attempt, input, dependencies, beforeSideEffect, onCost, onStep } = call;
    if (task.capability === AUCTION_CAPABILITY) return holdAuction({ deps, calls: peers, ledgers }, call);
    const asked = ReplanRequest.safeParse(input);
    if (asked.success) {
      await wait(PLANNING_MS);
      return anew(deps, task, asked.data.replan);
    }
    const { ms, failTimes = 0, fatal, sideEffect, bulk, plan, revises, step, ...asks } = behaviourOf(task, input);
    const calls = asks.callsOnce === true && attempt > 1 ? [] : (asks.calls ?? []);
    const { goalId, taskId } = task;
    if (sideEffect === true || calls.length > 0) await beforeSideEffect();
    for (const { worst, actual, unawaited } of calls) {
      const limits = (await readGoal(deps, goalId))?.record.budget ?? {};
      const holder = { agentId: deps.agentId, taskId, attempt };
      const reservation = await ledgers.reserve(goalId, limits, holder, {
        usd: worst * MICRO,
        inputTokens: worst,
        outputTokens: 0,
      });
      if (!reservation.granted) throw new HandlerError('budget_exceeded', reservation.message, { retry: false });
      world.billed.set(goalId, (world.billed.get(goalId) ?? 0) + actual);
      if (unawaited === true) continue;
      await wait(5);
      await reservation.settle({ usd: actual * MICRO, inputTokens: actual, outputTokens: 0 });
      onCost({ usd: actual * MICRO, inputTokens: actual, outputTokens: 0, messages: 0 });
    }
    if (ms > 0) await wait(ms);
    if (fatal === true) throw new HandlerError('fatal', 'nothing helps', { retry: false });
    if (attempt <= failTimes) throw new HandlerError('flaky', `attempt ${attempt} fails`);
    if (step !== undefined) onStep(step);
    const missing = (task.failures ?? []).map((failure) => failure.taskId);
    if (step !== undefined && missing.length > 0) world.note(`without a part: ${step.kind}`);
    return task.capability === PLAN_CAPABILITY ? (revises ?? plan) : resultOf(taskId, bulk, dependencies, missing);
  };
}

/** A vote round whose voters toss coins. The decision is stored once, and found by whoever holds the round again. */
export function holdOf(deps: Deps, dice: Dice): HoldRound {
  return async (spec) => {
    const key = deps.subjects.roundKey(spec.roundId);
    const standing = async (): Promise<RoundRecord | undefined> => {
      const stored = await deps.store.read(key);
      return stored === undefined ? undefined : RoundSchema.parse(JSON.parse(new TextDecoder().decode(stored.data)));
    };
    const openedAt = timestamp(deps.clock.now());
    const before = await standing();
    if (before !== undefined) return before;
    const { roundId, goalId = '', taskId = '', proposal, options, rule, roster, correlationId } = spec;
    spec.onSaid?.({ type: 'vote', bytes: 200, voters: roster.length, again: false });
    await new Promise<void>((resolve) => deps.clock.after(dice.int(1, 300), resolve));
    spec.signal.throwIfAborted();
    if (dice.chance(0.2)) spec.onSaid?.({ type: 'vote', bytes: 200, voters: 1, again: true });
    for (let ballot = dice.int(0, roster.length); ballot > 0; ballot -= 1) spec.onSaid?.({ type: 'ballot', bytes: 90 });
    // Ballots that bear the outcome out, by the majority of the roster; none where there is no decision.
    const position = dice.chance(0.7) ? 'approve' : 'reject';
    const decides = roster.length > 0 && dice.chance(0.8);
    const outcome = decides
      ? { consensus: true, position, votes: roster.length }
      : { consensus: false, reason: 'insufficient_votes' as const };
    const ballots = (decides ? roster : []).map((agent) => ({ roundId, agent, position, timestamp: openedAt }));
    const record: RoundRecord = {
      roundId,
      goalId,
      taskId,
      proposal,
      options: [...options],
      rule,
      roster: [...roster],
      ballots,
      ...outcome,
      correlationId,
      openedAt,
      decidedAt: timestamp(deps.clock.now()),
    };
    const written = await deps.store.commit([
      { subject: deps.subjects.dagSubject(key), data: encode(record), expect: 0 },
    ]);
    return written.status === 'committed' ? record : ((await standing()) ?? record);
  };
}
