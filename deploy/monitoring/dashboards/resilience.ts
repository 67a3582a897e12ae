import { type DashboardSpec } from './dashboard.ts';
import { stat, timeline, timeseries } from './panel.ts';

export const resilience: DashboardSpec = {
  uid: 'conclave-resilience',
  title: 'Conclave: resilience',
  description: 'What broke, what was tried again, what was given up, and what had to be repaired.',
  variables: ['agent'],
  rows: [
    {
      title: 'Given up',
      panels: [
        stat({
          title: 'Dead letters',
          description:
            'Does anything wait for a person? Refused submissions, failed tasks and misfit messages: conclave dead list.',
          queries: [
            { expr: 'max(mesh_stream:conclave_stream_messages:max{mesh="$mesh",stream="dead"})', legend: 'letters' },
          ],
          unit: 'short',
          decimals: 0,
          steps: [{ color: 'green' }, { from: 1, color: 'yellow' }],
          width: 8,
        }),
        stat({
          title: 'Sweep repairs',
          description: 'Did work get lost on the way? In the time range shown; only kills and outages explain any.',
          queries: [{ expr: 'sum(increase(conclave_sweep_repairs_total{mesh="$mesh"}[$__range]))', legend: 'repairs' }],
          unit: 'short',
          decimals: 0,
          steps: [{ color: 'green' }, { from: 1, color: 'red' }],
          width: 8,
        }),
        stat({
          title: 'Attempts that failed',
          description:
            'How much work was for nothing? Share of attempts that failed among those and the tasks that were completed.',
          queries: [
            {
              expr: `sum(increase(conclave_attempts_failed_total{mesh="$mesh"}[$__range]))
                / (sum(increase(conclave_attempts_failed_total{mesh="$mesh"}[$__range]))
                  + sum(increase(conclave_tasks_total{mesh="$mesh",status="completed"}[$__range])))`,
              legend: 'failed',
            },
          ],
          unit: 'percentunit',
          steps: [{ color: 'green' }, { from: 0.05, color: 'yellow' }, { from: 0.3, color: 'red' }],
          width: 8,
        }),
        timeseries({
          title: 'Dead letters, by code',
          description:
            'What is being given up? invalid_ codes come from whoever submits, the others from tasks that ran out of attempts.',
          queries: [
            {
              expr: 'sum by (code) (increase(conclave_dead_letters_total{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{code}}',
            },
          ],
          unit: 'short',
          stacked: true,
          width: 12,
        }),
        timeseries({
          title: 'Graphs changed after a failure',
          description:
            'Do plans survive failures? replan: the planner changed the rest of the graph. merge: the goal went on without the task that failed.',
          queries: [
            {
              expr: 'sum by (kind) (increase(conclave_goal_repairs_total{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{kind}}',
            },
          ],
          unit: 'short',
          stacked: true,
          width: 6,
        }),
        timeseries({
          title: 'Work thrown away',
          description:
            'Is work done twice? lost: another agent had taken the task over, after a freeze or a lost lease. shutdown: given back in time.',
          queries: [
            {
              expr: 'sum by (reason) (increase(conclave_work_dropped_total{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{reason}}',
            },
          ],
          unit: 'short',
          stacked: true,
          width: 6,
        }),
      ],
    },
    {
      title: 'Tried again',
      panels: [
        timeline({
          title: 'Breakers',
          description:
            'What is being kept away from? open: calls are refused at once. half-open: the next call is a trial. Which agent, which target.',
          queries: [
            {
              expr: 'mesh_agent_breaker:conclave_breaker_state:max{mesh="$mesh",agent=~"$agent"}',
              legend: '{{agent}} {{breaker}}',
            },
          ],
          unit: 'short',
          states: {
            0: { text: 'closed', color: 'green' },
            1: { text: 'half-open', color: 'yellow' },
            2: { text: 'open', color: 'red' },
          },
          width: 12,
        }),
        timeline({
          title: 'Readiness',
          description:
            'Which agent could not work, since when, and for want of what? `/readyz` of the agent has the reason in words.',
          queries: [
            {
              expr: 'mesh_agent_check:conclave_ready:min{mesh="$mesh",agent=~"$agent",check!="stopping"}',
              legend: '{{agent}} {{check}}',
            },
          ],
          unit: 'short',
          states: { 0: { text: 'failed', color: 'red' }, 1: { text: 'passed', color: 'green' } },
          width: 12,
        }),
        timeseries({
          title: 'Retries, by policy',
          description: 'What needs several tries? task: attempts at tasks. model: single calls within an attempt.',
          queries: [
            {
              expr: 'sum by (policy) (increase(conclave_retries_total{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{policy}}',
            },
          ],
          unit: 'short',
          stacked: true,
          width: 12,
        }),
        timeseries({
          title: 'Calls that a policy ended',
          description:
            'Is something slow, or too much? timeout: no answer in time. overloaded: more calls at once than the bulkhead lets through.',
          queries: [
            {
              expr: 'sum by (policy, reason) (increase(conclave_calls_refused_total{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{policy}} {{reason}}',
            },
          ],
          unit: 'short',
          stacked: true,
          width: 12,
        }),
      ],
    },
    {
      title: 'Held together',
      panels: [
        timeseries({
          title: 'Conflicts',
          description:
            'Do agents get into each other’s way? Share of transitions that lost the race to another agent; a few are normal, the winner did the work.',
          queries: [
            {
              expr: `sum by (transition) (rate(conclave_transitions_total{mesh="$mesh",outcome="conflict"}[$__rate_interval]))
                / sum by (transition) (rate(conclave_transitions_total{mesh="$mesh"}[$__rate_interval]))`,
              legend: '{{transition}}',
            },
          ],
          unit: 'percentunit',
          width: 12,
        }),
        timeseries({
          title: 'Errors that a redelivery repairs',
          description:
            'Do agents fail in their own machinery? Where; the log line engine.error has the cause. Expected while the broker is away.',
          queries: [
            {
              expr: 'sum by (where) (increase(conclave_engine_errors_total{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{where}}',
            },
          ],
          unit: 'short',
          stacked: true,
          width: 6,
        }),
        timeseries({
          title: 'Connections that broke',
          description:
            'Do agents lose the broker? All at once: the broker or the network. One alone: that agent, or its machine.',
          queries: [
            {
              expr: `sum by (agent) (
                increase(conclave_broker_disconnects_total{mesh="$mesh"}[$__rate_interval]) * on (mesh, instance) group_left (agent)
                conclave_agent_info{mesh="$mesh",agent=~"$agent"})`,
              legend: '{{agent}}',
            },
          ],
          unit: 'short',
          stacked: true,
          width: 6,
        }),
      ],
    },
  ],
};
