import { type DashboardSpec } from './dashboard.ts';
import { stat, timeseries } from './panel.ts';

export const consensus: DashboardSpec = {
  uid: 'conclave-consensus',
  title: 'Conclave: consensus',
  description: 'Whether agents come to decisions, how long it takes, and which ballots did not count.',
  variables: [],
  rows: [
    {
      title: 'Decisions',
      panels: [
        stat({
          title: 'Rounds that decided',
          description:
            'Do votes lead to decisions? Share of the rounds in the time range shown that ended in consensus.',
          queries: [
            {
              expr: `sum(increase(conclave_vote_rounds_total{mesh="$mesh",outcome="consensus"}[$__range]))
                / sum(increase(conclave_vote_rounds_total{mesh="$mesh"}[$__range]))`,
              legend: 'decided',
            },
          ],
          unit: 'percentunit',
          steps: [{ color: 'red' }, { from: 0.5, color: 'yellow' }, { from: 0.9, color: 'green' }],
          width: 8,
        }),
        stat({
          title: 'Duration of a round, p95',
          description:
            'How long do votes hold work up? From the request to the stored decision; mostly the slowest voter that is needed.',
          queries: [
            {
              expr: 'histogram_quantile(0.95, sum by (le) (rate(conclave_vote_round_seconds_bucket{mesh="$mesh"}[$__range])))',
              legend: 'p95',
            },
          ],
          unit: 's',
          steps: [{ color: 'blue' }],
          width: 8,
        }),
        stat({
          title: 'Results sent back',
          description:
            'How often do voters refuse a result? Times in the time range shown that a task had to work again.',
          queries: [
            {
              expr: 'sum(increase(conclave_attempts_failed_total{mesh="$mesh",code="rejected_by_vote"}[$__range])) or vector(0)',
              legend: 'sent back',
            },
          ],
          unit: 'short',
          decimals: 0,
          steps: [{ color: 'blue' }],
          width: 8,
        }),
        timeseries({
          title: 'Rounds by outcome',
          description:
            'Why do rounds end without a decision? insufficient_votes: voters are missing or too slow. no_majority, tie: they disagree; conclave log has their rationales.',
          queries: [
            {
              expr: 'sum by (outcome) (increase(conclave_vote_rounds_total{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{outcome}}',
            },
          ],
          unit: 'short',
          stacked: true,
          width: 12,
        }),
        timeseries({
          title: 'Duration of a round, by method',
          description: 'Which way of voting costs time? Median and 95th percentile.',
          queries: [0.5, 0.95].map((quantile) => ({
            expr: `histogram_quantile(${quantile}, sum by (method, le) (
              rate(conclave_vote_round_seconds_bucket{mesh="$mesh"}[$__rate_interval])))`,
            legend: `{{method}} p${quantile * 100}`,
          })),
          unit: 's',
          width: 12,
        }),
      ],
    },
    {
      title: 'Ballots',
      panels: [
        timeseries({
          title: 'Ballots by position',
          description:
            'How do voters vote? Many abstentions mean that voters have no opinion or fail to form one; their rationale says which.',
          queries: [
            {
              expr: 'sum by (position) (increase(conclave_ballots_total{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{position}}',
            },
          ],
          unit: 'short',
          stacked: true,
          width: 12,
        }),
        timeseries({
          title: 'Ballots that did not count',
          description:
            'Does anybody vote who may not, or twice? late is a slow voter; agent_mismatch, off_roster and contradiction are somebody who should be looked at.',
          queries: [
            {
              expr: 'sum by (reason) (increase(conclave_ballots_rejected_total{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{reason}}',
            },
          ],
          unit: 'short',
          stacked: true,
          width: 12,
        }),
        timeseries({
          title: 'Requests not answered',
          description:
            'Why do voters stay silent? not_in_roster is normal where only some are asked; overloaded needs more voters or slots.',
          queries: [
            {
              expr: 'sum by (reason) (increase(conclave_vote_requests_ignored_total{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{reason}}',
            },
          ],
          unit: 'short',
          stacked: true,
          width: 12,
        }),
        timeseries({
          title: 'Requests and ballots on the wire',
          description:
            'What do votes cost in messages? Received by agents; every voter of a capability hears every request to it.',
          queries: [
            {
              expr: `sum by (message_type) (rate(
                conclave_messages_total{mesh="$mesh",direction="in",message_type=~"vote|ballot"}[$__rate_interval]))`,
              legend: '{{message_type}}',
            },
          ],
          unit: 'ops',
          width: 12,
        }),
      ],
    },
  ],
};
