/**
 * `make observability`: a real Prometheus scrapes a real mesh on which everything happens that the dashboards show, and answers every query of every
 * panel, rule and variable. A second one scrapes the same mesh with one metric renamed: exactly what reads it must be missed.
 */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { metricsRead } from '../../deploy/monitoring/names.ts';
import { rules as rulesInFiles } from '../../deploy/monitoring/rules.ts';
import { runSuite, type Suite } from '../support/suite.ts';
import { waitUntil } from '../support/wait.ts';
import { type PanelQuery, type PanelToAsk, panelsToAsk, variablesToAsk } from './panels.ts';
import { type Prometheus, promtool, type Rule, type Selector, startPrometheus } from './prometheus.ts';
import { makeTraffic, startWorld } from './traffic.ts';

/** Long enough for an alert that waits a minute for work that nobody can do. */
const TRAFFIC_S = Number(process.env['SECONDS'] ?? 85);
const STEP_S = 2;
const RENAMED = { from: 'conclave_tasks_total', to: 'conclave_jobs_total' };

/** What the traffic causes: pending or firing at its end. Everything else must be quiet. */
const CAUSED = [
  'ConclaveDeadLetters',
  'ConclaveBudgetRefusals',
  'ConclaveNoAgentForCapability',
  'ConclaveGoalsFailing',
  'ConclaveAgentNotReady',
  'ConclaveBreakerOpen',
];
/** May be seen or not: which rounds end undecided, and how far behind a short run is, is for the mesh to say. */
const OPEN = [
  'ConclaveVotesUndecided',
  'ConclaveQueueGrowing',
  'ConclaveSweepRepairs',
  'ConclaveAgentDown',
  'ConclaveModelFailing',
];

await runSuite(
  'observability: every panel, rule and variable against a real Prometheus on a real mesh',
  async (suite) => {
    files(suite);
    const world = await startWorld(suite);
    const targets = await Promise.all(world.agents.map(async (agent) => new URL(await agent.origin()).host));
    const [prometheus, renaming] = await Promise.all([
      startPrometheus({ mesh: world.mesh.name, targets }),
      startPrometheus({ mesh: world.mesh.name, targets, rename: RENAMED }),
    ]);
    suite.onEnd(() => prometheus.stop());
    suite.onEnd(() => renaming.stop());
    // A counter that is first seen after its first event shows no increase.
    for (const each of [prometheus, renaming])
      await waitUntil(
        'every agent is scraped',
        async () => (await each.instant('up == 1')).length === targets.length,
        30_000,
      );
    const rounds = await makeTraffic(world, TRAFFIC_S);
    suite.note(`${world.agents.length} agents, ${rounds} rounds of traffic in ${TRAFFIC_S} s, scraped every second`);

    const values = {
      mesh: world.mesh.name,
      capability: '.*',
      agent: '.*',
      __rate_interval: '10s',
      __range: `${TRAFFIC_S}s`,
    };
    await variables(suite, prometheus, values);
    const panels = panelsToAsk(values);
    for (const panel of panels) await judged(suite, prometheus, panel);
    const { recordings } = rulesInFiles();
    const found = await prometheus.rules();
    await recorded(suite, prometheus, found);
    await alerts(suite, prometheus, found);
    await renamed(suite, renaming, panels, recordings);
  },
);

function files(suite: Suite): void {
  const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
  const deployed = at('../../deploy/prometheus/');
  for (const name of readdirSync(deployed).filter((each) => each.endsWith('.yml'))) {
    const { ok, said } = promtool(['check', 'config', `${deployed}${name}`]);
    suite.check(`promtool takes deploy/prometheus/${name}`, ok, ok ? undefined : said);
  }
  const tests = readdirSync(at('alerts/')).map((name) => `${at('alerts/')}${name}`);
  const { ok, said } = promtool(['test', 'rules', ...tests]);
  suite.check(
    `promtool's tests of ${rulesInFiles().alerts.length} alerts, each firing and not firing`,
    ok,
    ok ? `${tests.length} files` : said,
  );
}

async function variables(
  suite: Suite,
  prometheus: Prometheus,
  values: Readonly<Record<string, string>>,
): Promise<void> {
  for (const { dashboard, name, label, selector } of variablesToAsk(values)) {
    const found = await prometheus.labelValues(label, selector);
    suite.check(`${dashboard}: variable ${name}`, found.length > 0, found.join(', ').slice(0, 120));
  }
}

async function seriesOf(prometheus: Prometheus, { expr, instant }: PanelQuery) {
  return instant ? prometheus.instant(expr) : prometheus.range(expr, TRAFFIC_S, STEP_S);
}

async function judged(suite: Suite, prometheus: Prometheus, { dashboard, panel, queries }: PanelToAsk): Promise<void> {
  const counts: string[] = [];
  const problems: string[] = [];
  for (const query of queries) {
    try {
      const series = await seriesOf(prometheus, query);
      counts.push(`${series.length} series, ${series.reduce((sum, { values }) => sum + values.length, 0)} values`);
      if (series.length === 0) problems.push(`no data: ${query.expr}`);
      const nameless = query.labels.filter((label) => !series.some(({ labels }) => label in labels));
      if (series.length > 0 && nameless.length > 0)
        problems.push(`no series has the legend's ${nameless.join(', ')}: ${query.expr}`);
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
  }
  const holds = problems.length === 0 && queries.length > 0;
  suite.check(`${dashboard} / ${panel}`, holds, holds ? counts.join('; ') : problems.join('; ') || 'it asks nothing');
}

async function recorded(suite: Suite, prometheus: Prometheus, rules: readonly Rule[]): Promise<void> {
  for (const { name, health, lastError } of rules.filter(({ type }) => type === 'recording')) {
    const series = await prometheus.range(name, TRAFFIC_S, STEP_S);
    suite.check(`rule ${name}`, health === 'ok' && series.length > 0, `${series.length} series ${lastError}`.trim());
  }
}

async function alerts(suite: Suite, prometheus: Prometheus, rules: readonly Rule[]): Promise<void> {
  const known = rulesInFiles().alerts.map(({ alert }) => alert);
  suite.check(
    'Prometheus evaluates every alert',
    known.every((alert) => rules.some(({ name }) => name === alert)),
    String(known.length),
  );
  for (const { name, query, health, lastError, state = '' } of rules.filter(({ type }) => type === 'alerting')) {
    const missing: string[] = [];
    const selectors = await prometheus.selectors(query);
    for (const selector of selectors)
      if ((await prometheus.range(textOf(selector), TRAFFIC_S, STEP_S)).length === 0) missing.push(textOf(selector));
    // The first seconds are Prometheus's own: before its first scrape there is no agent.
    const seen = await prometheus.range(`ALERTS{alertname="${name}"}`, TRAFFIC_S - 15, STEP_S);
    const caused = seen.length > 0 || state !== 'inactive';
    const asExpected = OPEN.includes(name) || CAUSED.includes(name) === caused;
    const what = CAUSED.includes(name) ? 'is seen' : OPEN.includes(name) ? 'can be evaluated' : 'is quiet';
    suite.check(
      `alert ${name} ${what}`,
      health === 'ok' && missing.length === 0 && asExpected,
      [
        `${state}, reads ${selectors.length} series by name`,
        lastError,
        ...missing.map((each) => `no such series: ${each}`),
      ]
        .filter(Boolean)
        .join('; '),
    );
  }
}

function textOf({ name, matchers }: Selector): string {
  const rest = matchers.filter((matcher) => matcher.name !== '__name__');
  return `${name}{${rest.map((matcher) => `${matcher.name}${matcher.type}${JSON.stringify(matcher.value)}`).join(',')}}`;
}

/** With one metric under another name, the queries that read it are without data, and no others. */
async function renamed(
  suite: Suite,
  prometheus: Prometheus,
  panels: readonly PanelToAsk[],
  recordings: ReturnType<typeof rulesInFiles>['recordings'],
): Promise<void> {
  const surprises: string[] = [];
  let missed = 0;
  for (const { dashboard, panel, queries } of panels)
    for (const query of queries) {
      const reads = metricsRead(query.expr, recordings).includes(RENAMED.from);
      const empty = (await seriesOf(prometheus, query)).length === 0;
      if (empty) missed += 1;
      if (reads !== empty)
        surprises.push(
          `${dashboard} / ${panel}: ${empty ? 'no data' : 'data'}, although it ${reads ? 'reads' : 'does not read'} it`,
        );
    }
  suite.check(
    `renaming ${RENAMED.from} is noticed by every query that reads it, and by no other`,
    missed > 0 && surprises.length === 0,
    surprises.length === 0 ? `${missed} queries without data` : surprises.join('; '),
  );
}
