/** docs/alerts.md: every alert, when it fires, and what to do. */
import type { Alert } from './rules.ts';

export function alertsPage(alerts: readonly Alert[]): string {
  return [
    '# Alerts',
    '',
    'From [deploy/prometheus/rules/alerts.yml](../deploy/prometheus/rules/alerts.yml), where each alert carries its runbook as an annotation; this page is',
    'written from there by `make monitoring`. critical wakes somebody, warning is for the next working hour, info is for the dashboard. `promtool test rules',
    'test/observability/alerts/*.yml` shows each of them firing, and not firing.',
    '',
    ...alerts.flatMap((alert) => [
      `## ${alert.alert}`,
      '',
      `${alert.severity}${alert.for === undefined ? '' : `, when it lasts for ${alert.for}`}. ${alert.description}`,
      '',
      '```promql',
      alert.expr,
      '```',
      '',
      alert.runbook,
      '',
    ]),
  ].join('\n');
}
