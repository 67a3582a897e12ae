/** What an agent does with a message from another one. */
import type { AgentMessage } from '../../protocol/message.ts';
import { ANNOUNCE, HANDOVER, QUESTION } from '../../protocol/peer.ts';
import type { Manifest } from '../manifest.ts';
import { bidFor, type Bidder } from './bidding.ts';
import { takeOver, type TakingOver } from './handover.ts';
import { type Answering, answererOf } from './questions.ts';

export interface Listening {
  readonly agentId: string;
  readonly bidder: Bidder;
  readonly takingOver: TakingOver;
  readonly answering: Answering;
  /** For every other message. */
  readonly onMessage: Manifest['onMessage'];
}

/** The value is the reply, where one is asked for. What the runtime has no use for is the handler's. */
export function listener({ agentId, bidder, takingOver, answering, onMessage }: Listening) {
  const answer = answererOf(answering);
  return async (message: AgentMessage): Promise<unknown> => {
    switch (message.messageType) {
      case HANDOVER:
        return takeOver(takingOver, message.content);
      case ANNOUNCE:
        return bidFor(bidder, message.content);
      case QUESTION:
        return answer(message);
      default:
        return onMessage === undefined ? { status: 'received', by: agentId } : onMessage(message);
    }
  };
}
