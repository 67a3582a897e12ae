import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { monitoringFiles } from '../../../deploy/monitoring/files.ts';
import { agentMetrics, metricsPage } from '../../../deploy/monitoring/metrics-page.ts';
import { LABELS } from '../../../shared/runtime/metric-labels.ts';
import { metricsOf } from '../../../shared/runtime/metrics.ts';

/** The list of PROTOCOL. */
const PROTOCOL = `
  conclave_goals_total{pattern,status} conclave_goal_duration_seconds{pattern,status} conclave_tasks_total{capability,status}
  conclave_task_duration_seconds{capability,status} conclave_task_queue_seconds{capability} conclave_tasks_in_progress{capability}
  conclave_transitions_total{transition,outcome} conclave_messages_total{direction,message_type} conclave_message_bytes_total{direction}
  conclave_vote_rounds_total{method,outcome} conclave_vote_round_seconds{method} conclave_ballots_total{position} conclave_breaker_state{breaker}
  conclave_retries_total{policy} conclave_model_tokens_total{model,type} conclave_model_seconds{model,outcome} conclave_cost_usd_total{agent,kind}
  conclave_budget_refusals_total{limit} conclave_dead_letters_total{code} conclave_sweep_repairs_total
`;

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

/** Names in the first column of a table. */
function namesIn(page: string): string[] {
  return [...page.matchAll(/^\| `(conclave_\w+)` \|/gm)].map(([, name]) => String(name));
}

function missing(from: readonly string[], others: readonly string[]): string[] {
  return from.filter((name) => !others.includes(name));
}

async function registered(): Promise<string[]> {
  const text = await metricsOf().registry.metrics();
  return [...text.matchAll(/^# TYPE (conclave_\w+)/gm)].map(([, name]) => String(name));
}

describe('the metrics of the code and docs/metrics.md', () => {
  it('have the same names: a metric is documented by running make monitoring', async () => {
    const documented = namesIn(read('docs/metrics.md'));
    const code = await registered();
    expect(code.length).toBeGreaterThan(20);
    expect({ undocumented: missing(code, documented), gone: missing(documented, code) }).toEqual({
      undocumented: [],
      gone: [],
    });
    expect(documented.length).toBe(new Set(documented).size);
  });

  it('differ when one is renamed', () => {
    const renamed = agentMetrics().map((metric) =>
      metric.name === 'conclave_tasks_total' ? { ...metric, name: 'conclave_jobs_total' } : metric,
    );
    const [before, after] = [namesIn(metricsPage()), namesIn(metricsPage(renamed))];
    expect([missing(before, after), missing(after, before)]).toEqual([
      ['conclave_tasks_total'],
      ['conclave_jobs_total'],
    ]);
  });

  it.each([...monitoringFiles()])('%s is current (else: make monitoring)', (path, wanted) => {
    expect(read(path) === wanted).toBe(true);
  });
});

describe('the metrics', () => {
  it('have the names and labels of PROTOCOL', () => {
    const code = new Map(agentMetrics().map(({ name, labels }) => [name, labels]));
    for (const metric of PROTOCOL.trim().split(/\s+/)) {
      const [, name = '', labels = ''] = /^(\w+)(?:\{(.*)\})?$/.exec(metric) ?? [];
      expect([name, ...(code.get(name) ?? ['(none)'])]).toEqual([name, ...labels.split(',').filter(Boolean)]);
    }
  });

  it('have no label of a goal or a task', () => {
    expect(Object.keys(LABELS).filter((label) => /goal|task|round|correlation/i.test(label))).toEqual([]);
  });

  it('measure model calls from 10 ms, doubling up to 82 s', async () => {
    const metrics = metricsOf();
    metrics.modelSeconds.observe({ model: 'm', outcome: 'ok' }, 1);
    const text = await metrics.registry.metrics();
    const bounds = [...text.matchAll(/^conclave_model_seconds_bucket\{le="([\d.]+)"/gm)].map(([, bound]) =>
      Number(bound),
    );
    expect(bounds).toEqual(Array.from({ length: 14 }, (_, index) => 2 ** index / 100));
  });

  it('start at zero where their labels are known, so that the first event is an increase', async () => {
    const text = await metricsOf(['echo']).registry.metrics();
    for (const series of [
      'conclave_tasks_total{capability="echo",status="failed"} 0',
      'conclave_budget_refusals_total{limit="usd"} 0',
      'conclave_goals_total{pattern="parallel",status="failed"} 0',
      'conclave_vote_rounds_total{method="majority",outcome="no_majority"} 0',
      'conclave_sweep_repairs_total 0',
      'conclave_goals_idle_seconds 0',
    ])
      expect(text).toContain(`${series}\n`);
  });
});
