/** The charts of docs/patterns.md: how many of the ten goals have ended after so many seconds. */
import type { Chart, Place } from '../chart.ts';
import { isCompleted } from './figures.ts';
import type { Played } from './play.ts';

const SECONDS_MIN = 0.5;
const SECONDS_MAX = 20;

export function latencyChart(title: string, subtitle: string, played: readonly Played[]): Chart {
  return {
    title,
    subtitle,
    x: { label: 'seconds since the submission', scale: 'log', min: SECONDS_MIN, max: SECONDS_MAX },
    y: { label: 'goals completed', scale: 'linear', min: 0, max: played[0]?.ended.length ?? 0 },
    series: played.map(({ pattern, ended }) => ({ name: pattern, shape: 'steps', line: stepsOf(ended) })),
  };
}

function stepsOf(ended: Played['ended']): Place[] {
  const times = ended
    .filter(isCompleted)
    .map(({ latencyMs }) => latencyMs / 1_000)
    .toSorted((one, other) => one - other);
  return [
    { x: SECONDS_MIN, y: 0 },
    ...times.map((x, index) => ({ x, y: index + 1 })),
    { x: SECONDS_MAX, y: times.length },
  ];
}
