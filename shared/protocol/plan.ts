/** The committed result of a goal's `plan` task. Task ids and capabilities in it were given by the planner's code, never by a model. */
import { z } from 'zod';
import { TASKS_MAX, TaskSpec } from './goal.ts';

/** taskId of the task that plans; reserved in planned graphs. */
export const PLAN_TASK = 'plan';

export const Plan = z.object({
  tasks: z.array(TaskSpec).min(1).max(TASKS_MAX),
  /** `fallback`: the fixed three steps, because no usable plan came from a model; `reason` says why. */
  source: z.enum(['model', 'fallback']),
  reason: z.string().optional(),
});
export type Plan = z.infer<typeof Plan>;
