/** A goal of the simulation that spends as fast as it can. */
import type { Dice } from './sim-dice.ts';
import { CAPABILITIES, MICRO, type SimGoal } from './sim-goals.ts';

/** Tasks that all ask at once, against a limit that some of them must meet: several processes on one account. */
export function drawSpree(dice: Dice, goalId: string): SimGoal {
  const at = dice.int(0, 3_000);
  const tasks = Array.from({ length: dice.int(4, 10) }, (_, index) => ({
    taskId: `t${index}`,
    capability: dice.pick(CAPABILITIES),
    description: `call ${index}`,
    dependencies: [],
    input: { ms: 0, calls: Array.from({ length: dice.int(1, 4) }, () => ({ worst: 20, actual: dice.int(0, 20) })) },
    maxAttempts: 12,
  }));
  const usd = dice.int(20, 300) * MICRO;
  const submission = { goalId, description: `goal ${goalId}`, budget: { usd }, onTaskFailure: 'continue', tasks };
  const goal = { goalId, submission, at: [at], fate: 'accepted' as const, tasks, planned: false, usd };
  return { ...goal, onTaskFailure: 'continue', mayComplete: false, mayCompleteCalmly: false };
}
