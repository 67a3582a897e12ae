/** A dashboard from its rows of panels: variables, links to the others, positions. In the classic format, which Grafana 10 to 13 all read from files. */
import {
  AnnotationQueryBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
  defaultDashboard,
  QueryVariableBuilder,
  type RowPanel,
  RowBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DATASOURCE, type Placed } from './panel.ts';

export interface DashboardSpec {
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly variables: readonly ('capability' | 'agent')[];
  readonly rows: readonly { readonly title: string; readonly panels: readonly Placed[] }[];
}

/** Every dashboard of ours carries it; the links among them are found by it. */
const TAG = 'conclave';
const COLUMNS = 24;
const PANEL_HEIGHT = 8;
const STAT_HEIGHT = 4;

/** What the variables are asked from Prometheus; `mesh` first, the others within it. */
const VARIABLE_QUERIES = {
  mesh: 'label_values(conclave_agent_info, mesh)',
  capability: 'label_values(conclave_slots{mesh="$mesh"}, capability)',
  agent: 'label_values(conclave_agent_info{mesh="$mesh"}, agent)',
} as const;

function variable(name: keyof typeof VARIABLE_QUERIES): QueryVariableBuilder {
  const query = VARIABLE_QUERIES[name];
  const made = new QueryVariableBuilder(name)
    .label(name)
    .datasource(DATASOURCE)
    .query(query)
    .definition(query)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc);
  // A regular expression that matches also what has no such label.
  return name === 'mesh'
    ? made
    : made
        .multi(true)
        .includeAll(true)
        .allValue('.*')
        .current({ text: ['All'], value: ['$__all'] });
}

/** The SDK would rather have the second format, which Grafana reads from files only since 12. */
type ClassicDashboard = ReturnType<typeof defaultDashboard>;

export function dashboard(spec: DashboardSpec): ClassicDashboard {
  const links = new DashboardLinkBuilder('Conclave')
    .type(DashboardLinkType.Dashboards)
    .tags([TAG])
    .asDropdown(false)
    .includeVars(true)
    .keepTime(true);
  const alerts = new AnnotationQueryBuilder()
    .name('Alerts')
    .datasource(DATASOURCE)
    .enable(true)
    .iconColor('red')
    .expr('ALERTS{mesh="$mesh",alertstate="firing"}');
  return {
    ...defaultDashboard(),
    uid: spec.uid,
    title: spec.title,
    description: spec.description,
    tags: [TAG],
    timezone: 'browser',
    editable: true,
    graphTooltip: DashboardCursorSync.Crosshair,
    time: { from: 'now-1h', to: 'now' },
    refresh: '10s',
    links: [links.build()],
    annotations: { list: [alerts.build()] },
    templating: {
      list: [
        new DatasourceVariableBuilder('datasource').label('data source').type('prometheus').build(),
        variable('mesh').build(),
        ...spec.variables.map((name) => variable(name).build()),
      ],
    },
    panels: placed(spec),
  };
}

/** Rows from the top, panels in them from the left; a panel that does not fit any more begins a new line. */
function placed({ rows }: DashboardSpec): (Placed['panel'] | RowPanel)[] {
  const all: (Placed['panel'] | RowPanel)[] = [];
  let y = 0;
  for (const { title, panels } of rows) {
    all.push({
      ...new RowBuilder(title).collapsed(false).build(),
      id: all.length + 1,
      gridPos: { h: 1, w: COLUMNS, x: 0, y },
      panels: [],
    });
    y += 1;
    let x = 0;
    let lineHeight = 0;
    for (const { panel, width } of panels) {
      if (x + width > COLUMNS) {
        x = 0;
        y += lineHeight;
        lineHeight = 0;
      }
      const h = panel.type === 'stat' ? STAT_HEIGHT : PANEL_HEIGHT;
      all.push({ ...panel, id: all.length + 1, gridPos: { h, w: width, x, y } });
      x += width;
      lineHeight = Math.max(lineHeight, h);
    }
    y += lineHeight;
  }
  return all;
}
