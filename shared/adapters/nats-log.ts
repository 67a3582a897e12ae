/** Reading back from the log stream. */
import type { NatsConnection } from '@nats-io/transport-node';
import { decode } from '../protocol/codec.ts';
import type { Subjects } from '../protocol/subjects.ts';
import { Ballot } from '../protocol/vote.ts';
import { lastOf } from './direct-get.ts';

/** The ballot that this agent gave in a round before it was restarted: a voter has one vote in a round (I8). */
export function ballotRecall(
  nc: NatsConnection,
  subjects: Subjects,
  agentId: string,
): (roundId: string) => Promise<Ballot | undefined> {
  return async (roundId) => {
    const stored = await lastOf(nc, subjects.logStream, subjects.ballot(roundId, agentId));
    const ballot = stored === undefined ? undefined : decode(Ballot, stored.data);
    return ballot?.ok === true ? ballot.value : undefined;
  };
}
