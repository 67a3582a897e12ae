/**
 * Are these writes quicker one by one, or as one atomic batch? A batch costs the server a small file store of its own, whatever its size; a plain write
 * costs next to nothing without fsync, and a flush of the disk with it. So the answer depends on the broker's settings, its disk and its load, and is
 * measured while running: the spacing of answers to pipelined writes, and the duration of batches. What was not measured lately is tried again.
 */
export type Way = 'plain' | 'batch';

export interface Pace {
  /** The quicker way for so many writes. */
  way(writes: number, nowMs: number): Way;
  plainSent(writes: number): void;
  /** One plain write was answered. */
  plainAnswered(nowMs: number): void;
  batched(durationMs: number): void;
}

const SPACING_MS_GUESS = 0.08;
const BATCH_MS_GUESS = 4;
const WEIGHT = 0.25;
/** Answers arrive in bursts; only the mean of many says something. */
const SAMPLE = 32;
/** Fewer writes in flight than this show the way to the broker and back, not its pace. */
const PIPELINED = 4;
/**
 * Answers further apart than this show a disk that is flushed for each write. Without flushes a batch never pays (measured at 128 goals in flight:
 * 3,400 tasks/s plain, 2,000 in batches); with them it does (660 plain, 1,700 in batches).
 */
const FLUSH_MS = 0.3;
/** The slower way is tried again after this, ms. */
const TRY_MS = 10_000;

export function paceOf(): Pace {
  let spacingMs = SPACING_MS_GUESS;
  let batchMs = BATCH_MS_GUESS;
  let batches = 0;
  let samples = 0;
  let inFlight = 0;
  let lastAnswer: number | undefined;
  let sampledMs = 0;
  let sampled = 0;
  let lastTry = 0;

  function blend(known: number, seen: number, first: boolean): number {
    return first ? seen : known + WEIGHT * (seen - known);
  }

  return {
    way(writes, nowMs) {
      const quicker = spacingMs >= FLUSH_MS && writes * spacingMs > batchMs ? 'batch' : 'plain';
      if (writes <= PIPELINED || nowMs - lastTry < TRY_MS) return quicker;
      lastTry = nowMs;
      return quicker === 'plain' ? 'batch' : 'plain';
    },
    plainSent(writes) {
      inFlight += writes;
    },
    plainAnswered(nowMs) {
      inFlight -= 1;
      if (lastAnswer !== undefined) {
        sampledMs += nowMs - lastAnswer;
        sampled += 1;
      }
      lastAnswer = inFlight >= PIPELINED ? nowMs : undefined;
      if (sampled < SAMPLE) return;
      spacingMs = blend(spacingMs, sampledMs / sampled, samples === 0);
      samples += 1;
      sampledMs = 0;
      sampled = 0;
    },
    batched(durationMs) {
      batchMs = blend(batchMs, durationMs, batches === 0);
      batches += 1;
    },
  };
}
