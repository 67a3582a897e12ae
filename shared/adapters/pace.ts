/**
 * When is one atomic batch cheaper than the same writes one by one? A batch costs the server a file store of its own (2-4 ms whatever its size), a
 * plain write costs next to nothing without fsync and a flush of the disk with it, so the answer depends on the broker's settings and load, and is
 * measured while running: moving averages of both.
 */
export interface Pace {
  /** Plain writes that may be in flight before the rest waits for a batch. */
  plainMax(): number;
  plainStarted(writes: number, nowMs: number): void;
  plainEnded(writes: number, nowMs: number): void;
  batched(durationMs: number): void;
}

const PLAIN_MIN = 12;
const PLAIN_MAX = 1_024;
const BATCH_MS_GUESS = 3;
const PLAIN_MS_GUESS = 0.1;
const WEIGHT = 0.1;
/** A sample of the plain pace: so many writes, under steady load. */
const SAMPLE_WRITES = 32;

export function paceOf(): Pace {
  let batchMs = BATCH_MS_GUESS;
  let plainMs = PLAIN_MS_GUESS;
  let inFlight = 0;
  let since = 0;
  let done = 0;
  return {
    plainMax: () => Math.round(Math.min(PLAIN_MAX, Math.max(PLAIN_MIN, batchMs / plainMs))),
    plainStarted(writes, nowMs) {
      if (inFlight === 0) {
        since = nowMs;
        done = 0;
      }
      inFlight += writes;
    },
    plainEnded(writes, nowMs) {
      inFlight -= writes;
      done += writes;
      if (done < SAMPLE_WRITES) return;
      plainMs += WEIGHT * ((nowMs - since) / done - plainMs);
      since = nowMs;
      done = 0;
    },
    batched(durationMs) {
      batchMs += WEIGHT * (durationMs - batchMs);
    },
  };
}
