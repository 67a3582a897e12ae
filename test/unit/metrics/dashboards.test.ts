/** The dashboards and rules, without a Prometheus: they ask for metrics that exist, are complete, and lead to each other. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { dashboards } from '../../../deploy/monitoring/dashboards/all.ts';
import { dashboard } from '../../../deploy/monitoring/dashboards/dashboard.ts';
import { metricsPage } from '../../../deploy/monitoring/metrics-page.ts';
import { metricOf, namesIn } from '../../../deploy/monitoring/names.ts';
import { rules } from '../../../deploy/monitoring/rules.ts';
import { metricsOf } from '../../../shared/runtime/metrics.ts';

const { alerts, recordings } = rules();
const panels = dashboards.flatMap(({ title, rows }) =>
  rows.flatMap((row) => row.panels.map(({ panel, exprs }) => ({ where: `${title}, ${panel.title}`, panel, exprs }))),
);
const queries = [
  ...panels.flatMap(({ where, exprs }) => exprs.map((expr) => ({ where, expr }))),
  ...alerts.map(({ alert, expr }) => ({ where: alert, expr })),
  ...recordings.map(({ record, expr }) => ({ where: record, expr })),
];

/** What Prometheus itself makes. */
const OWN = ['up', 'ALERTS'];

async function known(): Promise<Set<string>> {
  const text = await metricsOf().registry.metrics();
  const served = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => String(name));
  return new Set([...served, ...OWN, ...recordings.map(({ record }) => record)]);
}

/** `where: name` of each metric that a query reads and nobody serves. */
function unknownIn(names: ReadonlySet<string>): string[] {
  return queries.flatMap(({ where, expr }) =>
    namesIn(expr)
      .filter((name) => !names.has(name) && !names.has(metricOf(name)))
      .map((name) => `${where}: ${name}`),
  );
}

describe('every query', () => {
  it('reads metrics that the code has', async () => {
    expect(queries.length).toBeGreaterThan(100);
    expect(queries.filter(({ expr }) => namesIn(expr).length === 0)).toEqual([]);
    expect(unknownIn(await known())).toEqual([]);
  });

  it.each(['conclave_tasks_total', 'conclave_queue_waiting', 'conclave_agent_info', 'conclave_vote_round_seconds'])(
    'is missed when %s is renamed',
    async (name) => {
      const names = await known();
      expect(names.delete(name)).toBe(true);
      expect(unknownIn(names).length).toBeGreaterThan(0);
    },
  );

  it('is not wanting for a metric: each is read by a dashboard or an alert', () => {
    const unread = metricsPage()
      .split('\n')
      .filter((line) => line.endsWith('| - |'));
    expect(unread).toEqual([]);
  });

  it('keeps to the mesh that was chosen, in each of its selectors', () => {
    const count = (text: string, part: string): number => text.split(part).length - 1;
    for (const { where, exprs } of panels)
      for (const expr of exprs) {
        expect([where, namesIn(expr).filter((name) => !expr.includes(`${name}{`))]).toEqual([where, []]);
        expect([where, count(expr, 'mesh="$mesh"')]).toEqual([where, count(expr, '{')]);
      }
  });
});

describe('names in a query', () => {
  it.each([
    ['sum by (le, status) (rate(a_b{c="d_e"}[5m]))', ['a_b']],
    ['x:y:z > 0.5 and on (mesh_x) up{job="j"} == 1', ['x:y:z', 'up']],
    ['a_b * on (i_j) group_left (k_l) c_d{e=~"$f_g"}', ['a_b', 'c_d']],
    ['histogram_quantile(0.95, sum(rate(a_bucket[$__rate_interval])))', ['a_bucket']],
    ['clamp_min(delta(ALERTS{x_y="z"}[1h:5m]), 0) or vector(0)', ['ALERTS']],
  ])('%s', (expr, names) => {
    expect(namesIn(expr)).toEqual(names);
  });
});

describe('every panel', () => {
  it('has a title of its own on its dashboard, and a description that opens with a question', () => {
    for (const { title, rows } of dashboards) {
      const titles = rows.flatMap((row) => row.panels.map(({ panel }) => panel.title));
      expect([title, ...titles.filter((each, index) => titles.indexOf(each) !== index)]).toEqual([title]);
    }
    const mute = panels.filter(({ panel }) => !/^[A-Z][^.]*\? \S/.test(panel.description ?? ''));
    expect(mute.map(({ where }) => where)).toEqual([]);
  });

  it('has a unit, and thresholds where it shows one figure', () => {
    for (const { where, panel } of panels)
      expect([where, panel.fieldConfig?.defaults?.unit]).toEqual([where, expect.stringMatching(/./)]);
    const plain = panels.filter(
      ({ panel }) => panel.type === 'stat' && panel.fieldConfig?.defaults?.thresholds === undefined,
    );
    expect(plain.map(({ where }) => where)).toEqual([]);
  });

  it('lies beside the others, within the width of the dashboard', () => {
    for (const spec of dashboards) {
      const cells = new Set<string>();
      const ids = new Set<number | undefined>();
      for (const panel of dashboard(spec).panels ?? []) {
        const { x = 0, y = 0, w = 0, h = 0 } = panel.gridPos ?? {};
        expect([panel.title, x + w <= 24]).toEqual([panel.title, true]);
        for (let column = x; column < x + w; column += 1)
          for (let line = y; line < y + h; line += 1) {
            const cell = `${column},${line}`;
            expect([panel.title, cell, cells.has(cell)]).toEqual([panel.title, cell, false]);
            cells.add(cell);
          }
        expect(ids.has(panel.id)).toBe(false);
        ids.add(panel.id);
      }
    }
  });
});

describe('every dashboard', () => {
  it('links to the others and takes its variables along', () => {
    expect(dashboards.map(({ uid }) => uid)).toEqual(
      ['overview', 'goals', 'consensus', 'cost', 'resilience', 'agents'].map((name) => `conclave-${name}`),
    );
    for (const made of dashboards.map(dashboard)) {
      expect(made.links).toMatchObject([{ type: 'dashboards', tags: ['conclave'], includeVars: true, keepTime: true }]);
      expect(made.tags).toEqual(['conclave']);
    }
  });

  it('declares each variable that its queries use, and no other', () => {
    for (const spec of dashboards) {
      const made = dashboard(spec);
      const declared = (made.templating.list ?? []).map(({ name }) => name).filter((name) => name !== 'datasource');
      const used = new Set(
        spec.rows
          .flatMap(({ panels: all }) => all.flatMap(({ exprs }) => exprs))
          .flatMap((expr) => [...expr.matchAll(/\$([a-z]+)/g)].map(([, name]) => String(name))),
      );
      expect([spec.uid, [...used].toSorted()]).toEqual([spec.uid, declared.toSorted()]);
    }
  });
});

describe('every alert', () => {
  const Tests = z.object({
    tests: z.array(
      z.object({ promql_expr_test: z.array(z.object({ expr: z.string(), exp_samples: z.array(z.unknown()) })) }),
    ),
  });
  const folder = new URL('../../observability/alerts/', import.meta.url);
  const expectations = readdirSync(folder).flatMap((name) =>
    Tests.parse(parse(readFileSync(new URL(name, folder), 'utf8'))).tests.flatMap((each) => each.promql_expr_test),
  );
  const tested = (alert: string, firing: boolean): boolean =>
    expectations.some(
      ({ expr, exp_samples: samples }) => expr.includes(`alertname="${alert}"`) && samples.length > 0 === firing,
    );

  it.each(alerts.map(({ alert }) => alert))('%s is tested firing and not firing', (alert) => {
    expect([tested(alert, true), tested(alert, false)]).toEqual([true, true]);
  });

  it('says how bad it is, and what to do', () => {
    for (const { alert, severity, runbook, summary } of alerts) {
      expect([alert, severity]).toEqual([alert, expect.stringMatching(/^(critical|warning|info)$/)]);
      expect([alert, runbook.match(/^\d\. /gm)?.length]).toEqual([alert, expect.any(Number)]);
      expect([alert, summary.length < 160]).toEqual([alert, true]);
    }
  });
});
