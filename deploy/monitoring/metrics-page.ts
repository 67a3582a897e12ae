/** docs/metrics.md: every metric of the code, and what bounds each label. */
import { LABELS } from '../../shared/runtime/metric-labels.ts';
import type { ListedMetric } from '../../shared/runtime/metric-registry.ts';
import { metricsOf } from '../../shared/runtime/metrics.ts';

/** Metrics of the agents, in the order of their names. */
export function agentMetrics(): readonly ListedMetric[] {
  return metricsOf().list.toSorted((one, other) => one.name.localeCompare(other.name));
}

export function metricsPage(metrics: readonly ListedMetric[] = agentMetrics()): string {
  const used = new Set<string>(metrics.flatMap(({ labels }) => labels));
  return [
    '# Metrics',
    '',
    'Every agent serves these in the Prometheus text format on `/metrics`, with the `process_*` and `nodejs_*` metrics of prom-client beside them.',
    'Prometheus adds `mesh`, `agent`, `instance` and `job` when it scrapes ([deploy/prometheus](../deploy/prometheus)).',
    'This page is written from the code by `make monitoring`.',
    '',
    '| metric | type | labels | meaning |',
    '| --- | --- | --- | --- |',
    ...metrics.map(({ name, type, labels, help }) =>
      row([`\`${name}\``, type, labels.map((label) => `\`${label}\``).join(', '), help]),
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

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
