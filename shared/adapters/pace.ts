/**
 * Under load, are writes quicker one by one or as atomic batches? A batch costs the server a small file store of its own whatever its size; a plain
 * write costs next to nothing without fsync, and a flush of the disk with it. So the answer depends on the broker's settings, its disk and its load, and
 * is measured while running: the quicker way is used, the other one is tried again now and then.
 */
export type Way = 'plain' | 'batch';

export interface Pace {
  /** How to send what waits. Called whenever something waits. */
  way(nowMs: number): Way;
  /** So many writes were answered. */
  answered(writes: number, nowMs: number): void;
  /** Nothing waits any more: until something does, time says nothing about a loaded broker. */
  idle(nowMs: number): void;
}

const PERIOD_MS = 200;
const PERIOD_WRITES = 64;
const WEIGHT = 0.3;
/** One period in so many tries the slower way. */
const TRY_EVERY = 24;

export function paceOf(): Pace {
  const rate: Record<Way, number | undefined> = { plain: undefined, batch: undefined };
  let current: Way = 'plain';
  /** Loaded time before `since`, ms. */
  let loaded = 0;
  let since: number | undefined;
  let writes = 0;
  let periods = 0;

  function next(): Way {
    periods += 1;
    const { plain, batch } = rate;
    if (plain === undefined) return 'plain';
    if (batch === undefined) return 'batch';
    const better = plain >= batch ? 'plain' : 'batch';
    return periods % TRY_EVERY === 0 ? (better === 'plain' ? 'batch' : 'plain') : better;
  }

  return {
    way(nowMs) {
      since ??= nowMs;
      return current;
    },
    answered(count, nowMs) {
      if (since === undefined) return;
      writes += count;
      const spent = loaded + nowMs - since;
      if (spent < PERIOD_MS || writes < PERIOD_WRITES) return;
      const seen = writes / spent;
      const known = rate[current];
      rate[current] = known === undefined ? seen : known + WEIGHT * (seen - known);
      current = next();
      since = nowMs;
      loaded = 0;
      writes = 0;
    },
    idle(nowMs) {
      if (since !== undefined) loaded += nowMs - since;
      since = undefined;
    },
  };
}
