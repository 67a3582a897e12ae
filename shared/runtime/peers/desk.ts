/** What an agent says to its peers on behalf of its tasks: announcements, and questions behind a breaker for each peer. */
import type { Resilience } from '../../adapters/resilience.ts';
import type { Award } from '../../protocol/peer.ts';
import type { PeerSaid } from '../context.ts';
import type { Deps } from '../engine/deps.ts';
import type { Ledgers } from '../engine/ledgers.ts';
import { type AuctionCall, holdAuction } from './auction.ts';
import type { Calls } from './calls.ts';
import { askPeer, type Asking } from './questions.ts';
import { repeats } from './repeats.ts';

export interface Desk {
  /** Throws HandlerError, see auction.ts. */
  hold(call: AuctionCall): Promise<Award>;
  /** Throws HandlerError `budget_exceeded`, `repeated_content`. */
  ask(asking: Asking): Promise<PeerSaid>;
}

export function deskOf(parts: {
  readonly deps: Deps;
  readonly calls: Calls;
  readonly ledgers: Ledgers;
  /** Undefined for an agent that may ask nobody. */
  readonly policies: ((agentId: string) => Resilience) | undefined;
}): Desk {
  const { deps, calls, ledgers, policies } = parts;
  const repeated = repeats();
  return {
    hold: (call) => holdAuction({ deps, calls, ledgers }, call),
    ask: (asking) =>
      policies === undefined
        ? Promise.resolve({ ok: false, reason: 'this agent may ask nobody' })
        : askPeer({ deps, calls, ledgers, policyFor: policies, repeated }, asking),
  };
}
