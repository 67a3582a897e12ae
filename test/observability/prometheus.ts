/** A real Prometheus on the shipped configuration, and its HTTP API. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { prometheusPrograms } from '../../deploy/bootstrap/prometheus/find.ts';
import { freePort } from '../support/free-port.ts';
import { waitUntil } from '../support/wait.ts';

const DEPLOYED = fileURLToPath(new URL('../../deploy/prometheus/', import.meta.url));
const READY_MS_MAX = 30_000;

export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  /** What of it is a number. */
  readonly values: readonly number[];
}

export interface Selector {
  readonly name: string;
  readonly matchers: readonly { readonly name: string; readonly type: string; readonly value: string }[];
}

export interface Rule {
  readonly type: 'alerting' | 'recording';
  readonly name: string;
  readonly query: string;
  readonly health: string;
  readonly lastError: string;
  /** Of an alert: inactive, pending or firing. */
  readonly state: string | undefined;
}

export interface Prometheus {
  /** Over the last `seconds`, every `step` seconds. */
  range(expr: string, seconds: number, step: number): Promise<readonly Series[]>;
  instant(expr: string): Promise<readonly Series[]>;
  labelValues(label: string, selector: string): Promise<readonly string[]>;
  rules(): Promise<readonly Rule[]>;
  /** What an expression reads, by Prometheus's own parser. */
  selectors(expr: string): Promise<readonly Selector[]>;
  stop(): Promise<void>;
}

export interface PrometheusOptions {
  readonly mesh: string;
  /** `host:port` of each agent. */
  readonly targets: readonly string[];
  /** A metric that gets another name when it is scraped: what a change in the code would do. */
  readonly rename?: { readonly from: string; readonly to: string };
}

/** promtool's word on a file of the deployment, or of the tests. */
export function promtool(args: readonly string[]): { readonly ok: boolean; readonly said: string } {
  const { status, stdout, stderr } = spawnSync(prometheusPrograms().promtool, args, {
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { ok: status === 0, said: `${stdout}${stderr}`.trim() };
}

export async function startPrometheus(options: PrometheusOptions): Promise<Prometheus> {
  const folder = mkdtempSync(join(tmpdir(), 'conclave-prometheus-'));
  cpSync(DEPLOYED, folder, { recursive: true });
  const config = join(folder, 'local.yml');
  // As shipped, but for the pace: nobody should wait minutes for a proof.
  writeFileSync(config, readFileSync(config, 'utf8').replaceAll(/_interval: 5s/g, '_interval: 1s'));
  const { rename } = options;
  if (rename !== undefined)
    appendFileSync(
      config,
      [
        '    metric_relabel_configs:',
        `      - { source_labels: [__name__], regex: "${rename.from}", target_label: __name__, replacement: "${rename.to}" }`,
        '',
      ].join('\n'),
    );
  writeFileSync(
    join(folder, 'targets', 'local.yml'),
    `- { labels: { mesh: ${options.mesh} }, targets: ${JSON.stringify(options.targets)} }\n`,
  );
  const port = await freePort();
  const args = [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
    '--log.level=warn',
  ];
  const child = spawn(prometheusPrograms().prometheus, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const words = wordsOf(child);
  const ended = once(child, 'exit');
  const end = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', () => child.kill('SIGKILL'));
  const origin = `http://127.0.0.1:${port}`;
  try {
    await waitUntil(
      'Prometheus is ready',
      async () => {
        if (child.exitCode !== null) throw new Error(`Prometheus ended: ${words()}`);
        return fetch(`${origin}/-/ready`).then(
          (response) => response.ok,
          () => false,
        );
      },
      READY_MS_MAX,
    );
  } catch (error) {
    await end();
    throw error;
  }
  return { ...api(origin), stop: end };
}

function wordsOf(child: ChildProcess): () => string {
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      text = `${text}${chunk.toString()}`.slice(-4_000);
    });
  return () => text.trim();
}

const Sample = z.tuple([z.number(), z.string()]);
const Result = z.object({
  result: z.array(
    z.object({
      metric: z.record(z.string(), z.string()),
      value: Sample.optional(),
      values: z.array(Sample).optional(),
    }),
  ),
});
const Rules = z.object({
  groups: z.array(
    z.object({
      rules: z.array(
        z.object({
          type: z.enum(['alerting', 'recording']),
          name: z.string(),
          query: z.string(),
          health: z.string(),
          lastError: z.string().default(''),
          state: z.string().optional(),
        }),
      ),
    }),
  ),
});
const Answer = z.object({ status: z.string(), error: z.string().optional(), data: z.unknown() });
const Matcher = z.object({ name: z.string(), type: z.string(), value: z.string() });
const VectorSelector = z.object({
  type: z.enum(['vectorSelector', 'matrixSelector']),
  name: z.string(),
  matchers: z.array(Matcher),
});

function api(origin: string): Omit<Prometheus, 'stop'> {
  async function ask<T>(path: string, parameters: Readonly<Record<string, string>>, schema: z.ZodType<T>): Promise<T> {
    const response = await fetch(`${origin}/api/v1/${path}?${new URLSearchParams(parameters).toString()}`);
    const answer = Answer.parse(await response.json());
    if (answer.status !== 'success')
      throw new Error(`${path} ${JSON.stringify(parameters)}: ${answer.error ?? 'failed'}`);
    return schema.parse(answer.data);
  }

  function seriesOf({ result }: z.infer<typeof Result>): readonly Series[] {
    return result
      .map(({ metric, value, values }) => ({
        labels: metric,
        values: (values ?? (value === undefined ? [] : [value]))
          .map(([, text]) => numberOf(text))
          .filter((each) => !Number.isNaN(each)),
      }))
      .filter(({ values }) => values.length > 0);
  }

  return {
    async range(expr, seconds, step) {
      const end = Date.now() / 1_000;
      const parameters = { query: expr, start: String(end - seconds), end: String(end), step: String(step) };
      return seriesOf(await ask('query_range', parameters, Result));
    },
    instant: async (expr) => seriesOf(await ask('query', { query: expr }, Result)),
    labelValues: (label, selector) => ask(`label/${label}/values`, { 'match[]': selector }, z.array(z.string())),
    async rules() {
      const { groups } = await ask('rules', {}, Rules);
      return groups.flatMap(({ rules }) => rules.map((rule) => ({ ...rule, state: rule.state })));
    },
    async selectors(expr) {
      const found: Selector[] = [];
      const visit = (node: unknown): void => {
        if (Array.isArray(node)) node.forEach(visit);
        if (typeof node !== 'object' || node === null) return;
        const selector = VectorSelector.safeParse(node);
        if (selector.success) found.push(selector.data);
        else Object.values(node).forEach(visit);
      };
      visit(await ask('parse_query', { query: expr }, z.unknown()));
      return found;
    },
  };
}

/** Prometheus writes infinities with a sign and three letters. */
function numberOf(text: string): number {
  return Number(text.replace('Inf', 'Infinity'));
}
