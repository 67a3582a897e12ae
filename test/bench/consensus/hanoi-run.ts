/** Towers of Hanoi by vote: each move is a round of ahead-by-k, asked of voters who know nothing but where the discs stand. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { TestBroker } from '../../support/broker.ts';
import { type Asker, type Round, startAsker, type Watch } from './asker.ts';
import type { Report } from './checker/replay.ts';
import { type Fleet, type Killed, startFleet } from './fleet.ts';
import { type Discs, GOAL, moved, moveOf, MOVES, movesOf, nextMove, startOf } from './hanoi.ts';
import { lot, type Panel, type Question, rosterOf } from './panel.ts';

const CHECKER = fileURLToPath(new URL('./checker/main.ts', import.meta.url));
const REPORT_BYTES_MAX = 64 * 1024 * 1024;
const PROCESSES = 4;
/** A third of it is how long a round waits for a voter that died before it asks all others. */
const DEADLINE_MS = 900;
/** More attempts at one move would mean that nobody answers any more. */
const ATTEMPTS_MAX = 50;
const PROGRESS_MS = 30_000;

export interface HanoiOptions {
  readonly broker: TestBroker;
  /** A mesh of its own: the checker reads all of its streams. */
  readonly mesh: string;
  readonly seed: string;
  readonly discs: number;
  readonly k: number;
  readonly voters: number;
  readonly accuracy: number;
  readonly correlation: number;
  /** How many voter processes to kill in the course of it. */
  readonly kills: number;
  /** After a wrong decision go on from where the right one would have led; otherwise each decision is what is played. */
  readonly setBack: boolean;
  readonly say: (text: string) => void;
}

export interface HanoiRun {
  readonly moves: number;
  readonly seconds: number;
  readonly killed: Killed;
  /** Before which move. */
  readonly killedAt: readonly number[];
  /** Rounds that had to ask again because somebody did not answer. */
  readonly heldUp: number;
  /** Why it ended early. */
  readonly stoppedBy: string | undefined;
  readonly report: Report;
}

export async function playHanoi(options: HanoiOptions): Promise<HanoiRun> {
  const { broker, mesh, seed, voters, accuracy, correlation } = options;
  const panel: Panel = {
    capability: 'hanoi',
    voters: Array.from({ length: voters }, (_, index) => ({ agentId: `v${index + 1}`, accuracy })),
    correlation,
  };
  const asker = await startAsker(broker.url, mesh);
  const fleet = await startFleet({ url: broker.url, mesh, seed, processes: PROCESSES, panels: [panel] });
  const played = await play(options, panel, asker, fleet);
  await fleet.stop();
  await asker.close();
  return { ...played, report: await check(options, rosterOf(panel)) };
}

async function play(
  { discs: size, k, seed, kills, setBack, say }: HanoiOptions,
  panel: Panel,
  asker: Asker,
  fleet: Fleet,
): Promise<Omit<HanoiRun, 'report'>> {
  const moves = movesOf(size);
  const killedAt: number[] = [];
  const startedAt = performance.now();
  let saidAt = startedAt;
  let heldUp = 0;
  let stoppedBy: string | undefined;
  let roster = rosterOf(panel);
  let discs = startOf(size);
  for (let move = 1; move <= moves && stoppedBy === undefined; move += 1) {
    // One in each of as many equal stretches; later if the process before is not back yet.
    const stretch = killedAt.length + lot(seed, 'kill', killedAt.length);
    const isDue = killedAt.length < kills && move * kills >= stretch * moves;
    const killer = isDue ? killIn(fleet, lot(seed, 'moment', move), () => killedAt.push(move)) : undefined;
    let position: string | undefined;
    for (let attempt = 1; position === undefined && attempt <= ATTEMPTS_MAX; attempt += 1) {
      const round = await asker.hold(
        {
          roundId: `m${move}-${attempt}`,
          capability: panel.capability,
          proposal: `Towers of Hanoi: ${size} discs, largest first, stand on ${discs}. All must come to ${GOAL}. Which move is next?`,
          context: { kind: 'hanoi', discs } satisfies Question,
          options: MOVES,
          rule: { method: 'ahead-by-k', k, quorum: k },
          roster,
          deadlineMs: DEADLINE_MS,
        },
        killer,
      );
      if (round.again) heldUp += 1;
      roster = silentLast(roster, round);
      ({ position } = round.record);
    }
    const next = position === undefined ? undefined : setBack ? afterRight(discs) : moved(discs, moveOf(position));
    if (position === undefined) stoppedBy = `move ${move}: undecided after ${ATTEMPTS_MAX} rounds`;
    else if (next === undefined) stoppedBy = `move ${move}: ${position} breaks the rules`;
    else discs = next;
    const now = performance.now();
    if (now - saidAt > PROGRESS_MS) {
      saidAt = now;
      const rate = move / ((now - startedAt) / 1_000);
      say(
        `  move ${move.toLocaleString('en-US')} of ${moves.toLocaleString('en-US')}, ${rate.toFixed(0)} a second, ${fleet.killed.processes} processes killed`,
      );
    }
  }
  return { moves, seconds: (performance.now() - startedAt) / 1_000, killed: fleet.killed, killedAt, heldUp, stoppedBy };
}

/** Kills somebody who was just asked, or who has just voted: in both cases in the middle of a round. */
function killIn(fleet: Fleet, moment: number, onKilled: () => void): Watch {
  let done = false;
  const kill = (voter: string | undefined) => {
    if (done || voter === undefined) return;
    done = true;
    if (fleet.kill(voter)) onKilled();
  };
  return moment < 0.5
    ? { asked: (voters) => kill(voters[Math.floor(moment * 2 * voters.length)]), counted: () => undefined }
    : { asked: () => undefined, counted: kill };
}

/** Whoever was asked and did not answer is asked last next time, so that one dead voter holds up one round. */
function silentLast(roster: readonly string[], { asked, record }: Round): readonly string[] {
  const silent = new Set(asked);
  for (const { agent } of record.ballots) silent.delete(agent);
  if (silent.size === 0) return roster;
  return [...roster.filter((voter) => !silent.has(voter)), ...roster.filter((voter) => silent.has(voter))];
}

function afterRight(discs: Discs): Discs | undefined {
  const move = nextMove(discs);
  return move === undefined ? undefined : moved(discs, move);
}

async function check({ broker, mesh, discs, k }: HanoiOptions, voters: readonly string[]): Promise<Report> {
  const args = [
    CHECKER,
    '--url',
    broker.url,
    '--mesh',
    mesh,
    '--discs',
    String(discs),
    '--k',
    String(k),
    '--voters',
    voters.join(),
  ];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: REPORT_BYTES_MAX });
    return JSON.parse(stdout) as Report;
  } catch (error) {
    // It ends with 1 when it found something, and has said what.
    const stdout = typeof error === 'object' && error !== null && 'stdout' in error ? error.stdout : undefined;
    if (typeof stdout === 'string' && stdout.startsWith('{')) return JSON.parse(stdout) as Report;
    throw error;
  }
}
