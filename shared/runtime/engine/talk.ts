/** What the messages of a vote round are charged: the most that they can be, before it, and what they were, after it. */
import type { Said } from '../../core/cost.ts';
import type { OnSaid } from '../vote/collect.ts';
import type { Messages } from './ledgers.ts';

/** A ballot is charged for at most so many bytes: a voter that writes novels costs no more than was reserved for it (I4). */
const BALLOT_BYTES_MAX = 8_192;
/** What a request gains on the way: the deadline, the quorum in numbers, field names. */
const REQUEST_EXTRA_BYTES = 512;
/** What a discussion adds to the next request. */
const DISCUSSION_BYTES_MAX = 262_144;
/** A request goes out once more to those who have not answered. */
const REQUESTS_PER_DISCUSSION = 2;
/** Word that the round is over, to those who still think. */
const NOTICES = 1;

/** The messages of one round: the most that they can be, and what they were. Each voter that was asked answers; those not waited for, too. */
export function talkOf(voters: number, requestBytes: number, discussions: number) {
  const requests = REQUESTS_PER_DISCUSSION * discussions + NOTICES;
  const ballots = voters * discussions;
  const first = requestBytes + REQUEST_EXTRA_BYTES;
  const most = {
    vote: { messages: requests, bytes: requests * (discussions === 1 ? first : first + DISCUSSION_BYTES_MAX) },
    ballot: { messages: ballots, bytes: ballots * BALLOT_BYTES_MAX },
  };
  const vote = { messages: 0, bytes: 0 };
  const ballot = { messages: 0, bytes: 0 };
  let asked = 0;
  const onSaid: OnSaid = (event) => {
    const sum = event.type === 'vote' ? vote : ballot;
    sum.messages += 1;
    sum.bytes += event.type === 'vote' ? event.bytes : Math.min(event.bytes, BALLOT_BYTES_MAX);
    if (event.type === 'vote' && !event.again) asked += event.voters;
  };
  return {
    most,
    onSaid,
    said(): Messages {
      const mean = ballot.messages === 0 ? 0 : Math.ceil(ballot.bytes / ballot.messages);
      const late = Math.max(0, asked - ballot.messages);
      return {
        vote: atMost(vote, most.vote),
        ballot: atMost({ messages: ballot.messages + late, bytes: ballot.bytes + late * mean }, most.ballot),
      };
    },
  };
}

/** I4: whatever happens on the wire, no more is charged than was reserved. */
function atMost(counted: Said, most: Said): Said {
  return { messages: Math.min(counted.messages, most.messages), bytes: Math.min(counted.bytes, most.bytes) };
}

/** All types together. */
export function inAll(messages: Messages): Said {
  const all = Object.values(messages);
  return {
    messages: all.reduce((sum, each) => sum + each.messages, 0),
    bytes: all.reduce((sum, each) => sum + each.bytes, 0),
  };
}
