/** One proposer's processes, one after the other: each ends at another moment of its work, and the next begins where nothing is known to be decided. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../../shared/runtime/broker.ts';
import { FAILPOINTS, type Failpoint, lot } from './plan.ts';

const PROPOSER = fileURLToPath(new URL('./proposer/main.ts', import.meta.url));
/** Times that a failpoint is passed before it bites. A round passes each some one to ten times. */
const PASSES_MIN = 20;
const PASSES_MAX = 250;
const FREEZES = 0.2;
/** A frozen one is thawed when its replacement is at work and its own deadlines have passed, and has a while to do harm. */
const FROZEN_MS = 900;
const THAWED_MS = 300;
const INCARNATIONS_MAX = 2_000;

export interface Run {
  readonly killed: number;
  readonly frozen: number;
  readonly diedAt: ReadonlyMap<Failpoint, number>;
  /** Round and decision, each time that a proposer was told. */
  readonly told: readonly (readonly [roundId: string, decision: string])[];
}

type Common = Readonly<Record<'NATS_URL' | 'MESH' | 'SEED' | 'ROUNDS', string>>;

/** Resolves when one of them has come to the end of its rounds. */
export async function holdBy(slot: string, common: Common): Promise<Run> {
  const told: [string, string][] = [];
  const diedAt = new Map<Failpoint, number>();
  const zombies: Promise<Ending>[] = [];
  let killed = 0;
  let frozen = 0;
  let from = 1;
  for (let number = 1; number <= INCARNATIONS_MAX; number += 1) {
    const of = (what: string): number => lot(common.SEED, slot, number, what);
    const failpoint = FAILPOINTS[Math.floor(of('failpoint') * FAILPOINTS.length)] ?? FAILPOINTS[0];
    const HOW = of('how') < FREEZES ? 'SIGSTOP' : 'SIGKILL';
    const COUNT = String(PASSES_MIN + Math.floor(of('count') * (PASSES_MAX - PASSES_MIN)));
    const env = { SLOT: slot, NAME: `${slot}-${number}`, FROM: String(from), FAILPOINT: failpoint, COUNT, HOW };
    const child = spawn(process.execPath, [PROPOSER], {
      env: { ...process.env, ...common, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended: Promise<Ending> = once(child, 'close').then(([code, signal]) => ({ code, signal }));
    const isFrozen = new Promise<'frozen'>((resolve) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        const [word, first = '', ...rest] = line.split(' ');
        if (word === 'frozen') resolve('frozen');
        else if (word === 'told') told.push([first, rest.join(' ')]);
        else if (word === 'at') from = Math.max(from, Number(first));
      });
    });
    const how = await Promise.race([ended, isFrozen]);
    if (how !== 'frozen' && how.code === 0) {
      await Promise.all(zombies);
      return { killed, frozen, diedAt, told };
    }
    if (how !== 'frozen' && how.signal !== 'SIGKILL')
      throw new Error(`${env.NAME} ended with ${String(how.code ?? how.signal)}; it had to be killed, or to finish`);
    killed += 1;
    diedAt.set(failpoint, (diedAt.get(failpoint) ?? 0) + 1);
    if (how !== 'frozen') continue;
    frozen += 1;
    zombies.push(thawed(child).then(() => ended));
  }
  throw new Error(
    `${slot}: ${INCARNATIONS_MAX} processes did not come to the end; the first undecided round is ${from}`,
  );
}

/** Resolves when it was thawed, went on for a while beside its replacement, and was killed. */
function thawed(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    systemClock.after(FROZEN_MS, () => {
      child.kill('SIGCONT');
      systemClock.after(THAWED_MS, () => {
        child.kill('SIGKILL');
        resolve();
      });
    });
  });
}

interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}
