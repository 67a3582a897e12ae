/**
 * Memory that an idle agent does not need, given back: what starting took (20 MB), what work left behind, and what being present adds up to (half a
 * megabyte a minute). The collector alone leaves it until it is needed.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** By then the agent has done for the first time everything that it does all the time. */
const START_UP_MS = 3_000;
const LOOK_MS = 60_000;
/** Share of the last minute that the agent was not waiting; being present takes one or two per cent. */
const BUSY_MIN = 0.05;
const GROWN_BYTES = 3 * 2 ** 20;

/** What is looked at, and done: a test has its own. */
export interface Heap {
  readonly bytes: () => number;
  /** Share of the time since it was asked last, 0 to 1. */
  readonly utilization: () => number;
  readonly collect: () => void;
}

/**
 * Collects soon after the start, and again after each minute without work in which there is something to give back: a full collection takes some
 * 20 ms, which no task should have to wait for. `isIdle`: nothing is being worked on.
 */
export function collectWhenIdle(isIdle: () => boolean, heap: Heap = ownHeap()): void {
  const startUp = setInterval(() => {
    if (!isIdle()) return;
    clearInterval(startUp);
    heap.collect();
    let keptBytes = heap.bytes();
    heap.utilization();
    setInterval(() => {
      const wasBusy = heap.utilization() >= BUSY_MIN;
      if (wasBusy || !isIdle() || heap.bytes() - keptBytes < GROWN_BYTES) return;
      heap.collect();
      keptBytes = heap.bytes();
    }, LOOK_MS).unref();
  }, START_UP_MS);
  startUp.unref();
}

function ownHeap(): Heap {
  let looked = performance.eventLoopUtilization();
  return {
    bytes: () => getHeapStatistics().total_heap_size,
    utilization() {
      const since = looked;
      looked = performance.eventLoopUtilization();
      return performance.eventLoopUtilization(looked, since).utilization;
    },
    collect() {
      // The documented way to a collection in a process that was not started with --expose-gc.
      setFlagsFromString('--expose-gc');
      runInNewContext("gc({ type: 'major', flavor: 'last-resort' })");
      setFlagsFromString('--no-expose-gc');
    },
  };
}
