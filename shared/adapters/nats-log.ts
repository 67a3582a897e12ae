/** Reading back from the log stream. */
import type { NatsConnection } from '@nats-io/transport-node';
import { decode } from '../protocol/codec.ts';
import type { Subjects } from '../protocol/subjects.ts';
import { Ballot } from '../protocol/vote.ts';
import { type DirectMessage, lastOf } from './direct-get.ts';

/** Whether a stored message was really said by this agent; see signatures. */
export type IsOwn = (message: Pick<DirectMessage, 'subject' | 'data' | 'header'>) => boolean;

/** The ballot that this agent gave in a round before it was restarted: a voter has one vote in a round (I8). */
export function ballotRecall(
  nc: NatsConnection,
  subjects: Subjects,
  agentId: string,
  isOwn: IsOwn,
): (roundId: string) => Promise<Ballot | undefined> {
  return async (roundId) => {
    const stored = await lastOf(nc, subjects.logStream, subjects.ballot(roundId, agentId));
    // What somebody else managed to write under this agent's token must not come back as its own word.
    const ballot = stored === undefined || !isOwn(stored) ? undefined : decode(Ballot, stored.data);
    return ballot?.ok === true ? ballot.value : undefined;
  };
}
