/**
 * Are these writes quicker one by one, or as one atomic batch? A batch costs the server a small file store of its own, whatever its size; a plain write
 * costs next to nothing, unless the disk is flushed for each (`sync_interval: always`). Measured at 128 goals in flight on one server: without flushes
 * 3,400 tasks/s plain and 2,000 in batches, with them 660 and 1,700. The broker does not say which it is, so an agent measures it when it
 * connects: the quickest answer to a write, less the quickest way to the broker and back, is the flush.
 */
export type Way = 'plain' | 'batch';

export interface Pace {
  /** The quicker way for so many writes. */
  way(writes: number): Way;
  /** Plain writes worth having in flight. */
  window(): number;
  plainSent(): void;
  /** One plain write was answered; undefined: it got no answer, and says nothing about the broker's pace. */
  plainAnswered(nowMs: number | undefined): void;
  batched(durationMs: number): void;
  /** What a write takes longer than the bare way to the broker and back; before it is known there is no flush. */
  flushTakes(ms: number): void;
}

const SPACING_MS_GUESS = 0.5;
const BATCH_MS_GUESS = 4;
const WEIGHT = 0.25;
/** Answers arrive in bursts; only the mean of many says something. */
const SAMPLE = 32;
/** Fewer writes in flight than this show the way to the broker and back, not its pace. */
const PIPELINED = 4;
/** A write that takes so much longer than the bare way waits for a disk (measured: 0.05 to 0.24 ms without, 0.43 to 0.7 ms with a flush). */
const FLUSH_MS = 0.3;
/** More than this at once only lengthens the broker's queue. */
const WINDOW = 128;
/** What is in flight by itself keeps the disk from what waits for a batch. */
const FLUSHED_WINDOW = 6;

export function paceOf(): Pace {
  let flushMs = 0;
  let spacingMs = SPACING_MS_GUESS;
  let batchMs = BATCH_MS_GUESS;
  let inFlight = 0;
  let lastAnswer: number | undefined;
  let sampledMs = 0;
  let sampled = 0;

  const flushes = (): boolean => flushMs >= FLUSH_MS;

  return {
    way: (writes) => (flushes() && writes * Math.max(spacingMs, flushMs) > batchMs ? 'batch' : 'plain'),
    window: () => (flushes() ? FLUSHED_WINDOW : WINDOW),
    plainSent() {
      inFlight += 1;
    },
    plainAnswered(nowMs) {
      inFlight -= 1;
      if (nowMs !== undefined && lastAnswer !== undefined) {
        sampledMs += nowMs - lastAnswer;
        sampled += 1;
      }
      lastAnswer = inFlight >= PIPELINED ? nowMs : undefined;
      if (sampled < SAMPLE) return;
      spacingMs += WEIGHT * (sampledMs / sampled - spacingMs);
      sampledMs = 0;
      sampled = 0;
    },
    batched(durationMs) {
      batchMs += WEIGHT * (durationMs - batchMs);
    },
    flushTakes(ms) {
      flushMs = ms;
    },
  };
}
