/** The breakers of the peers that an agent asks; only an agent that may ask somebody loads them. */
import { createPolicy, type PolicyObserver, type Resilience } from '../../adapters/resilience.ts';

/** Peers whose breakers are remembered; the one that was not asked for the longest time is forgotten. */
const PEERS_KNOWN_MAX = 64;
/** Longer than any answer is waited for. */
const TIMEOUT_MS = 30_000;
const AT_ONCE = 16;

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
