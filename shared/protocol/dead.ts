/** Dead letters: what could not be worked on, with its cause and what it cost so far. */
import { z } from 'zod';
import { ErrorInfo } from './goal.ts';
import { Id, Timestamp } from './ids.ts';
import { DEAD_ORIGINS } from './subjects.ts';
import { TaskCost } from './task.ts';

/** A payload that is longer, in base64, is cut to this: the letter itself must fit a message. */
export const LETTER_PAYLOAD_MAX = 700_000;

export const DeadLetter = z.object({
  origin: z.enum(DEAD_ORIGINS),
  subject: z.string(),
  reason: ErrorInfo,
  /** The refused bytes, base64; of very many, the head. */
  payload: z.base64(),
  goalId: Id.optional(),
  taskId: Id.optional(),
  attempts: z.int().nonnegative().optional(),
  spent: TaskCost.optional(),
  at: Timestamp,
});
export type DeadLetter = z.infer<typeof DeadLetter>;
