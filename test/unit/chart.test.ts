/** A chart is read by people; what a machine can see of it is here: it is well formed, says what its axes are, and hides nothing that was measured. */
import { expect, test } from 'vitest';
import { type Chart, chartSvg } from '../bench/chart.ts';

const CHART: Chart = {
  title: 'Wrong decisions by k',
  subtitle: 'bars: 99.9 % intervals',
  x: { label: 'lead that decides, votes', scale: 'linear', min: 0, max: 4 },
  y: { label: 'wrong decisions, share', scale: 'log', min: 1e-6, max: 1 },
  series: [
    {
      name: 'independent',
      line: [
        { x: 1, y: 0.1 },
        { x: 2, y: 0.01 },
      ],
      points: [
        { x: 1, y: 0.1, low: 0.08, high: 0.13 },
        { x: 2, y: 0, low: 0, high: 0.004 },
      ],
    },
    { name: 'limit <a & "b">', dashed: true, shape: 'steps', line: [{ x: 0, y: 0.5 }] },
  ],
};

/** Paths with a transformation that are filled: symbols. Those of the legend carry what they are in an attribute. */
function symbolsOf(svg: string): string[] {
  return [...svg.matchAll(/<path [^>]*transform="matrix[^>]*>/g)]
    .map(([tag]) => tag)
    .filter((tag) => tag.includes('fill="#0072b2"') && !tag.includes('legend'));
}

test('every tag of it is well formed, whatever names the series have', () => {
  const svg = chartSvg(CHART);
  const withoutTags = svg.replaceAll(/<\/?[A-Za-z]+(\s+[A-Za-z:_-]+="[^"<]*")*\s*\/?>/g, '');
  expect(withoutTags).not.toMatch(/[<>]/);
  expect(svg.startsWith('<svg ')).toBe(true);
});

test('it has its own background, and says title, subtitle, axes and series', () => {
  const svg = chartSvg(CHART);
  expect(svg).toMatch(/<rect width="\d+" height="\d+" x="0" y="0" fill="#ffffff">/);
  for (const text of [CHART.title, CHART.subtitle, CHART.x.label, CHART.y.label, 'independent', '10⁻⁶'])
    expect(svg).toContain(`>${text}</text>`);
});

test('the same chart gives the same bytes, however many were drawn before', () => {
  expect(chartSvg(CHART)).toBe(chartSvg(CHART));
});

test('a measurement of zero on a log axis is drawn, at the upper end of its interval', () => {
  expect(symbolsOf(chartSvg(CHART))).toHaveLength(2);
});

test('more series than one can tell apart are refused', () => {
  const [series = { name: '' }] = CHART.series;
  expect(() => chartSvg({ ...CHART, series: Array.from({ length: 8 }, () => series) })).toThrow('1 to 7');
  expect(() => chartSvg({ ...CHART, series: [] })).toThrow('got 0');
});
