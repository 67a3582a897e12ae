/** What one agent costs before it has anything to do: its start, and its memory when idle. */
import { startBroker } from '../support/broker.ts';
import { waitUntil } from '../support/wait.ts';
import { endChild } from './children.ts';
import { type Memory, memoryOf } from './machine.ts';
import { startWorker } from './mesh.ts';
import { median } from './scenarios.ts';

export interface AgentCost {
  /** From spawn to `agent.ready`, each start. */
  readonly startsMs: readonly number[];
  readonly readyMs: number;
  /** Undefined where the system does not tell. */
  readonly idle: Memory | undefined;
  readonly idleAfterMs: number;
}

const STARTS = 5;
const IDLE_MS = 10_000;
const SAMPLE_MS = 1_000;
const STABLE_SAMPLES = 3;
const STABLE_MB = 1;
const SLOTS = 8;

export async function measureAgent(): Promise<AgentCost> {
  const broker = await startBroker();
  try {
    const startsMs: number[] = [];
    // The one before the first creates the streams, and fills the system's file cache.
    await endChild(await startWorker(broker.url, 'warm', SLOTS));
    for (let start = 1; start < STARTS; start += 1) {
      const worker = await startWorker(broker.url, `s${start}`, SLOTS);
      startsMs.push(worker.readyMs);
      await endChild(worker);
    }
    const last = await startWorker(broker.url, `s${STARTS}`, SLOTS);
    startsMs.push(last.readyMs);
    const { idle, idleAfterMs } = await idleMemory(last.pid);
    await endChild(last);
    return { startsMs, readyMs: median(startsMs), idle, idleAfterMs };
  } finally {
    await broker.stop();
  }
}

/** Memory once it has not moved by more than 1 MB over three samples a second apart, and not before ten seconds. */
async function idleMemory(pid: number): Promise<{ readonly idle: Memory | undefined; readonly idleAfterMs: number }> {
  const startedAt = performance.now();
  const samples: Memory[] = [];
  let sampledAt = Number.NEGATIVE_INFINITY;
  if (memoryOf(pid) === undefined) return { idle: undefined, idleAfterMs: 0 };
  const idle = await waitUntil(
    'the memory of an idle agent is stable',
    () => {
      const now = performance.now();
      if (now - sampledAt < SAMPLE_MS) return false;
      sampledAt = now;
      const memory = memoryOf(pid);
      if (memory === undefined) throw new Error(`the idle agent, process ${pid}, has ended`);
      samples.push(memory);
      if (now - startedAt < IDLE_MS) return false;
      const last = samples.slice(-STABLE_SAMPLES).map(({ rssMb }) => rssMb);
      return Math.max(...last) - Math.min(...last) <= STABLE_MB && memory;
    },
    60_000,
  );
  return { idle, idleAfterMs: performance.now() - startedAt };
}
