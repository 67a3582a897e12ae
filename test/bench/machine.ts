/** What the machine is, how busy it is, and what a process has used of it. Linux tells per process; elsewhere those figures are absent. */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';

/** `USER_HZ`: what /proc counts processor time in, whatever the kernel's own tick is. */
const TICK_US = 10_000;

export interface Machine {
  readonly cores: number;
  readonly model: string;
  readonly node: string;
}

export function machine(): Machine {
  return { cores: availableParallelism(), model: cpus()[0]?.model.trim() ?? 'unknown', node: process.versions.node };
}

/** Runnable processes, averaged over the last minute. */
export function loadNow(): number {
  return loadavg()[0] ?? 0;
}

/** Processor time that these processes have used, all together, in microseconds, to 10 ms; undefined where it cannot be read. */
export function cpuUs(pids: readonly number[]): number | undefined {
  let ticks = 0;
  for (const pid of pids) {
    const file = `/proc/${pid}/stat`;
    if (!existsSync(file)) return undefined;
    // Fields count from behind the command's name, which may hold anything, also parentheses: utime and stime are fields 14 and 15.
    const fields = /.*\) (.*)/s.exec(readFileSync(file, 'utf8'))?.[1]?.split(' ') ?? [];
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * TICK_US;
}

export interface Memory {
  readonly rssMb: number;
  /** Without the files that are mapped, such as the Node binary itself. */
  readonly anonymousMb: number;
}

export function memoryOf(pid: number): Memory | undefined {
  const file = `/proc/${pid}/status`;
  if (!existsSync(file)) return undefined;
  const text = readFileSync(file, 'utf8');
  const mb = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / 1_024;
  return { rssMb: mb('VmRSS'), anonymousMb: mb('RssAnon') };
}
