import { type DashboardSpec } from './dashboard.ts';
import { heatmap, stat, timeseries } from './panel.ts';

export const cost: DashboardSpec = {
  uid: 'conclave-cost',
  title: 'Conclave: cost and budgets',
  description: 'What the mesh spends, on whom and what, what budgets refused, and how the model answers.',
  variables: ['agent'],
  rows: [
    {
      title: 'Spending',
      panels: [
        stat({
          title: 'Spent',
          description: 'What did it cost? Compute and communication in the time range shown.',
          queries: [{ expr: 'sum(increase(conclave_cost_usd_total{mesh="$mesh"}[$__range]))', legend: 'USD' }],
          unit: 'currencyUSD',
          steps: [{ color: 'blue' }],
          width: 6,
        }),
        stat({
          title: 'Spent on each completed goal',
          description:
            'What does a goal cost? All spending over completed goals, so failures are paid by what succeeds.',
          queries: [
            {
              expr: `sum(increase(conclave_cost_usd_total{mesh="$mesh"}[$__range]))
                / sum(increase(conclave_goals_total{mesh="$mesh",status="completed"}[$__range]))`,
              legend: 'USD',
            },
          ],
          unit: 'currencyUSD',
          steps: [{ color: 'blue' }],
          width: 6,
        }),
        stat({
          title: 'Reserved now',
          description:
            'What may running calls still cost at most? Their worst case is held in the budgets until they are settled.',
          queries: [{ expr: 'sum(conclave_reserved_usd{mesh="$mesh"})', legend: 'USD' }],
          unit: 'currencyUSD',
          steps: [{ color: 'blue' }],
          width: 6,
        }),
        stat({
          title: 'Refused by budgets',
          description:
            'Did caps hold anything up? Calls and messages in the time range shown; their goals failed with budget_exceeded.',
          queries: [
            { expr: 'sum(increase(conclave_budget_refusals_total{mesh="$mesh"}[$__range]))', legend: 'refused' },
          ],
          unit: 'short',
          decimals: 0,
          steps: [{ color: 'green' }, { from: 1, color: 'yellow' }],
          width: 6,
        }),
        timeseries({
          title: 'Spending by agent',
          description: 'Who spends? USD an hour at the present rate.',
          queries: [
            {
              expr: `3600 * sum by (agent) (
                rate(conclave_cost_usd_total{mesh="$mesh"}[$__rate_interval]) * on (mesh, instance) group_left (agent)
                conclave_agent_info{mesh="$mesh",agent=~"$agent"})`,
              legend: '{{agent}}',
            },
          ],
          unit: 'currencyUSD',
          stacked: true,
          width: 12,
        }),
        timeseries({
          title: 'Spending by kind',
          description:
            'Is it models or messages? USD an hour at the present rate; compute is model calls, communication what agents say to each other.',
          queries: [
            {
              expr: '3600 * sum by (kind) (rate(conclave_cost_usd_total{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{kind}}',
            },
          ],
          unit: 'currencyUSD',
          stacked: true,
          width: 12,
        }),
        heatmap({
          title: 'Measured over predicted cost',
          description: 'Are predictions any good? 1 is right; goals above it cost more than they were predicted to.',
          queries: [
            {
              expr: 'sum by (le) (increase(conclave_cost_prediction_ratio_bucket{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{le}}',
            },
          ],
          unit: 'short',
          width: 12,
        }),
        timeseries({
          title: 'Budget refusals, by limit',
          description: 'Which limit is too small? conclave cost of a refused goal shows what was predicted and spent.',
          queries: [
            {
              expr: 'sum by (limit) (increase(conclave_budget_refusals_total{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{limit}}',
            },
          ],
          unit: 'short',
          stacked: true,
          width: 6,
        }),
        timeseries({
          title: 'Open reservations',
          description:
            'How many calls hold a part of a budget? They rise with calls in flight; a line that never falls is a call that never ends.',
          queries: [{ expr: 'sum(conclave_reservations_open{mesh="$mesh"})', legend: 'reservations' }],
          unit: 'short',
          width: 6,
        }),
        timeseries({
          title: 'Reservations of the dead',
          description:
            'Was money spent that nobody can account for? Calls whose agent died before it said what they cost; each counts as spent in full.',
          queries: [
            {
              expr: 'sum(increase(conclave_reservations_lost_total{mesh="$mesh"}[$__rate_interval]))',
              legend: 'calls',
            },
          ],
          unit: 'short',
          width: 6,
        }),
      ],
    },
    {
      title: 'The model',
      panels: [
        timeseries({
          title: 'Tokens a second',
          description:
            'What is the quota used for? Input grows with what tasks are given, output with what they write.',
          queries: [
            {
              expr: 'sum by (model, type) (rate(conclave_model_tokens_total{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{model}} {{type}}',
            },
          ],
          unit: 'short',
          width: 12,
        }),
        timeseries({
          title: 'Answers by outcome',
          description:
            'Does the model answer? unavailable: endpoint or network, after retries. refused: the request itself. invalid_output: not what was asked for, also after a repair.',
          queries: [
            {
              expr: 'sum by (outcome) (rate(conclave_model_seconds_count{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{outcome}}',
            },
          ],
          unit: 'ops',
          stacked: true,
          width: 12,
        }),
        timeseries({
          title: 'Time to an answer',
          description: 'Is the model slow? Retries, waiting for a slot and repairs included: what a task feels.',
          queries: [0.5, 0.95, 0.99].map((quantile) => ({
            expr: `histogram_quantile(${quantile}, sum by (model, le) (
              rate(conclave_model_seconds_bucket{mesh="$mesh",outcome="ok"}[$__rate_interval])))`,
            legend: `{{model}} p${quantile * 100}`,
          })),
          unit: 's',
          width: 12,
        }),
        timeseries({
          title: 'Answers that fail',
          description: 'What share of the questions gets no usable answer? Above 20 % an alert fires.',
          queries: [{ expr: 'mesh_model:conclave_model_failed:ratio_rate5m{mesh="$mesh"}', legend: '{{model}}' }],
          unit: 'percentunit',
          max: 1,
          steps: [{ color: 'green' }, { from: 0.2, color: 'red' }],
          width: 6,
        }),
        timeseries({
          title: 'Token counts that were not believed',
          description:
            'Does the endpoint count fairly? What a text cannot have used is not charged; many of these mean that the endpoint miscounts.',
          queries: [
            {
              expr: 'sum by (doubt) (increase(conclave_model_usage_doubted_total{mesh="$mesh"}[$__rate_interval]))',
              legend: '{{doubt}}',
            },
          ],
          unit: 'short',
          width: 6,
        }),
      ],
    },
  ],
};
