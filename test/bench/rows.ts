/** The rows of the table: what is run, how much of it, and what is taken from it. */
import { jetstreamManager } from '@nats-io/jetstream';
import { waitUntil } from '../support/wait.ts';
import { alternate, type Cpu, type Lane, type Measured, turnAbout } from './alternate.ts';
import { type Mesh, MESH, type Sync } from './mesh.ts';
import type { RowName } from './options.ts';
import { type Floor, rawChain, rawFan, rawJoin } from './raw.ts';
import { chain, fan, join, median, oneAtATime, quantile, type Runner, saturated } from './scenarios.ts';
import { type Better, RATIO_TARGETS, TARGETS, type Verdict, verdict } from './targets.ts';
import type { Votes } from './votes.ts';
import { type Writes, writesDuring } from './writes.ts';

export interface Row {
  readonly sync: Sync;
  readonly id: string;
  readonly label: string;
  readonly unit: 'ms' | 'tasks/s' | 'rounds/s';
  readonly conclave: number;
  readonly raw: number;
  /** Conclave divided by raw. */
  readonly ratio: number;
  readonly rounds: number;
  readonly cpu: { readonly conclave: Cpu; readonly raw: Cpu };
  readonly target?: number;
  /** Of the ratio, where the target is one. */
  readonly ratioTarget?: number;
  readonly verdict?: Verdict;
}

export interface Bench {
  readonly sync: Sync;
  readonly quick: boolean;
  readonly mesh: Mesh;
  readonly floor: Floor;
  readonly votes: Votes;
}

const IN_FLIGHT = 128;
const FAN = 100;
const JOIN = 5_000;
const CHAIN_TASKS = chain.tasks.length;

const WARM_UP_GOALS = 4_000;
/** An agent gives back once what its start took, and its compiled code with it. */
const AFTER_START_MS = 5_000;

/** Agents run for weeks, and are measured as they run then: most of the first ten thousand tasks of a process pay for its compiler. */
export async function warmUp({ mesh, floor, quick }: Bench): Promise<void> {
  const goals = quick ? WARM_UP_GOALS / 10 : WARM_UP_GOALS;
  const startedAt = performance.now();
  await waitUntil('start-up is given back', () => performance.now() - startedAt > AFTER_START_MS);
  await saturated(mesh, chain, goals, IN_FLIGHT);
  await saturated(floor, rawChain, goals, IN_FLIGHT);
  await logSettled(mesh);
}

type Take = (rounds: Measured['rounds']) => number;
/** Medians of rounds: a round that something else disturbed does not decide the figure. */
const middle: Take = (rounds) => median(rounds.map(median));
/** Of all samples: one round alone has too few for a tail. */
const p99: Take = (rounds) => quantile(rounds.flat(), 0.99);

/** Measures one row of the command line, which may be two lines of the table. */
export async function measure(
  bench: Bench,
  name: RowName,
): Promise<{ readonly rows: Row[]; readonly writes?: Writes }> {
  const { mesh, floor, votes, quick } = bench;
  const limits = quick ? { rounds: 3, budgetMs: 1_500 } : { rounds: 9, budgetMs: 8_000 };
  const lane = (of: 'conclave' | 'raw', tasks: number, round: Lane['round']): Lane => ({
    round,
    tasks,
    serverPid: mesh.broker.pid,
    workerPids: (of === 'raw' ? floor : mesh).workers.map((worker) => worker.pid),
    settled: () => logSettled(mesh),
  });
  const row = (id: string, label: string, unit: Row['unit'], both: Both, take: Take): Row =>
    rowOf(bench.sync, id, label, unit, both, take);

  switch (name) {
    case 'chain': {
      const goals = quick ? 50 : 200;
      const both = await alternate(
        name,
        {
          conclave: lane('conclave', goals * CHAIN_TASKS, () => oneAtATime(mesh, chain, goals)),
          raw: lane('raw', goals * CHAIN_TASKS, () => oneAtATime(floor, rawChain, goals)),
        },
        limits,
      );
      return {
        rows: [
          row('chain-p50', 'chain of 3, one at a time, p50', 'ms', both, middle),
          row('chain-p99', 'chain of 3, one at a time, p99', 'ms', both, p99),
        ],
      };
    }
    case 'load': {
      const goals = quick ? 400 : 1_500;
      const rate = async (goalsPerSecond: Promise<number>) => [CHAIN_TASKS * (await goalsPerSecond)];
      const lanes = {
        conclave: lane('conclave', goals * CHAIN_TASKS, () => rate(saturated(mesh, chain, goals, IN_FLIGHT))),
        raw: lane('raw', goals * CHAIN_TASKS, () => rate(saturated(floor, rawChain, goals, IN_FLIGHT))),
      };
      const { result, writes } = await writesDuring(mesh, () => alternate(name, lanes, limits));
      return { rows: [row('load', `chain of 3, ${IN_FLIGHT} in flight`, 'tasks/s', result, middle)], writes };
    }
    case 'fan': {
      const goals = quick ? 3 : 10;
      const both = await alternate(
        name,
        {
          conclave: lane('conclave', goals * (FAN + 2), () => oneAtATime(mesh, fan(FAN), goals)),
          raw: lane('raw', goals * (FAN + 2), () => oneAtATime(floor, rawFan(FAN), goals)),
        },
        limits,
      );
      return { rows: [row('fan', `1 -> ${FAN} -> 1`, 'ms', both, middle)] };
    }
    case 'join': {
      const rate = async ([ms]: readonly number[]) => [(JOIN + 1) / ((ms ?? Number.NaN) / 1_000)];
      const both = await alternate(
        name,
        {
          conclave: lane('conclave', JOIN + 1, async () => rate(await oneAtATime(mesh, join(JOIN), 1))),
          raw: lane('raw', JOIN + 1, async () => rate(await oneAtATime(floor, rawJoin(JOIN), 1))),
        },
        limits,
      );
      return { rows: [row('join', '5,000 and a join', 'tasks/s', both, middle)] };
    }
    case 'vote': {
      const [single, many] = quick ? [50, 500] : [300, 3_000];
      const voting = (of: 'conclave' | 'raw', rounds: number, round: Lane['round']): Lane => ({
        ...lane(of, rounds, round),
        workerPids: [votes.voters.pid],
      });
      const lonely = (of: 'conclave' | 'raw', vote: Runner<object>) =>
        voting(of, single, () => oneAtATime(vote, {}, single));
      const loaded = (of: 'conclave' | 'raw', vote: Runner<object>) =>
        voting(of, many, async () => [await saturated(vote, {}, many, IN_FLIGHT)]);
      const alone = (vote: Runner<object>, beside: Runner<object>) =>
        alternate(name, { conclave: lonely('conclave', vote), raw: lonely('raw', beside) }, limits);
      const call = (vote: Runner<object>) => async () => {
        const [ms = Number.NaN] = await oneAtATime(vote, {}, 1);
        return ms;
      };
      for (const vote of [votes.awake, votes.three]) await saturated(vote, {}, many, IN_FLIGHT);
      const inTurn = { conclave: call(votes.unstored), raw: call(votes.request) };
      const unstored = await turnAbout(name, inTurn, single, limits);
      const inRow = await alone(votes.unstored, votes.request);
      const besideHand = await alone(votes.unstored, votes.requestByHand);
      const stored = await alone(votes.stored, votes.requestByHand);
      const load = await alternate(
        name,
        { conclave: loaded('conclave', votes.awake), raw: loaded('raw', votes.three) },
        limits,
      );
      return {
        rows: [
          row('vote-unstored', 'vote of 5, two sleep, nothing stored, p50', 'ms', unstored, middle),
          row('vote-in-a-row', `the same, ${single} in a row, then as many requests, p50`, 'ms', inRow, middle),
          row('vote-by-hand', 'the same, beside a request made by hand, p50', 'ms', besideHand, middle),
          row('vote-p50', 'vote of 5, two sleep, decision stored, p50', 'ms', stored, middle),
          row('vote-load', `vote of 5, ${IN_FLIGHT} in flight, decisions stored`, 'rounds/s', load, middle),
        ],
      };
    }
  }
}

interface Both {
  readonly conclave: Measured;
  readonly raw: Measured;
}

function rowOf(sync: Sync, id: string, label: string, unit: Row['unit'], both: Both, take: Take): Row {
  const better: Better = unit === 'ms' ? 'lower' : 'higher';
  const conclave = take(both.conclave.rounds);
  const raw = take(both.raw.rounds);
  const target = TARGETS[sync][id];
  const ratioTarget = RATIO_TARGETS[id];
  return {
    sync,
    id,
    label,
    unit,
    conclave,
    raw,
    ratio: conclave / raw,
    rounds: both.conclave.rounds.length,
    cpu: { conclave: both.conclave.cpu, raw: both.raw.cpu },
    ...(target === undefined ? {} : { target, verdict: verdict(conclave, target, better) }),
    ...(ratioTarget === undefined ? {} : { ratioTarget, verdict: verdict(conclave / raw, ratioTarget, 'lower') }),
  };
}

const SETTLE_MS = 100;

/** The log copies the state stream behind the work; what it still has to copy must not fall on the other side's round. */
export async function logSettled({ nc }: Pick<Mesh, 'nc'>, mesh: string = MESH): Promise<void> {
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  let last = -1;
  let since = performance.now();
  await waitUntil(
    'the log has copied every revision',
    async () => {
      if (last >= 0 && performance.now() - since < SETTLE_MS) return false;
      const { state } = await jsm.streams.info(`${mesh}_log`);
      if (state.last_seq === last) return true;
      last = state.last_seq;
      since = performance.now();
      return false;
    },
    60_000,
  );
}
