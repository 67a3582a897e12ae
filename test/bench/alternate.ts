/** Measures two sides alternately, so that whatever else the machine does falls on both. */
import { cpuUs } from './machine.ts';

export interface Lane {
  /** One round: its samples, in the unit of the row. */
  round(): Promise<readonly number[]>;
  /** Tasks, or vote rounds, that one round takes. */
  readonly tasks: number;
  readonly serverPid: number;
  readonly workerPids: readonly number[];
  /** Resolves when nothing of the round goes on in the background. */
  settled(): Promise<void>;
}

export interface Cpu {
  /** Processor time per task, microseconds; undefined where the system does not tell. */
  readonly serverUs: number | undefined;
  readonly workersUs: number | undefined;
}

export interface Measured {
  readonly rounds: readonly (readonly number[])[];
  readonly cpu: Cpu;
}

export interface Limits {
  readonly rounds: number;
  /** No further round is begun after this time, but for the first. */
  readonly budgetMs: number;
}

const ROUND_MS_MAX = 180_000;

/** One round of each side is thrown away first: code gets compiled and consumers get created in it. */
export async function alternate(
  name: string,
  sides: { readonly conclave: Lane; readonly raw: Lane },
  limits: Limits,
): Promise<{ readonly conclave: Measured; readonly raw: Measured }> {
  const conclave = meterOf(`${name}, Conclave`, sides.conclave);
  const raw = meterOf(`${name}, raw`, sides.raw);
  for (const meter of [conclave, raw]) await meter.play();
  for (const meter of [conclave, raw]) meter.forget();
  const startedAt = performance.now();
  for (let round = 0; round < limits.rounds; round += 1) {
    // Neither side always comes behind the other.
    for (const meter of round % 2 === 0 ? [conclave, raw] : [raw, conclave]) await meter.play();
    if (performance.now() - startedAt > limits.budgetMs) break;
  }
  return { conclave: conclave.measured(), raw: raw.measured() };
}

/** Milliseconds of one call. */
type Call = () => Promise<number>;

/**
 * The same call by call: each side finds the machine as the other left it. In rounds of its own, what takes a fraction of a millisecond finds every process
 * it needs awake and its code in the caches, which nothing does that has to wait for its turn. Processor time cannot be told apart.
 */
export async function turnAbout(
  name: string,
  sides: { readonly conclave: Call; readonly raw: Call },
  calls: number,
  limits: Limits,
): Promise<{ readonly conclave: Measured; readonly raw: Measured }> {
  const rounds = { conclave: [] as number[][], raw: [] as number[][] };
  const play = async (order: readonly (keyof typeof sides)[]) => {
    const samples = { conclave: [] as number[], raw: [] as number[] };
    for (let call = 0; call < calls; call += 1) for (const side of order) samples[side].push(await sides[side]());
    return samples;
  };
  await within(ROUND_MS_MAX, name, play(['conclave', 'raw']));
  const startedAt = performance.now();
  for (let round = 0; round < limits.rounds; round += 1) {
    const samples = await within(ROUND_MS_MAX, name, play(round % 2 === 0 ? ['conclave', 'raw'] : ['raw', 'conclave']));
    rounds.conclave.push(samples.conclave);
    rounds.raw.push(samples.raw);
    if (performance.now() - startedAt > limits.budgetMs) break;
  }
  const cpu: Cpu = { serverUs: undefined, workersUs: undefined };
  return { conclave: { rounds: rounds.conclave, cpu }, raw: { rounds: rounds.raw, cpu } };
}

function meterOf(name: string, lane: Lane) {
  const rounds: (readonly number[])[] = [];
  let serverUs: number | undefined = 0;
  let workersUs: number | undefined = 0;
  return {
    async play(): Promise<void> {
      const [server, workers] = [cpuUs([lane.serverPid]), cpuUs(lane.workerPids)];
      rounds.push(await within(ROUND_MS_MAX, name, lane.round()));
      await lane.settled();
      serverUs = sum(serverUs, difference(cpuUs([lane.serverPid]), server));
      workersUs = sum(workersUs, difference(cpuUs(lane.workerPids), workers));
    },
    forget(): void {
      rounds.length = 0;
      serverUs = 0;
      workersUs = 0;
    },
    measured(): Measured {
      const tasks = lane.tasks * rounds.length;
      const per = (us: number | undefined) => (us === undefined ? undefined : us / tasks);
      return { rounds: [...rounds], cpu: { serverUs: per(serverUs), workersUs: per(workersUs) } };
    },
  };
}

function sum(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a + b;
}

function difference(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a - b;
}

/** @throws Error when the time is up: a goal that never ends must fail the run, not hang it. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  const signal = AbortSignal.timeout(ms);
  const expired = new Promise<never>((_resolve, reject) => {
    const giveUp = () =>
      reject(
        new Error(`${what}: expected it to end within ${ms} ms, it did not; run it again with --only to see where`),
      );
    signal.addEventListener('abort', giveUp, { once: true });
  });
  return Promise.race([work, expired]);
}
