import { type DashboardSpec } from './dashboard.ts';
import { heatmap, stat, timeseries } from './panel.ts';

const OF = 'mesh="$mesh",capability=~"$capability"';
const PERCENTILES = [0.5, 0.95, 0.99] as const;

export const goals: DashboardSpec = {
  uid: 'conclave-goals',
  title: 'Conclave: goals and tasks',
  description: 'What happens to goals and their tasks, where they wait, and why they fail.',
  variables: ['capability'],
  rows: [
    {
      title: 'Goals',
      panels: [
        stat({
          title: 'Oldest open goal',
          description:
            'Does a goal hang? Age of the oldest goal that is not terminal; long goals are no fault, but should be known.',
          queries: [{ expr: 'max(conclave_goals_oldest_seconds{mesh="$mesh"})', legend: 'age' }],
          unit: 's',
          steps: [{ color: 'green' }, { from: 3_600, color: 'yellow' }, { from: 86_400, color: 'red' }],
          width: 6,
        }),
        stat({
          title: 'Longest standstill',
          description:
            'Is a goal stuck? The longest time for which nothing of a goal has moved and nobody works on it. Above 5 minutes an alert fires.',
          queries: [{ expr: 'max(conclave_goals_idle_seconds{mesh="$mesh"})', legend: 'idle' }],
          unit: 's',
          steps: [{ color: 'green' }, { from: 60, color: 'yellow' }, { from: 300, color: 'red' }],
          width: 6,
        }),
        stat({
          title: 'Waiting to be accepted',
          description: 'Do agents take submissions? Above 0 for long: no agent is ready, or all are busy accepting.',
          queries: [{ expr: 'max(conclave_goals_waiting{mesh="$mesh"})', legend: 'goals' }],
          unit: 'short',
          decimals: 0,
          steps: [{ color: 'green' }, { from: 100, color: 'yellow' }, { from: 1_000, color: 'red' }],
          width: 6,
        }),
        stat({
          title: 'Share that fails, last 15 minutes',
          description: 'How many goals fail now? Of those that were completed or failed.',
          queries: [{ expr: 'mesh:conclave_goals_failed:ratio_rate15m{mesh="$mesh"}', legend: 'failed' }],
          unit: 'percentunit',
          steps: [{ color: 'green' }, { from: 0.01, color: 'yellow' }, { from: 0.1, color: 'red' }],
          width: 6,
        }),
        timeseries({
          title: 'Goals accepted and ended, by pattern',
          description:
            'What comes in, and does as much come out? A minute; accepted above ended for long means that goals pile up.',
          queries: [
            {
              expr: '60 * sum by (pattern) (rate(conclave_goals_total{mesh="$mesh",status=~"planning|running"}[$__rate_interval]))',
              legend: '{{pattern}} accepted',
            },
            {
              expr: `60 * sum by (pattern, status) (rate(
                conclave_goals_total{mesh="$mesh",status=~"completed|failed|cancelled|rejected"}[$__rate_interval]))`,
              legend: '{{pattern}} {{status}}',
            },
          ],
          unit: 'cpm',
          width: 12,
        }),
        timeseries({
          title: 'Duration of completed goals',
          description: 'How long do goals take, by pattern? From acceptance to the terminal record.',
          queries: PERCENTILES.map((quantile) => ({
            expr: `histogram_quantile(${quantile}, sum by (pattern, le) (
              rate(conclave_goal_duration_seconds_bucket{mesh="$mesh",status="completed"}[$__rate_interval])))`,
            legend: `{{pattern}} p${quantile * 100}`,
          })),
          unit: 's',
          width: 12,
        }),
      ],
    },
    {
      title: 'Tasks',
      panels: [
        timeseries({
          title: 'Tasks ended, by capability',
          description: 'Who gets work done, and whose work fails? Tasks a second.',
          queries: [
            {
              expr: `sum by (capability, status) (rate(conclave_tasks_total{${OF}}[$__rate_interval])) > 0`,
              legend: '{{capability}} {{status}}',
            },
          ],
          unit: 'ops',
          width: 12,
        }),
        timeseries({
          title: 'Failed attempts, by code',
          description:
            'Why do tasks fail? Every attempt counts, also those that are retried. The error of a task has the words: conclave show.',
          queries: [
            {
              expr: `sum by (capability, code) (increase(conclave_attempts_failed_total{${OF}}[$__rate_interval]))`,
              legend: '{{capability}} {{code}}',
            },
          ],
          unit: 'short',
          stacked: true,
          width: 12,
        }),
        timeseries({
          title: 'Duration of a task, p95',
          description:
            'Which work got slower? From the start of the last attempt to the terminal record; models dominate where they are used.',
          queries: [
            {
              expr: `histogram_quantile(0.95, sum by (capability, le) (
                rate(conclave_task_duration_seconds_bucket{${OF},status="completed"}[$__rate_interval])))`,
              legend: '{{capability}}',
            },
          ],
          unit: 's',
          width: 12,
        }),
        heatmap({
          title: 'Durations of completed tasks',
          description:
            'Is it all a little slower, or a few much slower? Each column is a moment, each cell how many tasks took that long.',
          queries: [
            {
              expr: `sum by (le) (increase(conclave_task_duration_seconds_bucket{${OF},status="completed"}[$__rate_interval]))`,
              legend: '{{le}}',
            },
          ],
          unit: 's',
          width: 12,
        }),
        timeseries({
          title: 'Tasks in progress, and slots',
          description: 'Is there room? Where the two lines of a capability meet, work waits.',
          queries: [
            { expr: `sum by (capability) (conclave_tasks_in_progress{${OF}})`, legend: '{{capability}} in progress' },
            { expr: `sum by (capability) (conclave_slots{${OF}})`, legend: '{{capability}} slots' },
          ],
          unit: 'short',
          width: 12,
        }),
        timeseries({
          title: 'Transitions',
          description:
            'What do the state machines do? release, claim and complete are the normal life of a task; exhaust, expire and rework are not.',
          queries: [
            {
              expr: 'sum by (transition) (rate(conclave_transitions_total{mesh="$mesh",outcome="committed"}[$__rate_interval]))',
              legend: '{{transition}}',
            },
          ],
          unit: 'ops',
          width: 12,
        }),
      ],
    },
    {
      title: 'Queues',
      panels: [
        timeseries({
          title: 'Items that wait',
          description: 'Where does work pile up? As the broker counts it.',
          queries: [{ expr: `mesh_capability:conclave_queue_waiting:max{${OF}}`, legend: '{{capability}}' }],
          unit: 'short',
          width: 8,
        }),
        timeseries({
          title: 'Age of the oldest item that waits',
          description:
            'How far behind is each capability? Together with a rising number of items it needs more agents.',
          queries: [{ expr: `mesh_capability:conclave_queue_oldest_seconds:max{${OF}}`, legend: '{{capability}}' }],
          unit: 's',
          steps: [{ color: 'green' }, { from: 60, color: 'red' }],
          width: 8,
        }),
        timeseries({
          title: 'Time in the queue, p95',
          description:
            'How long did work wait that has been started? From the work item to the start of the first attempt.',
          queries: [
            { expr: `mesh_capability:conclave_task_queue_seconds:p95_rate5m{${OF}}`, legend: '{{capability}}' },
          ],
          unit: 's',
          width: 8,
        }),
        timeseries({
          title: 'Items that agents hold',
          description:
            'Is work in hands that are alive? Handed out again means that somebody died, gave back, or failed and tries again later.',
          queries: [
            { expr: `max by (capability) (conclave_queue_held{${OF}})`, legend: '{{capability}} held' },
            {
              expr: `max by (capability) (conclave_queue_redelivered{${OF}})`,
              legend: '{{capability}} handed out again',
            },
          ],
          unit: 'short',
          width: 12,
        }),
        timeseries({
          title: 'Missing capabilities',
          description:
            'Does work wait for an agent that does not exist? 1 while a ready task has nobody who could take it.',
          queries: [
            { expr: 'max by (capability) (conclave_capability_missing{mesh="$mesh"})', legend: '{{capability}}' },
          ],
          unit: 'short',
          max: 1,
          steps: [{ color: 'green' }, { from: 1, color: 'red' }],
          width: 12,
        }),
      ],
    },
  ],
};
