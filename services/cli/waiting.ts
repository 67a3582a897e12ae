/** Waiting for a goal from the outside: what ends it, and what the exit code says of how it ended. */
import type { MeshClient } from '../../shared/adapters/mesh-client.ts';
import type { FollowEvent } from '../../shared/adapters/mesh-client-follow.ts';
import type { EndedGoal, GoalRecord } from '../../shared/protocol/goal.ts';
import { isTerminalGoal } from '../../shared/protocol/goal.ts';
import { CommandFailure, EXIT, type ExitCode } from './failure.ts';
import { duration } from './render/text.ts';
import type { Terminal } from './terminal.ts';

export interface Waiting {
  /** Milliseconds; absent: as long as it takes, the goal's own deadline is the limit. */
  readonly timeoutMs: number | undefined;
  readonly tasks: boolean;
  readonly onEvent?: (event: FollowEvent) => void | Promise<void>;
}

/**
 * Follows a goal to its terminal record.
 *
 * @throws CommandFailure when the time is up or Ctrl-C was pressed; the goal goes on in both cases.
 */
export async function waitForGoal(
  terminal: Terminal,
  mesh: MeshClient,
  goalId: string,
  waiting: Waiting,
): Promise<EndedGoal> {
  const timeUp = new AbortController();
  const timer = waiting.timeoutMs === undefined ? undefined : setTimeout(() => timeUp.abort(), waiting.timeoutMs);
  const signal = AbortSignal.any([terminal.signal, timeUp.signal]);
  let goal: GoalRecord | undefined;
  let asked = false;
  try {
    for await (const event of mesh.follow(goalId, { tasks: waiting.tasks, signal })) {
      if (event.kind === 'goal') goal = event.record;
      if (event.kind === 'silent') terminal.note('the broker does not answer; trying again');
      if (event.kind === 'quiet' && goal === undefined && !asked) {
        asked = true;
        if ((await mesh.agents.list()).length === 0) terminal.note('no agent is present; the goal waits for one');
      }
      await waiting.onEvent?.(event);
    }
  } finally {
    clearTimeout(timer);
  }
  if (goal !== undefined && isTerminalGoal(goal)) return goal;
  const state = goal === undefined ? 'not accepted yet' : goal.status;
  if (terminal.signal.aborted) {
    throw new CommandFailure(
      EXIT.interrupted,
      `stopped waiting; goal ${goalId} is ${state} and goes on (to end it: conclave cancel ${goalId})`,
    );
  }
  throw new CommandFailure(
    EXIT.waitedTooLong,
    `waited ${duration(waiting.timeoutMs ?? 0)}; goal ${goalId} is ${state} and goes on (to look: conclave watch ${goalId})`,
  );
}

export function exitCodeOf(goal: EndedGoal): ExitCode {
  return goal.status === 'completed' ? EXIT.done : EXIT.failed;
}

/** The goal's record. @throws CommandFailure when the mesh knows no such goal, or has not accepted it yet. */
export async function requireGoal(mesh: MeshClient, goalId: string): Promise<GoalRecord> {
  const goal = await mesh.goal(goalId);
  if (goal !== undefined) return goal;
  if (await mesh.hasReceipt(goalId)) {
    const { length } = await mesh.agents.list();
    const why = length === 0 ? 'no agent is present' : 'it waits for its turn';
    throw new CommandFailure(
      EXIT.failed,
      `goal ${goalId} was submitted and is not accepted yet: ${why} (to wait: conclave watch ${goalId})`,
    );
  }
  throw unknownGoal(mesh, goalId);
}

export function unknownGoal(mesh: MeshClient, goalId: string): CommandFailure {
  return new CommandFailure(
    EXIT.failed,
    `mesh "${mesh.subjects.mesh}" knows no goal "${goalId}" (to see those it knows: conclave goals)`,
  );
}
