/** What work of a capability has used so far: `figures.<capability>` in the DAG bucket. Predictions rest on it; nothing else does. */
import { z } from 'zod';
import { Id } from './ids.ts';

const Sum = z.number().nonnegative();

/** Sums over `count` pieces of work. */
export const Used = z.object({ count: Sum, inputTokens: Sum, outputTokens: Sum });
export type Used = z.infer<typeof Used>;

/** Sums over `count` tasks whose results were voted on. */
export const Voted = z.object({ count: Sum, rounds: Sum, messages: Sum, bytes: Sum });
export type Voted = z.infer<typeof Voted>;

export const Figures = z.object({
  capability: Id,
  /** Completed tasks of the capability, all their attempts together, by model. */
  tasks: z.record(z.string(), Used),
  /** Ballots of voters that have the capability, by model. */
  ballots: z.record(z.string(), Used),
  /** Tasks whose voters have the capability. */
  voted: Voted,
  /** Whose write this revision is. */
  by: z.string(),
});
export type Figures = z.infer<typeof Figures>;
