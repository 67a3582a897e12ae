/** The envelope of every inter-agent message (the article's AgentMessage). */
import { z } from 'zod';
import { Id, Timestamp } from './ids.ts';

/** A message that was passed on more often than this is refused and dead-lettered (I10). */
export const HOPS_MAX = 16;

/** The same content from one agent to another, under one type and goal, is refused when it comes more often than this within REPEATS_WINDOW_MS (I10). */
export const REPEATS_MAX = 10;
export const REPEATS_WINDOW_MS = 600_000;

/** messageType of every reply. */
export const REPLY = 'reply';
/** Before a reply that may take its time: the message has arrived, its answer is being made. */
export const RECEIPT = 'receipt';

export const AgentMessage = z.object({
  id: z.string().min(1).max(128),
  sender: Id,
  /** An agentId, or a capability: then one agent that has it receives it. */
  receiver: Id,
  messageType: Id,
  content: z.json(),
  timestamp: Timestamp,
  /** The goal's, end to end. */
  correlationId: z.string().min(1).max(256),
  goalId: Id.optional(),
  taskId: Id.optional(),
  hops: z.int().nonnegative(),
});
export type AgentMessage = z.infer<typeof AgentMessage>;
