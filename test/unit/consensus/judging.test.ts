/** Whether the benchmark would notice: a row, or a run, that does not fit what it should be fails. */
import { expect, test } from 'vitest';
import { majority } from '../../bench/consensus/closed-forms.ts';
import { withBlock } from '../../bench/page.ts';
import type { HanoiRun } from '../../bench/consensus/hanoi-run.ts';
import { judged } from '../../bench/consensus/measure.ts';
import { readOptions } from '../../bench/consensus/options.ts';
import { type RowSpec, rowSpecs } from '../../bench/consensus/rows.ts';
import { failuresOf, misfitsOf, planOf } from '../../bench/consensus/setting.ts';

function spec(label: string): RowSpec {
  const found = rowSpecs().find((row) => row.group === 'majority-80' && row.label === label);
  if (found === undefined) throw new Error(`no row ${label}`);
  return found;
}

const results = (rounds: number, right: number, asked = 5) =>
  Array.from({ length: rounds }, (_, index) => ({ right: index < right, decided: true, asked, counted: 4 }));

test('a row fits when the closed form lies within its interval, and fails when it does not', () => {
  const of5 = spec('majority of 5');
  const right = Math.round(2_000 * majority(5, 0.8).right);
  expect(judged(of5, results(2_000, right)).misfits).toEqual([]);
  expect(judged(of5, results(2_000, right - 50)).misfits).toEqual([expect.stringContaining('right decisions')]);
  expect(judged(of5, results(2_000, 1_999)).misfits).toEqual([expect.stringContaining('right decisions')]);
  expect(judged(of5, results(2_000, right, 6)).misfits).toEqual([expect.stringContaining('voters asked')]);
  const undecided = results(2_000, right).map((result, index) => ({ ...result, decided: index !== 0 }));
  expect(judged(of5, undecided).misfits).toEqual([expect.stringContaining('undecided rounds')]);
});

test('every row has a capability of its own, and voters that its rule can count', () => {
  const specs = rowSpecs();
  expect(new Set(specs.map(({ panel }) => panel.capability)).size).toBe(specs.length);
  for (const { panel } of specs) expect(panel.capability).toMatch(/^[A-Za-z0-9_-]{1,50}$/);
});

const PLAN = planOf(10);
const RUN: HanoiRun = {
  moves: PLAN.moves,
  seconds: 1,
  killed: { processes: PLAN.kills, voters: 9 },
  killedAt: [],
  heldUp: 1,
  stoppedBy: undefined,
  report: {
    violations: [],
    violationsFound: 0,
    wrong: [],
    moves: PLAN.moves,
    solved: true,
    rounds: PLAN.moves,
    repeated: 0,
    ballots: 6_000,
    wrongBallots: 60,
    outvoted: 60,
    firstWrongAt: [],
  },
};
const wrong = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ move: index + 1, decided: 'B to A', right: 'A to B', legal: false }));

test('a run of Towers of Hanoi fails with one wrong move, one violation, no kill that bit, or voters of another accuracy', () => {
  const { report } = RUN;
  expect(failuresOf(RUN, PLAN)).toEqual([]);
  const broken: readonly HanoiRun[] = [
    { ...RUN, report: { ...report, wrong: wrong(1) } },
    { ...RUN, report: { ...report, violations: ['m1-1: v1 counts twice'], violationsFound: 1 } },
    { ...RUN, report: { ...report, solved: false } },
    { ...RUN, report: { ...report, moves: PLAN.moves - 1 } },
    { ...RUN, report: { ...report, wrongBallots: 120 } },
    { ...RUN, killed: { processes: PLAN.kills - 1, voters: 9 } },
    { ...RUN, heldUp: 0 },
    { ...RUN, stoppedBy: 'move 7: undecided after 50 rounds' },
  ];
  for (const run of broken) expect(failuresOf(run, PLAN), JSON.stringify(run)).toHaveLength(1);
});

test('with common errors the run must be as wrong as was expected, and no more', () => {
  const { report } = RUN;
  expect(misfitsOf({ ...RUN, report: { ...report, wrong: wrong(1) } }, PLAN)).toEqual([]);
  expect(misfitsOf({ ...RUN, report: { ...report, wrong: wrong(30) } }, PLAN)).toHaveLength(1);
});

test('the docs get a new block between its markers, and nothing where there are none', () => {
  const page = 'before\n<!-- rows:begin -->\nold\n<!-- rows:end -->\nafter\n';
  expect(withBlock(page, 'rows', 'new')).toBe('before\n<!-- rows:begin -->\n\nnew\n\n<!-- rows:end -->\nafter\n');
  expect(withBlock(page, 'hanoi', 'new')).toBeUndefined();
});

test('the command line: all of it by default, the tower alone with another number of discs, and a line about what is wrong', () => {
  expect(readOptions([])).toMatchObject({ discs: 14, parts: ['rows', 'hanoi', 'correlated'], docs: false });
  expect(readOptions(['--discs', '20', '--docs'])).toMatchObject({ discs: 20, parts: ['hanoi'], docs: true });
  for (const [args, message] of [
    [['--discs', 'many'], '--discs: expected a whole number'],
    [['--discs', '40'], 'from 3 to 24'],
    [['--rounds', '0'], '--rounds'],
    [['--only', 'all'], '--only'],
    [['--nonsense'], 'nonsense'],
  ] as const)
    expect(() => readOptions(args)).toThrow(message);
});
