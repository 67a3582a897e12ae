/** Every file that is made from code for who watches a mesh, by its path in the project. */
import { stringify } from 'yaml';
import { encode, parseTrusted } from '../../shared/protocol/codec.ts';
import type { Json } from '../../shared/protocol/ids.ts';
import { layOut } from '../asyncapi/layout.ts';
import { alertsPage } from './alerts-page.ts';
import { dashboards } from './dashboards/all.ts';
import { dashboard } from './dashboards/dashboard.ts';
import { metricsPage } from './metrics-page.ts';
import { ruleGroups, rules } from './rules.ts';

export function monitoringFiles(): ReadonlyMap<string, string> {
  return new Map([
    ['docs/metrics.md', metricsPage()],
    ['docs/alerts.md', alertsPage(rules().alerts)],
    ['deploy/kubernetes/components/monitoring/prometheus-rule.yaml', prometheusRule()],
    ...dashboards.map((spec): [string, string] => [
      `deploy/grafana/dashboards/${spec.uid}.json`,
      layOut(parseTrusted<Json>(encode(dashboard(spec)))),
    ]),
  ]);
}

/** The same rules for the Prometheus operator. */
function prometheusRule(): string {
  const object = {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { name: 'conclave' },
    spec: { groups: ruleGroups() },
  };
  return `# Written by \`make monitoring\` from deploy/prometheus/rules.\n${stringify(object, { lineWidth: 0 })}`;
}
