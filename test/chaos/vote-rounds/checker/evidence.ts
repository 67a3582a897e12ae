/** What the checker reads and counts. */
import { z } from 'zod';

/** A VoteRequest as PROTOCOL has it, written down by a stranger. */
export const Request = z.object({
  roundId: z.string(),
  proposal: z.string(),
  options: z.array(z.string()),
  rule: z.object({
    method: z.enum(['majority', 'weighted', 'unanimous', 'ahead-by-k']),
    quorum: z.number().optional(),
    k: z.number().optional(),
    threshold: z.number().optional(),
    weights: z.record(z.string(), z.number()).optional(),
  }),
  roster: z.array(z.string()),
  deadline: z.string(),
  correlationId: z.string(),
});
export type Request = z.infer<typeof Request>;

/** How often each fault really happened, by the streams alone. */
export type Bites = ReturnType<typeof noBites>;

export function noBites() {
  return {
    /** The same ballot again, in time. */
    duplicate: 0,
    /** A second ballot that says something else, in time. */
    contradictory: 0,
    /** Any ballot that the broker stored after the decision. */
    late: 0,
    offRoster: 0,
    malformed: 0,
    /** Under one voter's subject, in another's name. */
    forged: 0,
    /** Under one round's subject, of another round. */
    otherRound: 0,
    noOption: 0,
    /** Voters who were asked and had not answered when the round was decided. */
    silent: 0,
    /** Rounds whose voters two proposers had asked before it was decided. */
    twoAtOnce: 0,
    /** Rounds whose voters were asked by a proposer and, before it was decided, by its replacement. */
    replaced: 0,
    /** Rounds that another decided than who had asked first. */
    decidedByAnother: 0,
  };
}
