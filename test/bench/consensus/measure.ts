/** Runs the rounds of each row over the broker, and holds what came out against what was expected. */
import type { Asker } from './asker.ts';
import { accuracyOf } from './closed-forms.ts';
import { lot, type Question, rightAnswer, rosterOf, YES_NO } from './panel.ts';
import type { RowSpec } from './rows.ts';
import { type Estimate, holds, mean, share } from './statistics.ts';

const IN_FLIGHT = 48;
/** Nobody is killed here: long enough that a busy machine loses no vote. */
const DEADLINE_MS = 120_000;
const NUMBER_MAX = 1e9;
const DIVISOR = 3;

export interface Row {
  readonly spec: RowSpec;
  readonly rounds: number;
  /** Right ones among the decisions. */
  readonly accuracy: Estimate;
  readonly undecided: Estimate;
  /** Voters asked for one decision. */
  readonly asked: Estimate;
  /** Ballots that had come when the round ended. */
  readonly counted: number;
  /** What was expected and does not fit, a line each; none is what it should be. */
  readonly misfits: readonly string[];
}

interface Result {
  readonly right: boolean;
  readonly decided: boolean;
  readonly asked: number;
  readonly counted: number;
}

export async function measureRow(asker: Asker, spec: RowSpec, rounds: number, seed: string): Promise<Row> {
  const results: Result[] = [];
  let next = 0;
  const runner = async (): Promise<void> => {
    while (next < rounds) {
      next += 1;
      results.push(await one(asker, spec, next, seed));
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, runner));
  return judged(spec, results);
}

async function one(asker: Asker, { panel, rule }: RowSpec, index: number, seed: string): Promise<Result> {
  const number = Math.floor(lot(seed, panel.capability, 'number', index) * NUMBER_MAX);
  const question: Question = { kind: 'divisible', number, by: DIVISOR };
  const { record, asked } = await asker.hold({
    roundId: `${panel.capability}-r${index}`,
    capability: panel.capability,
    proposal: `Is ${number} divisible by ${DIVISOR}?`,
    context: question,
    options: YES_NO,
    rule,
    roster: rosterOf(panel),
    deadlineMs: DEADLINE_MS,
  });
  const right = record.position === rightAnswer(question);
  return { right, decided: record.consensus, asked: asked.size, counted: record.ballots.length };
}

/** The row of these results: what was expected must lie within the interval of what was seen. */
export function judged(spec: RowSpec, results: readonly Result[]): Row {
  const { expected } = spec;
  const decided = results.filter((result) => result.decided);
  const accuracy = share(decided.filter((result) => result.right).length, decided.length);
  const undecided = share(results.length - decided.length, results.length);
  const asked = mean(results.map((result) => result.asked));
  const checks: readonly (readonly [string, Estimate, number])[] = [
    ['right decisions', accuracy, accuracyOf(expected)],
    ['undecided rounds', undecided, 1 - expected.right - expected.wrong],
    ['voters asked', asked, expected.asked],
  ];
  return {
    spec,
    rounds: results.length,
    accuracy,
    undecided,
    asked,
    counted: mean(results.map((result) => result.counted)).value,
    misfits: checks
      .filter(([, estimate, value]) => !holds(estimate, value))
      .map(([what, { value, low, high }, wanted]) => `${what}: expected ${wanted}, got ${value} (${low} to ${high})`),
  };
}
