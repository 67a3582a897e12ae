/** What a goal may spend, has reserved for calls under way, and has spent. */
import { z } from 'zod';
import { Id } from './ids.ts';

const Amount = z.object({ usd: z.number(), tokens: z.number() });
const Held = Amount.extend({ agentId: Id, taskId: Id, attempt: z.int() });

/** `ledger.<goalId>` in the DAG bucket. Amounts in USD; `communicationUsd` is part of what the `usd` limit bounds. */
export const Ledger = z.object({
  limits: z.object({ usd: z.number().optional(), tokens: z.number().optional(), messages: z.number().optional() }),
  reserved: z.record(z.string(), Held),
  spent: z.object({ usd: z.number(), tokens: z.number(), messages: z.number(), communicationUsd: z.number() }),
  byAgent: z.record(Id, z.number()),
});
export type Ledger = z.infer<typeof Ledger>;
