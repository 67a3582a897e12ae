import type { PolicyTime } from '../../../shared/adapters/resilience.ts';

export interface ManualTime extends PolicyTime {
  /** Delays that somebody waits for now, milliseconds. */
  waits(): number[];
  /** Ends the oldest wait. */
  elapse(): void;
}

/** A clock whose waits end when the test says so; `random` always draws 0.5. */
export function manualTime(): ManualTime {
  const waiting: { delayMs: number; run: () => void }[] = [];
  return {
    after(delayMs, run) {
      const entry = { delayMs, run };
      waiting.push(entry);
      return () => {
        const at = waiting.indexOf(entry);
        if (at >= 0) waiting.splice(at, 1);
      };
    },
    random: () => 0.5,
    waits: () => waiting.map((entry) => entry.delayMs),
    elapse() {
      waiting.shift()?.run();
    },
  };
}

/** A clock on which every wait is over at once; `delays` records them. */
export function instantTime(): PolicyTime & { readonly delays: number[] } {
  const delays: number[] = [];
  return {
    delays,
    after(delayMs, run) {
      delays.push(delayMs);
      let cancelled = false;
      queueMicrotask(() => {
        if (!cancelled) run();
      });
      return () => {
        cancelled = true;
      };
    },
    random: () => 0.5,
  };
}
