/** What a goal may spend, has reserved for calls under way, and has spent. */
import { z } from 'zod';
import { Id, Timestamp } from './ids.ts';

const Amount = z.object({ usd: z.number(), tokens: z.number() });

/** Messages between agents by type: how many, their payload bytes, and what they cost together. */
export const Traffic = z.record(Id, z.object({ messages: z.number(), bytes: z.number(), usd: z.number() }));
export type Traffic = z.infer<typeof Traffic>;

const Held = Amount.extend({
  agentId: Id,
  taskId: Id,
  attempt: z.int(),
  /** The call is a voter's: `taskId` is its round. */
  vote: z.literal(true).optional(),
  /** Messages that are about to be said instead of a model call; `usd` is what they cost at most. */
  traffic: Traffic.optional(),
  /** The call has ended by then; if it is still reserved, its holder is not there any more. */
  until: Timestamp.optional(),
});

/** `ledger.<goalId>` in the DAG bucket. Amounts in USD; `communicationUsd` is part of what the `usd` limit bounds. */
export const Ledger = z.object({
  limits: z.object({ usd: z.number().optional(), tokens: z.number().optional(), messages: z.number().optional() }),
  reserved: z.record(z.string(), Held),
  spent: z.object({ usd: z.number(), tokens: z.number(), messages: z.number(), communicationUsd: z.number() }),
  byAgent: z.record(Id, z.number()),
  /** What `spent.messages` and `spent.communicationUsd` are made of. */
  byType: Traffic.optional(),
  /** The part of `spent.usd` that voters' opinions cost. */
  votesUsd: z.number().optional(),
  /** The part of `spent` that was reserved for calls whose outcome nobody knows, because their holder is gone. */
  lost: Amount.extend({ calls: z.int() }).optional(),
  /** What calls cost, by their endpoint's word, over what was reserved for them and over all that the limits had left. In no sum. */
  beyond: Amount.optional(),
  /** The first call or message that a limit refused. */
  refused: z.object({ limit: z.string(), message: z.string() }).optional(),
  /** stopping: nothing more is granted. ended: nor settled; this is what the goal's record says. */
  state: z.enum(['stopping', 'ended']).optional(),
  /** Since when it is `ended`. */
  endedAt: Timestamp.optional(),
  /** Whose write this revision is. */
  by: z.string().optional(),
});
export type Ledger = z.infer<typeof Ledger>;
