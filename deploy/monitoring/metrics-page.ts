/** docs/metrics.md: every metric of the code, and what bounds each label. */
import { LABELS } from '../../shared/runtime/metric-labels.ts';
import type { ListedMetric } from '../../shared/runtime/metric-registry.ts';
import { metricsOf } from '../../shared/runtime/metrics.ts';
import { dashboards } from './dashboards/all.ts';
import { metricOf, metricsRead } from './names.ts';
import { rules } from './rules.ts';

/** Metrics of the agents, in the order of their names. */
export function agentMetrics(): readonly ListedMetric[] {
  return metricsOf().list.toSorted((one, other) => one.name.localeCompare(other.name));
}

export function metricsPage(metrics: readonly ListedMetric[] = agentMetrics()): string {
  const shown = readers();
  const used = new Set<string>(metrics.flatMap(({ labels }) => labels));
  return [
    '# Metrics',
    '',
    'Every agent serves these in the Prometheus text format on `/metrics`, with the `process_*` and `nodejs_*` metrics of prom-client beside them.',
    'Prometheus adds `mesh`, `agent`, `instance` and `job` when it scrapes ([deploy/prometheus](../deploy/prometheus)).',
    'This page is written from the code by `make monitoring`.',
    '',
    '| metric | type | labels | meaning | shown in |',
    '| --- | --- | --- | --- | --- |',
    ...metrics.map(({ name, type, labels, help }) =>
      row([`\`${name}\``, type, labels.map((label) => `\`${label}\``).join(', '), help, shown(name)]),
    ),
    '',
    '## Labels',
    '',
    'Every label is bounded, so that an agent has some hundred series whatever it is sent. None carries the id of a goal or a task: those are in the',
    'log, in the traces and in the records.',
    '',
    '| label | values |',
    '| --- | --- |',
    ...Object.entries(LABELS)
      .filter(([label]) => used.has(label))
      .map(([label, values]) => row([`\`${label}\``, values])),
    '',
  ].join('\n');
}

/** Dashboards and alerts that read it. */
function readers(): (name: string) => string {
  const { alerts, recordings } = rules();
  const places = [
    ...dashboards.map(({ title, rows }) => ({
      place: title.replace('Conclave: ', ''),
      exprs: rows.flatMap(({ panels }) => panels.flatMap(({ exprs }) => exprs)),
    })),
    ...alerts.map(({ alert, expr }) => ({ place: `[${alert}](alerts.md#${alert.toLowerCase()})`, exprs: [expr] })),
  ].map(({ place, exprs }) => ({
    place,
    metrics: new Set(exprs.flatMap((expr) => metricsRead(expr, recordings)).map(metricOf)),
  }));
  return (name) => places.flatMap(({ place, metrics }) => (metrics.has(name) ? [place] : [])).join(', ') || '-';
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
