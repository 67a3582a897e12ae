/**
 * Are these writes quicker one by one, or as one atomic batch? A batch costs the server a small file store of its own, whatever its size; a plain write
 * costs next to nothing without fsync, and a flush of the disk with it. So the answer depends on the broker's settings, its disk and its load, and is
 * measured while running: the spacing of answers to pipelined writes, and the duration of batches.
 */
export type Way = 'plain' | 'batch';

export interface Pace {
  /** The quicker way for so many writes. */
  way(writes: number): Way;
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
/** What is not used is not measured; its figure fades by this share each time, until the other way is tried again. */
const FADE = 0.005;
/** Fewer writes in flight than this show the way to the broker and back, not its pace. */
const PIPELINED = 4;

export function paceOf(): Pace {
  let spacingMs = SPACING_MS_GUESS;
  let batchMs = BATCH_MS_GUESS;
  let inFlight = 0;
  let lastAnswer: number | undefined;
  let sampledMs = 0;
  let sampled = 0;
  return {
    way(writes) {
      if (writes * spacingMs <= batchMs) {
        if (writes > PIPELINED) batchMs *= 1 - FADE;
        return 'plain';
      }
      spacingMs *= 1 - FADE;
      return 'batch';
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
      if (sampled === SAMPLE) {
        spacingMs += WEIGHT * (sampledMs / sampled - spacingMs);
        sampledMs = 0;
        sampled = 0;
      }
      lastAnswer = inFlight >= PIPELINED ? nowMs : undefined;
    },
    batched(durationMs) {
      batchMs += WEIGHT * (durationMs - batchMs);
    },
  };
}
