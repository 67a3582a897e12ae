/** Dead letters: what could not be worked on, with its cause and what it cost so far. */
import { z } from 'zod';
import { ErrorInfo } from './goal.ts';
import { Id, Timestamp } from './ids.ts';
import { DEAD_ORIGINS } from './subjects.ts';
import { TaskCost } from './task.ts';

export const DeadLetter = z.object({
  origin: z.enum(DEAD_ORIGINS),
  subject: z.string(),
  reason: ErrorInfo,
  /** The refused bytes, base64. */
  payload: z.base64(),
  goalId: Id.optional(),
  taskId: Id.optional(),
  attempts: z.int().nonnegative().optional(),
  spent: TaskCost.optional(),
  at: Timestamp,
});
export type DeadLetter = z.infer<typeof DeadLetter>;
