/** What a goal may spend, has reserved for calls under way, and has spent. */
import { z } from 'zod';
import { Id } from './ids.ts';

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
  /** Whose write this revision is. */
  by: z.string().optional(),
});
export type Ledger = z.infer<typeof Ledger>;
