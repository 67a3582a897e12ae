/** The charts of the docs, by file name. */
import { type Chart, type Measured, type Place, type Series } from '../chart.ts';
import { accuracyOf } from './closed-forms.ts';
import type { HanoiRun } from './hanoi-run.ts';
import type { Row } from './measure.ts';
import { CORRELATION, type Group } from './rows.ts';
import { ACCURACY, type Plan, SHARED } from './setting.ts';
import { CONFIDENCE_PERCENT } from './statistics.ts';

const BARS = `Points: measured, with ${CONFIDENCE_PERCENT} % Wilson intervals. Lines: closed form.`;

function of(rows: readonly Row[], group: Group): readonly Row[] {
  return rows.filter(({ spec }) => spec.group === group);
}

/** Right decisions by the number of voters. */
export function majorityChart(rows: readonly Row[]): Chart {
  const series = (name: string, group: Group, dashed = false): Series => ({
    name,
    dashed,
    line: of(rows, group).map(({ spec }) => ({ x: spec.size, y: 100 * accuracyOf(spec.expected) })),
    points: of(rows, group).map(({ spec, accuracy: { value, low, high } }) => ({
      x: spec.size,
      y: 100 * value,
      low: 100 * low,
      high: 100 * high,
    })),
  });
  return {
    title: 'Majority: more voters help those who are right more often than not',
    subtitle: `${rows[0]?.rounds.toLocaleString('en-US') ?? 'No'} rounds a point, over the broker. ${BARS}`,
    x: { label: 'voters asked, all of them in each round', scale: 'linear', min: 0, max: 12 },
    y: { label: 'right decisions, %', scale: 'linear', min: 20, max: 100 },
    series: [
      series('each right 80 %, independent', 'majority-80'),
      series(`each right 80 %, correlated ${CORRELATION}`, 'majority-80-correlated', true),
      series('each right 60 %', 'majority-60'),
      series('each right 40 %', 'majority-40'),
    ],
  };
}

/** Wrong decisions by what a decision costs. */
export function costChart(rows: readonly Row[]): Chart {
  const series = (name: string, group: Group, dashed = false): Series => ({
    name,
    dashed,
    line: of(rows, group).map(({ spec }) => ({ x: spec.expected.asked, y: 1 - accuracyOf(spec.expected) })),
    points: of(rows, group).map(
      ({ asked, accuracy: { value, low, high } }): Measured => ({
        x: asked.value,
        y: 1 - value,
        low: 1 - high,
        high: 1 - low,
      }),
    ),
  });
  return {
    title: 'What a decision costs: wrong decisions by voters asked, each right 80 %',
    subtitle: `Majority of 1 to 11, ahead by 1 to 5. ${BARS}`,
    x: { label: 'voters asked for one decision, on average', scale: 'linear', min: 0, max: 12 },
    y: { label: 'wrong decisions, share', scale: 'log', min: 1e-4, max: 1 },
    series: [
      series('majority, independent', 'majority-80'),
      series('ahead by k, independent', 'ahead-80'),
      series(`majority, correlated ${CORRELATION}`, 'majority-80-correlated', true),
      series(`ahead by k, correlated ${CORRELATION}`, 'ahead-80-correlated', true),
    ],
  };
}

/** Wrong moves so far, by the number of the move. */
export function hanoiChart(plan: Plan, independent: HanoiRun, shared: HanoiRun): Chart {
  const { moves, k, discs } = plan;
  return {
    title: `Towers of Hanoi, ${discs} discs: wrong moves so far`,
    subtitle: `Every move decided by vote; voters right ${100 * ACCURACY} % of the time; their processes are killed and restarted meanwhile.`,
    x: { label: 'move', scale: 'linear', min: 0 },
    y: { label: 'wrong moves so far', scale: 'linear', min: 0 },
    series: [
      {
        name: 'one voter alone: the first ballot of each round',
        shape: 'steps',
        line: stepsOf(independent.report.firstWrongAt, moves),
      },
      {
        name: `ahead by ${k}, errors correlated ${SHARED}`,
        shape: 'steps',
        line: stepsOf(movesOfWrong(shared), moves),
      },
      { name: `ahead by ${k}, independent errors`, shape: 'steps', line: stepsOf(movesOfWrong(independent), moves) },
      { name: 'a voter process killed', points: independent.killedAt.map((x) => ({ x, y: 0 })) },
    ],
  };
}

function movesOfWrong({ report }: HanoiRun): readonly number[] {
  return report.wrong.map(({ move }) => move);
}

function stepsOf(at: readonly number[], end: number): readonly Place[] {
  return [{ x: 0, y: 0 }, ...at.map((x, index) => ({ x, y: index + 1 })), { x: end, y: at.length }];
}
