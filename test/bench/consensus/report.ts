/** The results as tables that read the same on a terminal and in Markdown. */
import { accuracyOf, ruin } from './closed-forms.ts';
import type { HanoiRun } from './hanoi-run.ts';
import type { Row } from './measure.ts';
import { CORRELATION, type Group, MIXED } from './rows.ts';
import { ACCURACY, type Plan, SHARED, VOTERS, wrongShareWhenShared } from './setting.ts';
import { CONFIDENCE_PERCENT, type Estimate, share } from './statistics.ts';

const GROUPS: Readonly<Record<Group, string>> = {
  'majority-80': 'voters right 80 % of the time, independent errors',
  'majority-60': 'voters right 60 % of the time, independent errors',
  'majority-40': 'voters right 40 % of the time, independent errors',
  'majority-80-correlated': `voters right 80 % of the time, errors correlated ${CORRELATION}`,
  weighted: `voters right ${MIXED.map(percent0).join(', ')} % of the time, independent errors`,
  'weighted-correlated': `the same, errors correlated ${CORRELATION}`,
  'ahead-80': 'voters right 80 % of the time, independent errors',
  'ahead-60': 'voters right 60 % of the time, independent errors',
  'ahead-80-correlated': `voters right 80 % of the time, errors correlated ${CORRELATION}`,
};

export function rowsText(rows: readonly Row[]): string {
  const head = [
    'rule',
    `right decisions (${CONFIDENCE_PERCENT} % interval)`,
    'closed form',
    'undecided',
    'closed form',
    'voters asked',
    'closed form',
    'ballots until the end',
    'fits',
  ];
  const names = [...new Set(rows.map(({ spec }) => spec.group))];
  return names
    .map((group) => {
      const lines = rows.filter(({ spec }) => spec.group === group).map(rowCells);
      return `${capital(GROUPS[group])}:\n\n${table([head, ...lines])}`;
    })
    .join('\n\n');
}

function rowCells({ spec, accuracy, undecided, asked, counted, misfits }: Row): string[] {
  const { expected } = spec;
  return [
    spec.label,
    `${percent(accuracy.value)} (${intervalText(accuracy)})`,
    percent(accuracyOf(expected)),
    percent(undecided.value),
    percent(Math.max(0, 1 - expected.right - expected.wrong)),
    asked.value.toFixed(2),
    expected.asked.toFixed(2),
    counted.toFixed(2),
    misfits.length === 0 ? 'yes' : 'NO',
  ];
}

export interface Played {
  readonly plan: Plan;
  readonly run: HanoiRun;
  readonly shared: boolean;
}

export function hanoiText(runs: readonly Played[]): string {
  const line = (label: string, cell: (played: Played) => string) => [label, ...runs.map(cell)];
  return table([
    line('', ({ shared }) => (shared ? `errors correlated ${SHARED}` : 'independent errors')),
    line('discs', ({ plan }) => figure(plan.discs)),
    line('moves', ({ run }) => figure(run.report.moves)),
    line('lead that decides, k', ({ plan }) => figure(plan.k)),
    line('a task like this fails, closed form', (played) => scientific(failureOf(played))),
    line('**wrong moves**', ({ run }) => `**${figure(run.report.wrong.length)}**`),
    line('wrong moves, closed form', (played) => expectedWrong(played)),
    line('voter processes killed (SIGKILL) and restarted', ({ run }) => figure(run.killed.processes)),
    line('voters in them', ({ run }) => figure(run.killed.voters)),
    line('rounds that a dead voter held up', ({ run }) => figure(run.heldUp)),
    line('rounds', ({ run }) => figure(run.report.rounds)),
    line('rounds repeated, because nobody got ahead', ({ run }) => figure(run.report.repeated)),
    line('ballots counted', ({ run }) => figure(run.report.ballots)),
    line('ballots for one move', ({ run }) => (run.report.ballots / run.report.moves).toFixed(3)),
    line('ballots for one move, closed form', ({ plan, shared }) => ballotsExpected(plan, shared).toFixed(3)),
    line('wrong single ballots', ({ run }) => figure(run.report.wrongBallots)),
    line('of these outvoted', ({ run }) => figure(run.report.outvoted)),
    line('first ballots that were wrong: one voter alone', ({ run }) => figure(run.report.firstWrongAt.length)),
    line('moves a second', ({ run }) => figure(run.report.moves / run.seconds)),
    line('time, s', ({ run }) => figure(run.seconds)),
  ]);
}

function ballotsExpected({ k }: Plan, shared: boolean): number {
  const { asked } = ruin(ACCURACY, k);
  return shared ? SHARED * k + (1 - SHARED) * asked : asked;
}

function failureOf({ plan, shared }: Played): number {
  return shared ? -Math.expm1(plan.moves * Math.log1p(-wrongShareWhenShared(plan.k))) : plan.failure;
}

function expectedWrong({ plan, shared }: Played): string {
  const expected = plan.moves * (shared ? wrongShareWhenShared(plan.k) : ruin(ACCURACY, plan.k).wrong);
  return expected < 0.01 ? scientific(expected) : expected.toFixed(1);
}

/** One line each of what was set, for whoever repeats it. */
export function planText({ discs, moves, k, failure, kills }: Plan): string {
  return `Towers of Hanoi, ${discs} discs, ${figure(moves)} moves; ${VOTERS} voters, each right ${percent0(ACCURACY)} % of the time; ahead by ${k}, with which the whole task fails with a probability of ${scientific(failure)}; ${kills} voter processes are killed meanwhile`;
}

export function singleText({ report }: HanoiRun): string {
  const single = share(report.ballots - report.wrongBallots, report.ballots);
  return `single ballots right: ${(100 * single.value).toFixed(3)} % (${CONFIDENCE_PERCENT} % interval ${(100 * single.low).toFixed(3)} to ${(100 * single.high).toFixed(3)})`;
}

function intervalText({ low, high }: Estimate): string {
  return `${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)}`;
}

function percent(value: number): string {
  return `${(100 * value).toFixed(1)} %`;
}

function percent0(value: number): string {
  return (100 * value).toFixed(0);
}

function scientific(value: number): string {
  if (value >= 0.01) return value.toFixed(2);
  const [digits = '', exponent = ''] = value.toExponential(1).split('e');
  return `${digits}e${Number(exponent)}`;
}

function figure(value: number): string {
  return (value >= 100 ? Math.round(value) : Number(value.toPrecision(3))).toLocaleString('en-US');
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function table(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(3, ...lines.map((cells) => cells[column]?.length ?? 0)));
  const text = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join(' | ')} |`;
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`;
  const [head = [], ...rest] = lines;
  return [text(head), rule, ...rest.map(text)].join('\n');
}
