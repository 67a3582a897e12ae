/**
 * Charts for the docs: measurements as points with the bars of their intervals, what was expected as lines. One SVG with a background of its own, so
 * that it reads the same on a light page and on a dark one. The same chart gives the same bytes.
 */
import { CustomChart, type CustomSeriesOption, LineChart, type LineSeriesOption } from 'echarts/charts';
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components';
import { init, setPlatformAPI, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

use([CustomChart, LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);
// There is no font here to measure with, and which one the reader has nobody knows: as wide as the widest of them. What is as wide as its font is
// high is a Chinese character, with which the library measures the height of a line.
setPlatformAPI({
  measureText: (text, font = '') => ({
    width: text.length * fontSizeOf(font) * (/\p{Script=Han}/u.test(text) ? 1 : WIDTH_PER_SIZE),
  }),
});

export interface Axis {
  /** With its unit: `latency, ms`. */
  readonly label: string;
  readonly scale: 'linear' | 'log';
  /** Absent: what the data needs. On a `log` axis whatever lies below `min`, zero above all, is drawn at its foot. */
  readonly min?: number;
  readonly max?: number;
}

export interface Place {
  readonly x: number;
  readonly y: number;
}

export interface Measured extends Place {
  /** Ends of the interval of `y`; both or none. */
  readonly low?: number;
  readonly high?: number;
}

/** One colour and one entry of the legend. */
export interface Series {
  readonly name: string;
  readonly line?: readonly Place[];
  /** `steps`: the value holds until the next place. Default `straight`. */
  readonly shape?: 'straight' | 'steps';
  readonly dashed?: boolean;
  readonly points?: readonly Measured[];
}

export interface Chart {
  readonly title: string;
  /** One line below the title: what was measured, and what a bar is. */
  readonly subtitle: string;
  readonly x: Axis;
  readonly y: Axis;
  /** At most seven, which is how many colours one can tell apart. */
  readonly series: readonly Series[];
}

const WIDTH = 820;
const HEIGHT = 480;
/** Without quotes: echarts does not escape them in an attribute. */
const FONT = 'Helvetica, Arial, Liberation Sans, DejaVu Sans, sans-serif';
const INK = '#24292f';
const FAINT = '#57606a';
const RULE = '#d8dee4';
/** Okabe and Ito's, for all kinds of colour vision, without their yellow, which a white page swallows. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000'];
const CAP_PX = 4;
const POINT_PX = 8;
const LEGEND_TOP = 58;
const LEGEND_ROW = 22;
const LEGEND_GAP = 14;
const LEGEND_SIDE = 12;
const LEGEND_ICON = 26;
const SMALL = 12;
/** Average width of a letter for each unit of the size of its font. */
const WIDTH_PER_SIZE = 0.56;
/** A line without points; the moves give it the height of the other icons. */
const LINE_ICON = 'path://M0 0M26 8M0 3H26V5H0Z';

/** @throws Error when there are more series than colours, or none. */
export function chartSvg(chart: Chart): string {
  if (chart.series.length === 0 || chart.series.length > COLOURS.length) {
    throw new Error(`a chart takes 1 to ${COLOURS.length} series, got ${chart.series.length}`);
  }
  const canvas = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
  const top = LEGEND_TOP + LEGEND_ROW * legendRows(chart.series) + 12;
  canvas.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: FONT, color: INK },
    title: {
      text: chart.title,
      subtext: chart.subtitle,
      left: 16,
      top: 10,
      itemGap: 6,
      textStyle: { fontSize: 17, fontWeight: 'bold', color: INK, fontFamily: FONT },
      subtextStyle: { fontSize: SMALL, color: FAINT, fontFamily: FONT },
    },
    legend: {
      left: LEGEND_SIDE,
      right: LEGEND_SIDE,
      top: LEGEND_TOP,
      itemGap: LEGEND_GAP,
      itemWidth: LEGEND_ICON,
      itemHeight: POINT_PX,
      itemStyle: { borderType: 'solid', borderWidth: 2 },
      lineStyle: { type: 'solid' },
      textStyle: { color: INK, fontSize: SMALL, fontFamily: FONT },
      data: chart.series.map(({ name, line, points }) => ({
        name,
        ...(line === undefined ? { icon: 'circle' } : points === undefined ? { icon: LINE_ICON } : {}),
      })),
    },
    grid: { left: 78, right: 28, top, bottom: 58, outerBoundsMode: 'none' },
    xAxis: axisOption(chart.x, 34),
    yAxis: axisOption(chart.y, 58),
    series: chart.series.flatMap((series, index) => seriesOptions(chart, series, COLOURS[index] ?? INK)),
  });
  const svg = canvas.renderToSVGString();
  canvas.dispose();
  // Styles for a mouse say nothing in a picture, and their names, like those of the clips, count the charts of this process.
  const still = svg.replaceAll(/ class="zr[^"]*"/g, '').replace(/<style.*<\/style>\n?/s, '');
  return `${still.replaceAll(/\bzr\d+-/g, '')}\n`;
}

function fontSizeOf(font: string): number {
  return Number(/(\d+)px/.exec(font)?.[1] ?? SMALL);
}

/** As the legend itself breaks its rows. */
function legendRows(series: readonly Series[]): number {
  let rows = 1;
  let left = WIDTH - 2 * LEGEND_SIDE;
  for (const { name } of series) {
    const width = LEGEND_ICON + 5 + name.length * WIDTH_PER_SIZE * SMALL + LEGEND_GAP;
    if (width > left && left < WIDTH - 2 * LEGEND_SIDE) {
      rows += 1;
      left = WIDTH - 2 * LEGEND_SIDE;
    }
    left -= width;
  }
  return rows;
}

function axisOption({ label, scale, min, max }: Axis, nameGap: number) {
  return {
    type: scale === 'log' ? 'log' : 'value',
    name: label,
    nameLocation: 'middle',
    nameGap,
    nameTextStyle: { color: INK, fontSize: 13, fontFamily: FONT },
    ...(min === undefined ? {} : { min }),
    ...(max === undefined ? {} : { max }),
    axisLabel: { color: FAINT, fontSize: SMALL, fontFamily: FONT, formatter: tickText },
    axisLine: { show: true, onZero: false, lineStyle: { color: FAINT } },
    axisTick: { show: true, lineStyle: { color: FAINT } },
    splitLine: { show: true, lineStyle: { color: RULE } },
  };
}

function seriesOptions(chart: Chart, series: Series, colour: string): (LineSeriesOption | CustomSeriesOption)[] {
  const { name, line = [], points = [], dashed = false, shape = 'straight' } = series;
  const drawn = points.map((point) => onAxis(chart.y, point));
  const lineStyle = { color: colour, width: 2, type: dashed ? ('dashed' as const) : ('solid' as const) };
  const itemStyle = { color: dashed ? '#ffffff' : colour, borderColor: colour, borderWidth: 2 };
  const base = { type: 'line', name, color: colour, silent: true, clip: true, itemStyle } as const;
  return [
    ...(line.length === 0
      ? []
      : [
          {
            ...base,
            data: line.map(({ x, y }) => [x, Math.max(y, footOf(chart.y))]),
            // Seen in the legend only.
            showSymbol: false,
            symbol: 'circle',
            // Nothing hides a line that stands for itself.
            ...(points.length === 0 ? { z: 4 } : {}),
            lineStyle,
            ...(shape === 'steps' ? { step: 'end' as const } : {}),
          },
        ]),
    ...(points.length === 0
      ? []
      : [
          errorBars(name, colour, drawn),
          {
            ...base,
            data: drawn.map(({ x, y, below }) => ({
              value: [x, y],
              symbol: below ? 'triangle' : 'circle',
              symbolRotate: below ? 180 : 0,
            })),
            symbolSize: POINT_PX,
            showAllSymbol: true,
            // The points are not joined; their line is that of what was expected.
            lineStyle: { ...lineStyle, opacity: 0 },
          },
        ]),
  ];
}

interface Drawn extends Place {
  readonly low: number;
  readonly high: number;
  /** `y` has no place on the axis: drawn is the upper end of its interval, as an arrow that points down. */
  readonly below: boolean;
}

/** Where a log axis ends below; a linear one takes everything. */
function footOf({ scale, min }: Axis): number {
  return scale === 'log' ? (min ?? Number.MIN_VALUE) : Number.NEGATIVE_INFINITY;
}

function onAxis(axis: Axis, { x, y, low = y, high = y }: Measured): Drawn {
  const foot = footOf(axis);
  const below = y < foot;
  return { x, y: below ? Math.max(high, foot) : y, low: Math.max(low, foot), high: Math.max(high, foot), below };
}

function errorBars(name: string, colour: string, drawn: readonly Drawn[]): CustomSeriesOption {
  return {
    type: 'custom',
    name,
    color: colour,
    silent: true,
    clip: true,
    data: drawn.filter(({ low, high }) => high > low).map(({ x, low, high }) => [x, low, high]),
    encode: { x: 0, y: [1, 2] },
    renderItem: (_, api) => {
      const x = api.value(0);
      const [centre = 0, foot = 0] = api.coord([x, api.value(1)]);
      const [, head = 0] = api.coord([x, api.value(2)]);
      const stroke = (x1: number, y1: number, x2: number, y2: number) => ({
        type: 'line' as const,
        shape: { x1, y1, x2, y2 },
        style: { stroke: colour, lineWidth: 1.5 },
      });
      return {
        type: 'group',
        children: [
          stroke(centre, foot, centre, head),
          stroke(centre - CAP_PX, foot, centre + CAP_PX, foot),
          stroke(centre - CAP_PX, head, centre + CAP_PX, head),
        ],
      };
    },
  };
}

const SUPERSCRIPTS: Readonly<Record<string, string>> = {
  '-': '⁻',
  0: '⁰',
  1: '¹',
  2: '²',
  3: '³',
  4: '⁴',
  5: '⁵',
  6: '⁶',
  7: '⁷',
  8: '⁸',
  9: '⁹',
};

/** 0.001 and above as people write it, below that as a power of ten. */
function tickText(value: number): string {
  if (value === 0) return '0';
  if (Math.abs(value) >= 0.001)
    return Number(value.toPrecision(6)).toLocaleString('en-US', { maximumFractionDigits: 6 });
  const [digits = '1', exponent = '0'] = value.toExponential(1).split('e');
  const power = `10${exponent.replaceAll(/./g, (sign) => SUPERSCRIPTS[sign] ?? sign)}`;
  return Number(digits) === 1 ? power : `${Number(digits)}·${power}`;
}
