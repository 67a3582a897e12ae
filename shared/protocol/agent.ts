/** Presence of an agent: `agent.<agentId>` in KV bucket `<m>_agents`. */
import { z } from 'zod';
import { Id, Timestamp } from './ids.ts';

export const PRESENCE_RENEW_MS = 2_000;
/** A dead agent's key is gone after this, well within the protocol's 10 s. */
export const PRESENCE_TTL_MS = 7_000;

export const Presence = z.object({
  agentId: Id,
  role: Id,
  capabilities: z.array(Id),
  weight: z.number().nonnegative().optional(),
  publicKey: z.string().optional(),
  startedAt: Timestamp,
  version: z.string(),
  load: z.object({ running: z.int().nonnegative(), slots: z.int().nonnegative() }),
  /** Capabilities with which it would begin a goal that nobody planned; absent: it would not. */
  begins: z.array(Id).optional(),
  /** Expected price of one task per capability, USD: a goal's cost is predicted, and the cheapest agent chosen, by it. */
  estimates: z.record(Id, z.number().nonnegative()).optional(),
  /** Per capability under which it is a voter: expected price of one ballot, rounds that a voted task takes, bytes of one message of a round. */
  opinions: z
    .record(
      Id,
      z.object({ usd: z.number().nonnegative(), rounds: z.number().nonnegative(), bytes: z.number().nonnegative() }),
    )
    .optional(),
});
export type Presence = z.infer<typeof Presence>;
