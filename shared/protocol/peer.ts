/** What agents say to each other about the work itself. Each is the content of an AgentMessage, under the message type that is named with it. */
import { z } from 'zod';
import { Id } from './ids.ts';

/** `handover`: a work item for the agent that its task names. The reply is a HandoverReply. */
export const HANDOVER = 'handover';

export const Handover = z.object({
  capability: Id,
  /** Where the item is acknowledged; whoever has taken it over acknowledges it there. */
  handle: z.string().min(1).max(512),
});
export type Handover = z.infer<typeof Handover>;

/** `busy`: not now. `refused`: the item is none that this agent could work on. */
export const HandoverReply = z.object({ status: z.enum(['taken', 'busy', 'refused']) });
export type HandoverReply = z.infer<typeof HandoverReply>;
