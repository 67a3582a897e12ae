/**
 * Counts how often the same was said: sender, receiver, type and content, by goal. Within a window of time and bounded in memory (I10): the goal, and in
 * it the saying, that was heard least recently is forgotten first. A restart forgets everything, which a loop cannot live on: each of its agents counts
 * for itself, what it sends and what it gets, a chain keeps its hops, and what is said for a goal is charged to the goal's ledger, which lasts.
 */
import { createHash } from 'node:crypto';
import { encode } from '../../protocol/codec.ts';
import type { ErrorInfo } from '../../protocol/goal.ts';
import { type AgentMessage, REPEATS_MAX, REPEATS_WINDOW_MS } from '../../protocol/message.ts';

const GOALS_MAX = 500;
const SAYINGS_MAX = 200;

interface Saying {
  readonly times: number;
  readonly since: number;
}

export type Said = Pick<AgentMessage, 'sender' | 'receiver' | 'messageType' | 'goalId'> & { readonly content: unknown };

/** `now`: ms since the epoch. Returns why the message must not go on; undefined counts it as said once more. What belongs to no goal may
 * be said as often as anybody likes: it is nobody's budget, and nobody works on it. */
export type Repeats = (message: Said, now: number) => ErrorInfo | undefined;

export function repeats(): Repeats {
  const goals = new Map<string, Map<string, Saying>>();

  return (message, now) => {
    const { sender, receiver, messageType, content, goalId } = message;
    if (goalId === undefined) return undefined;
    const sayings = lately(goals, goalId, GOALS_MAX, () => new Map<string, Saying>());
    const hash = createHash('sha256')
      .update(encode([sender, receiver, messageType, content]))
      .digest('base64url');
    const fresh = { times: 0, since: now };
    const known = lately(sayings, hash, SAYINGS_MAX, () => fresh);
    const standing = now - known.since > REPEATS_WINDOW_MS ? fresh : known;
    if (standing.times >= REPEATS_MAX)
      return {
        code: 'repeated_content',
        message: `${sender} has said the same to ${receiver} ("${messageType}") ${standing.times} times since ${new Date(standing.since).toISOString()}: the exchange goes in circles (${sender} -> ${receiver} -> ${sender})`,
      };
    sayings.set(hash, { ...standing, times: standing.times + 1 });
    return undefined;
  };
}

/** The entry of `key`, made the most recent one. */
function lately<V>(map: Map<string, V>, key: string, max: number, fresh: () => V): V {
  const value = map.get(key) ?? fresh();
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > max && oldest !== undefined) map.delete(oldest);
  return value;
}
