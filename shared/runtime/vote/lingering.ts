/**
 * What may happen a little early happens together: one timer for all of a clock. A proposer of many rounds tells of all that were decided meanwhile in one
 * write, and wakes their voters once.
 */
import type { Clock } from '../../ports.ts';

interface Lingering {
  readonly dueAt: number;
  readonly run: () => void;
}

type Linger = (lingering: Lingering) => () => void;

const perClock = new WeakMap<Clock, Linger>();

/** Half of what a proposer waits. */
const EARLY_MS = 50;

/** Calls `run` at `dueAt`, milliseconds since the epoch, or up to 50 ms before. The returned function cancels it. */
export function lingerOn(clock: Clock, dueAt: number, run: () => void): () => void {
  const known = perClock.get(clock);
  if (known !== undefined) return known({ dueAt, run });
  const made = make(clock);
  perClock.set(clock, made);
  return made({ dueAt, run });
}

function make(clock: Clock): Linger {
  /** In order of arrival, which is nearly that of time. */
  const waiting = new Set<Lingering>();
  let cancel: (() => void) | undefined;

  function wait(): void {
    const [first] = waiting;
    cancel = first === undefined ? undefined : clock.after(Math.max(0, first.dueAt - clock.now()), sweep);
  }

  function sweep(): void {
    const now = clock.now();
    for (const lingering of waiting) {
      if (lingering.dueAt - EARLY_MS > now) continue;
      waiting.delete(lingering);
      lingering.run();
    }
    wait();
  }

  return (lingering) => {
    waiting.add(lingering);
    if (cancel === undefined) wait();
    return () => {
      if (!waiting.delete(lingering) || waiting.size > 0) return;
      cancel?.();
      cancel = undefined;
    };
  };
}
