/**
 * Which agent looks at the mesh for all, as a pure function `(standing, event, now) -> standing, what to send`. Whoever looks sends a beacon; when none is
 * heard for a while, somebody steps in. No record, no lease, no quorum: two at once do no harm (they see the same), none is noticed within seconds.
 *
 *   follower --nothing heard--> candidate --own beacon heard--> monitor
 *       ^____________beacon of a smaller id, or own beacon not heard___/
 *
 * A candidate looks only when its own beacon has come back: an agent that is cut off, or that the broker does not let send, never does.
 */
export type Standing =
  | { readonly role: 'follower'; readonly stepsInAt: number }
  | { readonly role: 'candidate'; readonly givesUpAt: number }
  | { readonly role: 'monitor'; readonly beaconAt: number; readonly heardAt: number };

export type ElectionEvent =
  /** Time passes; several times a beacon. */
  | { readonly type: 'tick' }
  /** Instead of a tick when time has jumped: what was said meanwhile is still to be read. */
  | { readonly type: 'woke' }
  | { readonly type: 'heard'; readonly from: string }
  /** The monitor stops in good order. */
  | { readonly type: 'left'; readonly from: string };

export interface ElectionStep {
  readonly standing: Standing;
  readonly send: boolean;
}

export const BEACON_MS = 2_000;
/** Two beacons may be lost. */
export const SILENCE_MS = 5_000;
/** Followers step in one after the other, not all at once. */
export const SPREAD_MS = 1_500;

/** `draw`: uniform in [0, 1), so that not all step in at once. A new agent listens for longer than a beacon takes. */
export function startsAs(now: number, draw: number): Standing {
  return { role: 'follower', stepsInAt: now + BEACON_MS + 500 + draw * SPREAD_MS };
}

function follow(now: number, waitMs: number, draw: number): ElectionStep {
  return { standing: { role: 'follower', stepsInAt: now + waitMs + draw * SPREAD_MS }, send: false };
}

/** `me` is the agent's own id; `draw` as for `startsAs`. Total: every event has an answer in every role. */
export function nextStanding(
  me: string,
  standing: Standing,
  event: ElectionEvent,
  now: number,
  draw: number,
): ElectionStep {
  const same: ElectionStep = { standing, send: false };
  if (event.type === 'tick') return tick(standing, now, draw);
  if (event.type === 'woke')
    return standing.role === 'follower' ? { standing: startsAs(now, draw), send: false } : same;
  if (event.from === me) {
    if (event.type === 'left' || standing.role === 'follower') return same;
    const beaconAt = standing.role === 'monitor' ? standing.beaconAt : now + BEACON_MS;
    return { standing: { role: 'monitor', beaconAt, heardAt: now }, send: false };
  }
  if (standing.role === 'follower') return follow(now, event.type === 'left' ? 0 : SILENCE_MS, draw);
  // Two that look, or are about to: the smaller id stays. It need not hear of the other.
  return event.type === 'heard' && event.from < me ? follow(now, SILENCE_MS, draw) : same;
}

function tick(standing: Standing, now: number, draw: number): ElectionStep {
  switch (standing.role) {
    case 'follower':
      if (now < standing.stepsInAt) return { standing, send: false };
      return { standing: { role: 'candidate', givesUpAt: now + SILENCE_MS }, send: true };
    case 'candidate':
      return now < standing.givesUpAt ? { standing, send: false } : follow(now, SILENCE_MS, draw);
    case 'monitor':
      if (now - standing.heardAt >= SILENCE_MS) return follow(now, SILENCE_MS, draw);
      if (now < standing.beaconAt) return { standing, send: false };
      return { standing: { ...standing, beaconAt: now + BEACON_MS }, send: true };
  }
}
