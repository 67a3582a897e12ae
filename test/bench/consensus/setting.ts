/** The two runs of Towers of Hanoi: the same voters, once with errors of their own, once with errors that they share. */
import { leadFor, ruin } from './closed-forms.ts';
import { movesOf } from './hanoi.ts';
import type { HanoiRun } from './hanoi-run.ts';
import { holds, share } from './statistics.ts';

/** Few enough that now and then a round ends with nobody ahead; enough to decide while one process of them is dead. */
export const VOTERS = 10;
export const ACCURACY = 0.99;
/** What the whole task may fail with, at most. */
const FAILURE_MAX = 1e-6;
const KILLS_MAX = 200;
const MOVES_PER_KILL = 400;
/** Of any two voters being right, in the second run. */
export const SHARED = 0.1;

export interface Plan {
  readonly discs: number;
  readonly moves: number;
  readonly k: number;
  /** By the closed form: that one move or more of a task like this goes wrong. */
  readonly failure: number;
  readonly kills: number;
}

export function planOf(discs: number): Plan {
  const moves = movesOf(discs);
  const { k, failure } = leadFor(ACCURACY, moves, FAILURE_MAX);
  return { discs, moves, k, failure, kills: Math.max(2, Math.min(KILLS_MAX, Math.round(moves / MOVES_PER_KILL))) };
}

/** Wrong decisions among all when voters share a lot now and then. */
export function wrongShareWhenShared(k: number): number {
  return SHARED * (1 - ACCURACY) + (1 - SHARED) * ruin(ACCURACY, k).wrong;
}

/** Whatever the setting: what the streams hold fits the rules, and processes died. */
function unsound({ report, stoppedBy, killed, heldUp }: HanoiRun, { kills, moves }: Plan): string[] {
  const { violations, violationsFound } = report;
  return [
    ...(stoppedBy === undefined ? [] : [stoppedBy]),
    ...violations,
    ...(violationsFound > violations.length ? [`and ${violationsFound - violations.length} more`] : []),
    ...(report.solved ? [] : ['the discs are not on the goal']),
    ...(report.moves === moves ? [] : [`expected ${moves} moves, got ${report.moves}`]),
    ...(killed.processes === kills ? [] : [`expected ${kills} processes to be killed, got ${killed.processes}`]),
    ...(heldUp > 0 ? [] : ['no round ever missed a voter that was killed']),
  ];
}

/** What fails the run without common errors; none is what it should be. */
export function failuresOf(run: HanoiRun, plan: Plan): readonly string[] {
  const wrong = run.report.wrong.map(
    ({ move, decided, right, legal }) =>
      `move ${move}: decided ${decided}${legal ? '' : ', which breaks the rules'}, right is ${right}`,
  );
  const { ballots, wrongBallots } = run.report;
  const single = share(ballots - wrongBallots, ballots);
  return [
    ...wrong,
    ...unsound(run, plan),
    ...(holds(single, ACCURACY)
      ? []
      : [`single ballots: expected ${ACCURACY} right, got ${single.low} to ${single.high}`]),
  ];
}

/** What fails the run with common errors: they must be as many as expected. */
export function misfitsOf(run: HanoiRun, plan: Plan): readonly string[] {
  const wrong = share(run.report.wrong.length, run.report.moves);
  const expected = wrongShareWhenShared(plan.k);
  const fits = holds(wrong, expected);
  return [
    ...(fits ? [] : [`wrong moves: expected a share of ${expected}, got ${wrong.low} to ${wrong.high}`]),
    ...unsound(run, plan),
  ];
}
