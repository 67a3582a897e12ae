import { type DashboardSpec } from './dashboard.ts';
import { stat, table, timeseries } from './panel.ts';

export const overview: DashboardSpec = {
  uid: 'conclave-overview',
  title: 'Conclave: mesh overview',
  description: 'Is the mesh well, and if not, where to look.',
  variables: [],
  rows: [
    {
      title: 'Now',
      panels: [
        stat({
          title: 'Firing alerts',
          description:
            'Is anything wrong that needs somebody? The table below has the alerts; each carries its runbook.',
          queries: [
            { expr: 'count(ALERTS{mesh="$mesh",alertstate="firing",severity!="info"}) or vector(0)', legend: 'alerts' },
          ],
          unit: 'short',
          decimals: 0,
          steps: [{ color: 'green' }, { from: 1, color: 'red' }],
          width: 4,
        }),
        stat({
          title: 'Agents present',
          description: 'Are the agents there? As the broker sees them; who they are is on Agents and broker.',
          queries: [{ expr: 'sum(max by (role) (conclave_agents{mesh="$mesh"}))', legend: 'agents' }],
          unit: 'short',
          decimals: 0,
          steps: [{ color: 'red' }, { from: 1, color: 'green' }],
          width: 4,
        }),
        stat({
          title: 'Open goals',
          description: 'How much is under way? Goals that are accepted and not terminal.',
          queries: [{ expr: 'max(mesh:conclave_goals_open:max{mesh="$mesh"})', legend: 'goals' }],
          unit: 'short',
          decimals: 0,
          steps: [{ color: 'blue' }],
          width: 4,
        }),
        stat({
          title: 'Goals completed, of those that ended',
          description:
            'Do goals end well? Completed over completed and failed, in the time range shown. Which fail: Goals and tasks.',
          queries: [
            {
              expr: `sum(increase(conclave_goals_total{mesh="$mesh",status="completed"}[$__range]))
                / sum(increase(conclave_goals_total{mesh="$mesh",status=~"completed|failed"}[$__range]))`,
              legend: 'completed',
            },
          ],
          unit: 'percentunit',
          steps: [{ color: 'red' }, { from: 0.9, color: 'yellow' }, { from: 0.99, color: 'green' }],
          width: 4,
        }),
        stat({
          title: 'Duration of a goal, p95',
          description:
            'How long does a goal take? From acceptance to completion; 95 % are quicker. By pattern: Goals and tasks.',
          queries: [
            {
              expr: `histogram_quantile(0.95, sum by (le) (
                rate(conclave_goal_duration_seconds_bucket{mesh="$mesh",status="completed"}[$__range])))`,
              legend: 'p95',
            },
          ],
          unit: 's',
          steps: [{ color: 'blue' }],
          width: 4,
        }),
        stat({
          title: 'Cost of the last hour',
          description: 'What does it cost? Compute and communication, as agents charged it. By whom: Cost and budgets.',
          queries: [{ expr: 'mesh:conclave_cost_usd:increase1h{mesh="$mesh"}', legend: 'USD' }],
          unit: 'currencyUSD',
          steps: [{ color: 'blue' }],
          width: 4,
        }),
      ],
    },
    {
      title: 'Is work getting done?',
      panels: [
        timeseries({
          title: 'Goals by how they ended',
          description:
            'Are goals being finished, and how? A minute; failed, cancelled and rejected should be rare. Next: Goals and tasks.',
          queries: [
            {
              expr: `60 * sum by (status) (rate(
                conclave_goals_total{mesh="$mesh",status=~"completed|failed|cancelled|rejected"}[$__rate_interval]))`,
              legend: '{{status}}',
            },
          ],
          unit: 'cpm',
          stacked: true,
          width: 12,
        }),
        timeseries({
          title: 'Tasks by how they ended',
          description: 'Is there throughput? Tasks a second, whatever goal they belong to.',
          queries: [
            {
              expr: 'sum by (status) (rate(conclave_tasks_total{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{status}}',
            },
          ],
          unit: 'ops',
          stacked: true,
          width: 12,
        }),
        timeseries({
          title: 'Work that waits',
          description:
            'Does work pile up? Items in the queue of each capability that no agent was given yet. A line that only rises needs more agents.',
          queries: [{ expr: 'mesh_capability:conclave_queue_waiting:max{mesh="$mesh"}', legend: '{{capability}}' }],
          unit: 'short',
          width: 12,
        }),
        timeseries({
          title: 'Slots in use',
          description:
            'Is there room? Share of the slots of each capability that are working; near 100 %, work begins to wait.',
          queries: [{ expr: 'mesh_capability:conclave_slots_used:ratio{mesh="$mesh"}', legend: '{{capability}}' }],
          unit: 'percentunit',
          max: 1,
          steps: [{ color: 'green' }, { from: 0.9, color: 'red' }],
          width: 12,
        }),
      ],
    },
    {
      title: 'What is wrong?',
      panels: [
        table({
          title: 'Alerts',
          description:
            'What is firing or about to? docs/alerts.md has the runbook of each; Prometheus shows it with the alert.',
          queries: [{ expr: 'ALERTS{mesh="$mesh"}', legend: '' }],
          unit: 'short',
          columns: {
            alertname: 'alert',
            severity: 'severity',
            alertstate: 'state',
            capability: 'capability',
            agent: 'agent',
            check: 'check',
            stream: 'stream',
            limit: 'limit',
          },
          width: 12,
        }),
        timeseries({
          title: 'Agents by capability',
          description:
            'Is there an agent for everything? At 0 the work of that capability stands still until one comes.',
          queries: [{ expr: 'mesh_capability:conclave_capability_agents:max{mesh="$mesh"}', legend: '{{capability}}' }],
          unit: 'short',
          width: 6,
        }),
        timeseries({
          title: 'Agents that cannot work',
          description:
            'Who is not ready, and for want of what? By check of `/readyz`, which also has the reason in words. Which agent: Resilience.',
          queries: [{ expr: 'sum by (check) (conclave_ready{mesh="$mesh"} == bool 0)', legend: '{{check}}' }],
          unit: 'short',
          width: 6,
        }),
      ],
    },
  ],
};
