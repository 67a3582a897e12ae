/** What goals cost, counted by a stranger from the streams and the price table, and set beside what the mesh says. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kvm } from '@nats-io/kv';
import { afterAll, expect, inject, test } from 'vitest';
import { jsonOf, readStream } from '../support/foreign.ts';
import { endProcess, startProcess } from '../support/processes.ts';
import { waitUntil } from '../support/wait.ts';
import { STORM } from '../unit/model/sample.ts';
import { type ModelProcess, startModel } from './model/model-process.ts';
import { meshOfFile } from './mesh.ts';

const EXIT_CONFIG = 78;
const PRICES = JSON.parse(readFileSync(new URL('../../deploy/prices.json', import.meta.url), 'utf8'));
const { inputUsdPerMTok, outputUsdPerMTok } = PRICES.models['conclave-offline-1'];
const { usdPerMessage, usdPerKiB } = PRICES.communication;

let model: ModelProcess | undefined;
const REVIEWERS = ['support', 'figures', 'economy'];
const mesh = meshOfFile('cost', async (open) => {
  model = await startModel();
  const { baseUrl } = model;
  const start = (id: string, role: string, more = {}) =>
    open.agent(id, { folder: `services/${role}`, env: { OPENAI_BASE_URL: baseUrl, ...more } });
  await Promise.all([
    start('planner1', 'planner'),
    start('researcher1', 'researcher'),
    start('coder1', 'coder'),
    ...REVIEWERS.map((criterion) => start(`reviewer-${criterion}`, 'reviewer', { REVIEW_CRITERION: criterion })),
  ]);
});
afterAll(() => model?.stop('SIGKILL'));
const foreign = () => mesh().foreign;

interface Costs {
  readonly status: string;
  readonly spent: { readonly usd: number; readonly tokens: number; readonly messages: number };
  readonly cost: {
    readonly compute: Readonly<Record<string, number>>;
    readonly communication: number;
    readonly total: number;
    readonly predicted: number;
    readonly byMessageType: Readonly<Record<string, { messages: number; bytes: number; usd: number }>>;
    readonly votes: number;
  };
}

const nano = (usd: number): number => Math.round(usd * 1e9);
const sum = (values: Iterable<number>): number => [...values].reduce((all, each) => all + each, 0);

async function recordOf(goalId: string): Promise<Costs> {
  const revisions = await foreign().revisions(`goal.${goalId}`);
  return revisions.at(-1)?.record as Costs;
}

let goals = 0;
/** A goal as `make demo` runs it. */
async function brief(): Promise<{ goalId: string; record: Costs }> {
  goals += 1;
  const goalId = `brief-${goals}`;
  await foreign().submit({ goalId, description: 'Brief the storm', input: { text: STORM } });
  expect(await foreign().ended(goalId)).toMatchObject({ status: 'completed' });
  return { goalId, record: await recordOf(goalId) };
}

/** `agent.<agentId>`, with what PROTOCOL does not promise. */
async function estimateOf(agentId: string, capability: string): Promise<number | undefined> {
  const kv = await new Kvm(foreign().nc).open(`${mesh().name}_agents`);
  const presence = (await kv.get(`agent.${agentId}`))?.json<{ estimates?: Record<string, number> }>();
  return presence?.estimates?.[capability];
}

test('every part of the cost adds up, and is what the streams and the price table say', async () => {
  const { goalId, record } = await brief();
  const { cost, spent } = record;
  expect(nano(cost.total)).toBe(sum(Object.values(cost.compute).map(nano)) + nano(cost.communication));
  expect(nano(spent.usd)).toBe(nano(cost.total));

  const tasks = [...(await foreign().tasks(goalId)).values()];
  expect(nano(sum(tasks.map((task) => task.cost.usd))) + nano(cost.votes)).toBe(
    sum(Object.values(cost.compute).map(nano)),
  );
  for (const { cost: of } of tasks) {
    const exact = of.inputTokens * inputUsdPerMTok * 1_000 + of.outputTokens * outputUsdPerMTok * 1_000;
    // Each call is rounded up once, and none of these tasks makes more than four.
    expect(nano(of.usd) - exact).toBeGreaterThanOrEqual(0);
    expect(nano(of.usd) - exact).toBeLessThanOrEqual(4);
  }
  const agents = ['coder1', 'planner1', 'researcher1', ...REVIEWERS.map((criterion) => `reviewer-${criterion}`)];
  expect(agents).toEqual(expect.arrayContaining(Object.keys(cost.compute)));
  expect(Object.keys(cost.compute)).toEqual(expect.arrayContaining(agents.slice(0, 3)));

  const m = mesh().name;
  const logged = await readStream(foreign().nc, `${m}_log`, `${m}.vote.>`);
  const requests = logged.filter(({ data }) => (jsonOf(data) as { goalId?: string }).goalId === goalId);
  const { vote, ballot } = cost.byMessageType;
  expect(vote).toMatchObject({
    messages: requests.length,
    bytes: sum(requests.map(({ data }) => data.length)),
  });
  // Whoever is asked again, because its answer takes long, still answers once.
  const rounds = new Set(requests.map(({ data }) => (jsonOf(data) as { roundId?: string }).roundId)).size;
  expect(ballot?.messages).toBe(REVIEWERS.length * rounds);
  expect(spent.messages).toBe(requests.length + REVIEWERS.length * rounds);
  for (const { messages, bytes, usd } of Object.values(cost.byMessageType)) {
    const exact = messages * usdPerMessage + (bytes / 1024) * usdPerKiB;
    expect(Math.abs(nano(usd) - exact * 1e9)).toBeLessThanOrEqual(requests.length);
  }
  expect(sum(Object.values(cost.byMessageType).map(({ usd }) => nano(usd)))).toBe(nano(cost.communication));
});

test('predictions learn from what goals cost, and what was learned outlives the agents', async () => {
  const before = await estimateOf('researcher1', 'research');
  const first = await brief();
  expect(first.record.cost.predicted).toBeGreaterThan(0);
  await waitUntil(
    'the researcher expects another price than at first',
    async () => (await estimateOf('researcher1', 'research')) !== before,
    20_000,
  );
  const error = ({ cost }: Costs): number => Math.abs(cost.total - cost.predicted) / cost.total;
  const later = await waitUntil(
    'a prediction is right within a third',
    async () => {
      const { record } = await brief();
      return error(record) < 1 / 3 && record;
    },
    40_000,
  );
  expect(error(later)).toBeLessThan(error(first.record));

  const figures = (await foreign().revisions('figures.research')).at(-1)?.record;
  expect(figures).toMatchObject({ tasks: { 'conclave-offline-1': { count: expect.any(Number) } } });
  const env = { OPENAI_BASE_URL: model?.baseUrl ?? '' };
  const fresh = await mesh().agent('researcher2', { folder: 'services/researcher', env });
  const seed = (1_800 * inputUsdPerMTok + 600 * outputUsdPerMTok) / 1e6;
  const known = await estimateOf('researcher2', 'research');
  expect(known).toBeGreaterThan(0);
  expect(Math.abs((known ?? seed) - seed)).toBeGreaterThan(seed / 10);
  await fresh.signal('SIGTERM');
  await fresh.exit;
}, 120_000);

test('a model without a price is refused at the start, by its name, unless the table has a default', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'conclave-prices-'));
  try {
    const { default: any, ...strict } = PRICES;
    const start = (table: object) => {
      const file = join(folder, 'prices.json');
      writeFileSync(file, JSON.stringify(table));
      const env = {
        NATS_URL: inject('natsUrl'),
        MESH: mesh().name,
        AGENT_ID: 'priced',
        OPENAI_BASE_URL: model?.baseUrl ?? '',
        OPENAI_MODEL: 'model-of-next-year',
        PRICES_FILE: file,
      };
      return startProcess({ folder: 'services/researcher', env });
    };
    const refused = await start(strict).exit;
    expect(refused.code).toBe(EXIT_CONFIG);
    expect(refused.stderr).toContain('no price for model "model-of-next-year"');
    expect(refused.stderr.trim().split('\n')).toHaveLength(1);

    const priced = start({ ...strict, default: any });
    await priced.logged('agent.ready');
    expect(await estimateOf('priced', 'research')).toBeGreaterThan(0.01);
    await endProcess(priced);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
