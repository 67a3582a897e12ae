/**
 * The kinds of panel of our dashboards, on Grafana's own SDK. A panel answers one question of whoever is on call: the question opens its description,
 * then how to read it, and where to go on.
 */
import * as common from '@grafana/grafana-foundation-sdk/common';
import {
  MappingType,
  type Panel,
  type Threshold,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { PanelBuilder as HeatmapBuilder } from '@grafana/grafana-foundation-sdk/heatmap';
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as StateTimelineBuilder } from '@grafana/grafana-foundation-sdk/statetimeline';
import { PanelBuilder as TableBuilder } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as TimeseriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';

/** The data source is the one that the user chose at the top of the dashboard. */
export const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };

export interface Query {
  readonly expr: string;
  /** `{{label}}` stands for a label's value. */
  readonly legend: string;
}

/** Of the 24 columns of a dashboard. */
export type Width = 4 | 6 | 8 | 12 | 24;

export interface Step {
  /** From this value on; the first step has none. */
  readonly from?: number;
  readonly color: 'green' | 'yellow' | 'red' | 'blue';
}

interface Common {
  readonly title: string;
  /** Question first. */
  readonly description: string;
  readonly queries: readonly Query[];
  /** A unit of Grafana: `s`, `percentunit`, `currencyUSD`, `bytes`, `short`... */
  readonly unit: string;
  readonly width: Width;
}

export interface Placed {
  readonly panel: Panel;
  readonly width: Width;
  /** What it asks Prometheus. */
  readonly exprs: readonly string[];
}

interface TimeseriesSpec extends Common {
  readonly stacked?: boolean;
  /** Drawn as lines across the graph. */
  readonly steps?: readonly Step[];
  readonly min?: number;
  readonly max?: number;
}

/** How something went over time. */
export function timeseries(spec: TimeseriesSpec): Placed {
  const panel = new TimeseriesBuilder()
    .title(spec.title)
    .description(spec.description)
    .datasource(DATASOURCE)
    .targets(spec.queries.map((query, index) => target(query, index).range()))
    .unit(spec.unit)
    .min(spec.min ?? 0)
    .lineWidth(1)
    .fillOpacity(spec.stacked === true ? 40 : 10)
    .showPoints(common.VisibilityMode.Never)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.Table)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true)
        .calcs(['lastNotNull', 'max']),
    )
    .tooltip(
      new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.Descending),
    );
  if (spec.max !== undefined) panel.max(spec.max);
  if (spec.stacked === true)
    panel.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal).group('A'));
  if (spec.steps !== undefined)
    panel
      .thresholds(thresholds(spec.steps))
      .thresholdsStyle(new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Dashed));
  return placed(panel.build(), spec);
}

interface StatSpec extends Common {
  readonly steps: readonly Step[];
  readonly decimals?: number;
}

/** One figure now, and its way there. */
export function stat(spec: StatSpec): Placed {
  const panel = new StatBuilder()
    .title(spec.title)
    .description(spec.description)
    .datasource(DATASOURCE)
    .targets(spec.queries.map((query, index) => target(query, index).range()))
    .unit(spec.unit)
    .thresholds(thresholds(spec.steps))
    .colorMode(common.BigValueColorMode.Value)
    .graphMode(common.BigValueGraphMode.Area)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']).values(false));
  if (spec.decimals !== undefined) panel.decimals(spec.decimals);
  return placed(panel.build(), spec);
}

interface TableSpec extends Common {
  /** Columns in their order, by label; `Value` is the query's value. What is not named is hidden. */
  readonly columns: Readonly<Record<string, string>>;
}

/** Who or what it is, one line each. */
export function table(spec: TableSpec): Placed {
  const names = Object.keys(spec.columns);
  const panel = new TableBuilder()
    .title(spec.title)
    .description(spec.description)
    .datasource(DATASOURCE)
    .targets(spec.queries.map((query, index) => target(query, index).instant().format(PromQueryFormat.Table)))
    .unit(spec.unit)
    .showHeader(true)
    .filterable(true)
    .withTransformation({ id: 'filterFieldsByName', options: { include: { names } } })
    .withTransformation({
      id: 'organize',
      options: {
        indexByName: Object.fromEntries(names.map((name, index) => [name, index])),
        renameByName: spec.columns,
      },
    });
  return placed(panel.build(), spec);
}

interface TimelineSpec extends Common {
  /** What each value means. */
  readonly states: Readonly<Record<number, { readonly text: string; readonly color: string }>>;
}

/** In which state something was, and since when. */
export function timeline(spec: TimelineSpec): Placed {
  const panel = new StateTimelineBuilder()
    .title(spec.title)
    .description(spec.description)
    .datasource(DATASOURCE)
    .targets(spec.queries.map((query, index) => target(query, index).range()))
    .unit(spec.unit)
    .mappings([{ type: MappingType.ValueToText, options: { ...spec.states } }])
    .showValue(common.VisibilityMode.Never)
    .mergeValues(true)
    .rowHeight(0.8)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.List)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true)
        .calcs([]),
    );
  return placed(panel.build(), spec);
}

/** How values are spread, bucket by bucket of a histogram. */
export function heatmap(spec: Common): Placed {
  const panel = new HeatmapBuilder()
    .title(spec.title)
    .description(spec.description)
    .datasource(DATASOURCE)
    .targets(spec.queries.map((query, index) => target(query, index).range().format(PromQueryFormat.Heatmap)))
    .unit(spec.unit)
    .calculate(false)
    .showLegend();
  return placed(panel.build(), spec);
}

function placed(panel: Panel, { width, queries }: Common): Placed {
  return { panel, width, exprs: queries.map(({ expr }) => expr) };
}

function target({ expr, legend }: Query, index: number): DataqueryBuilder {
  return new DataqueryBuilder()
    .datasource(DATASOURCE)
    .refId(String.fromCodePoint('A'.charCodeAt(0) + index))
    .expr(expr.replaceAll(/\s*\n\s*/g, ' ').trim())
    .legendFormat(legend);
}

function thresholds(steps: readonly Step[]): ThresholdsConfigBuilder {
  return new ThresholdsConfigBuilder()
    .mode(ThresholdsMode.Absolute)
    .steps(steps.map(({ from, color }): Threshold => ({ value: from ?? null, color })));
}
