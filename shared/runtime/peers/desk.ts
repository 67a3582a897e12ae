/** What an agent says to its peers on behalf of its tasks: announcements, and questions behind a breaker for each peer. */
import { createPolicy, type PolicyObserver, type Resilience } from '../../adapters/resilience.ts';
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

/** Peers whose breakers are remembered; the one that was not asked for the longest time is forgotten. */
const PEERS_KNOWN_MAX = 64;
/** Longer than any answer is waited for. */
const TIMEOUT_MS = 30_000;
const AT_ONCE = 16;

export function deskOf(parts: {
  readonly deps: Deps;
  readonly calls: Calls;
  readonly ledgers: Ledgers;
  readonly policies: (agentId: string) => Resilience;
}): Desk {
  const { deps, calls, ledgers, policies } = parts;
  const repeated = repeats();
  return {
    hold: (call) => holdAuction({ deps, calls, ledgers }, call),
    ask: (asking) => askPeer({ deps, calls, ledgers, policyFor: policies, repeated }, asking),
  };
}

/** One policy for each peer: its breaker opens when two questions in a row were not even received. */
export function peerPolicies(observer: PolicyObserver): (agentId: string) => Resilience {
  const known = new Map<string, Resilience>();
  return (agentId) => {
    const policy =
      known.get(agentId) ??
      createPolicy(
        {
          name: `peer ${agentId}`,
          timeoutMs: TIMEOUT_MS,
          retry: { maxAttempts: 2, baseMs: 50, capMs: 500, retryAfterMaxMs: 0 },
          breaker: { kind: 'consecutive', failures: 2, halfOpenAfterMs: 10_000 },
          bulkhead: { limit: AT_ONCE, queue: AT_ONCE },
        },
        observer,
      );
    known.delete(agentId);
    known.set(agentId, policy);
    const [oldest] = known.keys();
    if (known.size > PEERS_KNOWN_MAX && oldest !== undefined) known.delete(oldest);
    return policy;
  };
}
