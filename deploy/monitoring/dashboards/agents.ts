import { type DashboardSpec } from './dashboard.ts';
import { stat, table, timeline, timeseries } from './panel.ts';

/** Of the chosen agents, by the names that they give themselves. */
function byAgent(expr: string, aggregate: 'sum' | 'max' = 'sum'): string {
  return `${aggregate} by (agent) (${expr} * on (mesh, instance) group_left (agent) conclave_agent_info{mesh="$mesh",agent=~"$agent"})`;
}

export const agents: DashboardSpec = {
  uid: 'conclave-agents',
  title: 'Conclave: agents and broker',
  description: 'Who is there and how they are; how the broker and its streams are.',
  variables: ['agent'],
  rows: [
    {
      title: 'Agents',
      panels: [
        table({
          title: 'Agents',
          description: 'Who is there, with which version, and where? As Prometheus reached them last.',
          queries: [{ expr: 'conclave_agent_info{mesh="$mesh",agent=~"$agent"}', legend: '' }],
          unit: 'short',
          columns: { agent: 'agent', role: 'role', version: 'version', instance: 'address' },
          width: 12,
        }),
        timeseries({
          title: 'Agents present, by role',
          description: 'Did somebody come or go? As the broker sees them: an agent that died is gone within 10 s.',
          queries: [{ expr: 'max by (role) (conclave_agents{mesh="$mesh"})', legend: '{{role}}' }],
          unit: 'short',
          stacked: true,
          width: 6,
        }),
        timeseries({
          title: 'Scraped',
          description:
            'Does Prometheus reach them? Below the number present, some agents are out of its sight, and missing in every other panel.',
          queries: [
            { expr: 'sum(up{job="conclave",mesh="$mesh"})', legend: 'answer' },
            { expr: 'count(up{job="conclave",mesh="$mesh"})', legend: 'found' },
          ],
          unit: 'short',
          width: 6,
        }),
        timeseries({
          title: 'Tasks in progress',
          description: 'Who works? Evenly spread where capabilities are the same.',
          queries: [{ expr: byAgent('conclave_tasks_in_progress{mesh="$mesh"}'), legend: '{{agent}}' }],
          unit: 'short',
          stacked: true,
          width: 12,
        }),
        timeseries({
          title: 'Receipts held',
          description:
            'Who accepted the goals that run? A receipt makes its goal come round until it is terminal; a dead agent’s go to others.',
          queries: [{ expr: byAgent('conclave_receipts_held{mesh="$mesh"}'), legend: '{{agent}}' }],
          unit: 'short',
          stacked: true,
          width: 12,
        }),
        timeseries({
          title: 'Processor',
          description: 'Is an agent at its limit? 1 is one core, and an agent uses little more than one.',
          queries: [
            { expr: 'mesh_agent:process_cpu_seconds:rate1m{mesh="$mesh",agent=~"$agent"}', legend: '{{agent}}' },
          ],
          unit: 'percentunit',
          steps: [{ color: 'green' }, { from: 0.9, color: 'red' }],
          width: 8,
        }),
        timeseries({
          title: 'Memory',
          description: 'Does an agent grow? Resident; it rises with goals in flight and comes back when they are over.',
          queries: [
            { expr: 'mesh_agent:process_resident_memory_bytes:max{mesh="$mesh",agent=~"$agent"}', legend: '{{agent}}' },
          ],
          unit: 'bytes',
          width: 8,
        }),
        timeseries({
          title: 'Event loop lag, p99',
          description:
            'Does an agent still answer in time? Near 5 s it loses its leases, and its work is done again by others.',
          queries: [
            {
              expr: 'mesh_agent:nodejs_eventloop_lag_p99_seconds:max{mesh="$mesh",agent=~"$agent"}',
              legend: '{{agent}}',
            },
          ],
          unit: 's',
          steps: [{ color: 'green' }, { from: 1, color: 'red' }],
          width: 8,
        }),
        timeseries({
          title: 'Restarts',
          description:
            'Does an agent come back again and again? Its log has the reason of each end; exit code 78 is a wrong setting.',
          queries: [
            {
              expr: byAgent('changes(process_start_time_seconds{mesh="$mesh"}[$__rate_interval])'),
              legend: '{{agent}}',
            },
          ],
          unit: 'short',
          width: 8,
        }),
        timeseries({
          title: 'Messages between agents',
          description:
            'What do agents say to each other? Received, a second, by type; who may say what to whom is in their manifests.',
          queries: [
            {
              expr: 'sum by (message_type) (rate(conclave_messages_total{mesh="$mesh",direction="in"}[$__rate_interval]))',
              legend: '{{message_type}}',
            },
          ],
          unit: 'ops',
          stacked: true,
          width: 8,
        }),
        timeseries({
          title: 'Bytes between agents',
          description: 'How much do they say? Sent and received; a vote request carries the result that is voted on.',
          queries: [
            {
              expr: 'sum by (direction) (rate(conclave_message_bytes_total{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{direction}}',
            },
          ],
          unit: 'Bps',
          width: 8,
        }),
      ],
    },
    {
      title: 'Broker',
      panels: [
        stat({
          title: 'Log behind by',
          description:
            'Is the log complete? Revisions that the broker has not copied into it yet; some hundred under load are normal.',
          queries: [{ expr: 'max(conclave_log_lag_messages{mesh="$mesh"})', legend: 'revisions' }],
          unit: 'short',
          decimals: 0,
          steps: [{ color: 'green' }, { from: 1_000, color: 'yellow' }, { from: 10_000, color: 'red' }],
          width: 6,
        }),
        stat({
          title: 'Streams without a leader',
          description:
            'Can everything be written? Above 0 a stream has lost its quorum, and what needs it stands still.',
          queries: [
            { expr: 'count(min by (stream) (conclave_stream_led{mesh="$mesh"}) == 0) or vector(0)', legend: 'streams' },
          ],
          unit: 'short',
          decimals: 0,
          steps: [{ color: 'green' }, { from: 1, color: 'red' }],
          width: 6,
        }),
        stat({
          title: 'Disk used of what is allowed',
          description:
            'Will the disk last? Of the limit of the account; without a limit it is 0, and the machine’s own disk is the limit.',
          queries: [
            {
              expr: 'max(conclave_jetstream_storage_bytes{mesh="$mesh"}) / max(conclave_jetstream_storage_limit_bytes{mesh="$mesh"})',
              legend: 'used',
            },
          ],
          unit: 'percentunit',
          steps: [{ color: 'green' }, { from: 0.7, color: 'yellow' }, { from: 0.85, color: 'red' }],
          width: 6,
        }),
        stat({
          title: 'Monitors',
          description:
            'Does somebody look at queues and streams? Exactly one agent; 0 makes the panels of queues and streams empty.',
          queries: [{ expr: 'sum(conclave_monitor{mesh="$mesh"})', legend: 'monitors' }],
          unit: 'short',
          decimals: 0,
          steps: [{ color: 'red' }, { from: 1, color: 'green' }, { from: 2, color: 'yellow' }],
          width: 6,
        }),
        timeseries({
          title: 'Round trip to the broker',
          description:
            'Is the broker quick? Of a ping from each agent; all slow: the broker. One slow: that agent is busy, or far away.',
          queries: [{ expr: byAgent('conclave_broker_round_trip_seconds{mesh="$mesh"}', 'max'), legend: '{{agent}}' }],
          unit: 's',
          width: 12,
        }),
        timeseries({
          title: 'Messages stored, by stream',
          description:
            'What does the broker store? A second. dag is the state of goals and tasks, log the copy of it with all messages.',
          queries: [
            {
              expr: 'clamp_min(deriv(mesh_stream:conclave_stream_messages:max{mesh="$mesh"}[$__rate_interval]), 0)',
              legend: '{{stream}}',
            },
          ],
          unit: 'ops',
          width: 12,
        }),
        timeseries({
          title: 'Bytes, by stream',
          description: 'What fills the disk? Records and log are kept for 30 days; blobs are large inputs and results.',
          queries: [{ expr: 'max by (stream) (conclave_stream_bytes{mesh="$mesh"})', legend: '{{stream}}' }],
          unit: 'bytes',
          stacked: true,
          width: 8,
        }),
        timeseries({
          title: 'JetStream, disk and memory',
          description: 'What does the account use in all? Memory holds the presence of agents.',
          queries: [
            { expr: 'max(conclave_jetstream_storage_bytes{mesh="$mesh"})', legend: 'disk' },
            { expr: 'max(conclave_jetstream_memory_bytes{mesh="$mesh"})', legend: 'memory' },
          ],
          unit: 'bytes',
          width: 8,
        }),
        timeseries({
          title: 'Missing copies',
          description:
            'How near is a loss of quorum? Copies of each stream that are not up to date; on three servers one may be missing, two may not.',
          queries: [
            {
              expr: 'max by (stream) (conclave_stream_replicas{mesh="$mesh"}) - max by (stream) (conclave_stream_replicas_current{mesh="$mesh"})',
              legend: '{{stream}}',
            },
          ],
          unit: 'short',
          steps: [{ color: 'green' }, { from: 1, color: 'red' }],
          width: 8,
        }),
        timeline({
          title: 'Leaders',
          description:
            'When was a stream without a leader, and for how long? An election takes seconds; longer is a lost quorum.',
          queries: [{ expr: 'min by (stream) (conclave_stream_led{mesh="$mesh"})', legend: '{{stream}}' }],
          unit: 'short',
          states: { 0: { text: 'no leader', color: 'red' }, 1: { text: 'led', color: 'green' } },
          width: 12,
        }),
        timeseries({
          title: 'Surveys that failed',
          description:
            'Why are panels of queues and streams empty? Parts that the broker did not answer; the log line monitor.survey_failed has the cause.',
          queries: [
            {
              expr: 'sum by (what) (increase(conclave_survey_errors_total{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{what}}',
            },
          ],
          unit: 'short',
          width: 12,
        }),
      ],
    },
  ],
};
