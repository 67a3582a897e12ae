/** What an agent does with a message from another one. */
import type { AgentMessage } from '../../protocol/message.ts';
import { HANDOVER } from '../../protocol/peer.ts';
import type { Manifest } from '../manifest.ts';
import { takeOver, type TakingOver } from './handover.ts';

/** The value is the reply, where one is asked for. What the runtime has no use for is the handler's. */
export function listener(manifest: Manifest, takingOver: TakingOver, agentId: string) {
  return async (message: AgentMessage): Promise<unknown> => {
    if (message.messageType === HANDOVER) return takeOver(takingOver, message.content);
    return manifest.onMessage === undefined ? { status: 'received', by: agentId } : manifest.onMessage(message);
  };
}
