/**
 * R9: a thousand askers in several processes spend one budget to its edge, while their processes are killed between reservation and settlement. What
 * the endpoint billed is the truth.
 */
import { startBroker } from '../../support/broker.ts';
import type { Bill } from '../../support/billing-endpoint/main.ts';
import { gather, judge, logHasCaughtUp } from '../../support/checker.ts';
import type { ForeignGoal } from '../../support/foreign-records.ts';
import { jsonOf, readStream } from '../../support/foreign.ts';
import { type Mesh, openMesh } from '../../support/open-mesh.ts';
import { type AgentProcess, endProcess, startProcess } from '../../support/processes.ts';
import { runSuite, type Suite } from '../../support/suite.ts';
import { waitUntil } from '../../support/wait.ts';

const PROCESSES = 5;
const ASKERS = 1_000;
const TASKS = 10;
const KILLS = Number(process.env['KILLS'] ?? 8);
const GOAL_MS_MAX = 120_000;

/** As much of a ledger as a stranger needs. */
interface Account {
  readonly limits: { readonly usd?: number; readonly tokens?: number };
  readonly reserved: Readonly<
    Record<string, { readonly agentId: string; readonly usd: number; readonly tokens: number }>
  >;
  readonly spent: { readonly usd: number; readonly tokens: number; readonly communicationUsd: number };
  readonly lost?: { readonly usd: number; readonly tokens: number; readonly calls: number };
  readonly state?: string;
}

await runSuite(`budgets: ${ASKERS} askers in ${PROCESSES} processes, ${KILLS} of them killed`, async (suite) => {
  const broker = await startBroker();
  suite.onEnd(() => broker.stop());
  await edge(suite, broker.url, 'usd-edge', { usd: 0.25 });
  await edge(suite, broker.url, 'tokens-edge', { tokens: 1_500_000 });
  await refusal(suite, broker.url);
  await liar(suite, broker.url);
});

interface Endpoint {
  readonly baseUrl: string;
  bill(account: string): Promise<Bill>;
}

async function startEndpoint(suite: Suite, env: Readonly<Record<string, string>>): Promise<Endpoint> {
  const server = startProcess({ folder: 'test/support/billing-endpoint', env });
  suite.onEnd(() => endProcess(server));
  const origin = await server.origin();
  return {
    baseUrl: `${origin}/v1`,
    async bill(account) {
      const bills = (await (await fetch(`${origin}/bills`)).json()) as Record<string, Bill>;
      return bills[account] ?? { calls: 0, tokens: 0, usd: 0, answered: 0, gone: 0 };
    },
  };
}

interface Crew {
  readonly mesh: Mesh;
  readonly endpoint: Endpoint;
  readonly agents: Map<string, AgentProcess>;
  hire(): Promise<void>;
}

async function crewOf(
  suite: Suite,
  url: string,
  label: string,
  processes: number,
  endpointEnv: Readonly<Record<string, string>>,
): Promise<Crew> {
  const endpoint = await startEndpoint(suite, endpointEnv);
  const mesh = await openMesh(label, url);
  suite.onEnd(() => mesh.close());
  suite.onFailure(() => mesh.tails());
  const agents = new Map<string, AgentProcess>();
  const env = { OPENAI_BASE_URL: endpoint.baseUrl, MODEL_TIMEOUT_MS: '5000', SLOTS: '256' };
  const hire = async (): Promise<void> => {
    const id = `spender-${agents.size + 1}`;
    const agent = mesh.launch(id, { folder: 'test/support/agents/spender', env });
    agents.set(id, agent);
    await agent.logged('agent.ready');
  };
  await Promise.all(Array.from({ length: processes }, hire));
  return { mesh, endpoint, agents, hire };
}

async function accountOf({ foreign }: Mesh, goalId: string): Promise<Account | undefined> {
  const entry = await (await foreign.bucket()).get(`ledger.${goalId}`);
  return entry === null ? undefined : entry.json<Account>();
}

/** Askers go on until they are refused, so that the goal ends with a full purse and no error. */
async function edge(
  suite: Suite,
  url: string,
  goalId: string,
  budget: { readonly usd?: number; readonly tokens?: number },
): Promise<void> {
  const crew = await crewOf(suite, url, goalId, PROCESSES, { LATENCY_MS: '300' });
  const { mesh, endpoint } = crew;
  const input = { account: goalId, askers: ASKERS / TASKS };
  const tasks = Array.from({ length: TASKS }, (_, index) => ({
    taskId: `t${index}`,
    capability: 'spend',
    description: '',
    input,
    maxAttempts: 50,
  }));
  await mesh.foreign.submit({ goalId, description: 'spend it all', tasks, budget });
  const left = await killSome(crew, goalId);
  const goal = await mesh.foreign.ended(goalId, GOAL_MS_MAX);
  // Calls that were under way when their agents ended are billed already.
  const bill = await endpoint.bill(goalId);
  const account = await accountOf(mesh, goalId);

  suite.check(
    `${goalId}: every kill met calls between reservation and settlement`,
    left.length === KILLS && left.every((held) => held > 0),
    `${left.length} kills, which left ${left.join(', ')} reservations, ${account?.lost?.calls ?? 0} calls counted as lost, ${bill.gone} answers that nobody was there for`,
  );
  report(suite, goalId, goal, bill, budget);
  const { refused, writes, conflicts } = await contention(crew);
  suite.check(
    `${goalId}: its edge was fought for`,
    refused >= ASKERS / 2 && conflicts > 0,
    `${refused} calls refused, ${conflicts} of ${writes} writes of the account lost to another process (of the living; the killed took their counts along)`,
  );
  suite.check(
    `${goalId}: its account is closed, and nothing is reserved`,
    account?.state === 'ended' && Object.keys(account.reserved).length === 0,
  );
  await everyRevision(suite, mesh, goalId, budget);
  const share = used(budget, bill);
  suite.check(`${goalId}: the budget was used`, share > 0.5, `${(share * 100).toFixed(1)} % of it was billed`);
  await sound(suite, mesh, [goalId]);
  await mesh.close();
}

/** Kills agents while they hold reservations, and hires others. Returns how many reservations each of them left. */
async function killSome(crew: Crew, goalId: string): Promise<readonly number[]> {
  const held: number[] = [];
  while (held.length < KILLS) {
    const victim = await waitUntil(
      'an agent holds reservations',
      async () => {
        const account = await accountOf(crew.mesh, goalId);
        const goal = await crew.mesh.foreign.goal(goalId);
        if (goal?.status !== 'running' && goal !== undefined)
          throw new Error(`the goal was ${goal.status} after ${held.length} kills`);
        const holding = Object.values(account?.reserved ?? {}).map(({ agentId }) => agentId);
        const living = [...crew.agents].find(
          ([id, agent]) => holding.filter((each) => each === id).length > 10 && agent.tail() !== '',
        );
        return living;
      },
      30_000,
    );
    const [id, agent] = victim;
    await agent.signal('SIGKILL');
    const left = await accountOf(crew.mesh, goalId);
    held.push(Object.values(left?.reserved ?? {}).filter(({ agentId }) => agentId === id).length);
    crew.agents.set(id, { ...agent, tail: () => '' });
    await crew.hire();
  }
  return held;
}

/** How the edge was met, by the metrics of the agents that live. */
async function contention({ agents }: Crew): Promise<Record<'refused' | 'writes' | 'conflicts', number>> {
  const living = [...agents.values()].filter((agent) => agent.tail() !== '');
  const pages = (await Promise.all(living.map((agent) => agent.metrics()))).join('\n');
  const conflicts = sumOf(pages, 'conclave_transitions_total', 'transition="ledger",outcome="conflict"');
  const committed = sumOf(pages, 'conclave_transitions_total', 'transition="ledger",outcome="committed"');
  return { refused: sumOf(pages, 'conclave_budget_refusals_total'), writes: conflicts + committed, conflicts };
}

/** Of one metric on several pages; `labels` as they are written. */
function sumOf(pages: string, name: string, labels = ''): number {
  return pages
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) && line.includes(labels))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

function used(budget: { readonly usd?: number; readonly tokens?: number }, bill: Bill): number {
  return Math.max(
    bill.usd / (budget.usd ?? Number.POSITIVE_INFINITY),
    bill.tokens / (budget.tokens ?? Number.POSITIVE_INFINITY),
  );
}

/** The cap against the endpoint's bill and against the goal's record. */
function report(
  suite: Suite,
  goalId: string,
  goal: ForeignGoal,
  bill: Bill,
  budget: { readonly usd?: number; readonly tokens?: number },
): void {
  const { usd = Number.POSITIVE_INFINITY, tokens = Number.POSITIVE_INFINITY } = budget;
  const over = Math.max(0, bill.usd - usd, bill.tokens - tokens);
  suite.check(
    `${goalId}: overspend 0 by the endpoint's bill`,
    over === 0,
    `${bill.calls} calls, ${bill.usd.toFixed(6)} USD, ${bill.tokens} tokens billed of ${JSON.stringify(budget)}`,
  );
  suite.check(
    `${goalId}: spent <= budget in the record`,
    goal.spent.usd <= usd && goal.spent.tokens <= tokens,
    `${goal.status}, ${goal.spent.usd.toFixed(6)} USD, ${goal.spent.tokens} tokens`,
  );
  suite.check(
    `${goalId}: the record covers the bill`,
    goal.spent.usd >= bill.usd - 1e-9 && goal.spent.tokens >= bill.tokens,
  );
}

/** At no moment was more spent and reserved than there is: every revision of the ledger, from the log. */
async function everyRevision(
  suite: Suite,
  { foreign, name }: Mesh,
  goalId: string,
  budget: { readonly usd?: number; readonly tokens?: number },
): Promise<void> {
  const revisions = (await readStream(foreign.nc, `${name}_log`, `$KV.${name}_dag.ledger.${goalId}`)).map(
    ({ data }) => jsonOf(data) as Account,
  );
  const over = revisions.filter(({ reserved, spent }) => {
    const held = Object.values(reserved);
    const usd = held.reduce((sum, each) => sum + each.usd, spent.usd + spent.communicationUsd);
    const tokens = held.reduce((sum, each) => sum + each.tokens, spent.tokens);
    return (
      usd > (budget.usd ?? Number.POSITIVE_INFINITY) + 1e-9 || tokens > (budget.tokens ?? Number.POSITIVE_INFINITY)
    );
  });
  const most = Math.max(...revisions.map(({ reserved }) => Object.keys(reserved).length));
  suite.check(
    `${goalId}: no revision of its account exceeds the budget`,
    over.length === 0 && revisions.length > 0,
    `${revisions.length} revisions, at most ${most} calls reserved at once`,
  );
}

/** A goal of 0.001 USD with 50 tasks in 4 processes, beside another one without a limit. */
async function refusal(suite: Suite, url: string): Promise<void> {
  const budget = { usd: 0.001 };
  const { mesh, endpoint } = await crewOf(suite, url, 'refused', 4, { LATENCY_MS: '300' });
  const tasksOf = (account: string, calls: number) =>
    Array.from({ length: 50 }, (_, index) => ({
      taskId: `t${index}`,
      capability: 'spend',
      description: '',
      input: { account, calls, maxOutputTokens: 100 },
    }));
  await mesh.foreign.submit({ goalId: 'free', description: 'no limit', tasks: tasksOf('free', 2) });
  await mesh.foreign.submit({ goalId: 'capped', description: '0.001 USD', tasks: tasksOf('capped', 6), budget });
  const goal = await mesh.foreign.ended('capped', GOAL_MS_MAX);
  const other = await mesh.foreign.ended('free', GOAL_MS_MAX);
  const bill = await endpoint.bill('capped');
  suite.check(
    'capped: refused',
    goal.status === 'failed' && goal.error?.code === 'budget_exceeded',
    `${goal.status} ${goal.error?.code}: ${goal.error?.message.slice(0, 160)}`,
  );
  report(suite, 'capped', goal, bill, budget);
  const tasks = [...(await mesh.foreign.tasks('capped')).values()];
  const workers = new Set(tasks.flatMap(({ agentId }) => (agentId === undefined ? [] : [agentId])));
  suite.check('capped: its tasks ran in 4 processes', workers.size === 4, [...workers].sort().join(', '));
  suite.check(
    'free: a goal beside it is not touched',
    other.status === 'completed' && other.tasks.completed === 50,
    other.status,
  );
  await sound(suite, mesh, ['capped', 'free']);
  await mesh.close();
}

/** An endpoint whose reports are nonsense half of the time: the record stays within the budget, and its agents alive. */
async function liar(suite: Suite, url: string): Promise<void> {
  const budget = { usd: 0.05, tokens: 300_000 };
  const { mesh, agents } = await crewOf(suite, url, 'liar', 2, { LATENCY_MS: '20', LIES: '0.5' });
  const input = { account: 'liar', askers: 20 };
  const tasks = Array.from({ length: 4 }, (_, index) => ({
    taskId: `t${index}`,
    capability: 'spend',
    description: '',
    input,
  }));
  await mesh.foreign.submit({ goalId: 'liar', description: 'false bills', tasks, budget });
  const goal = await mesh.foreign.ended('liar', GOAL_MS_MAX);
  suite.check(
    'liar: spent <= budget in the record',
    goal.spent.usd <= budget.usd && goal.spent.tokens <= budget.tokens,
    `${goal.status}, ${goal.spent.usd.toFixed(6)} USD, ${goal.spent.tokens} tokens of ${JSON.stringify(budget)}`,
  );
  const pages = (await Promise.all([...agents.values()].map((agent) => agent.metrics()))).join('\n');
  const doubts = sumOf(pages, 'conclave_model_usage_doubted_total');
  suite.check('liar: false counts were seen and not believed', doubts > 0, `${doubts}`);
  await everyRevision(suite, mesh, 'liar', budget);
  await sound(suite, mesh, ['liar']);
  await mesh.close();
}

async function sound(suite: Suite, { foreign, name }: Mesh, goals: readonly string[]): Promise<void> {
  const evidence = await waitUntil('the log has caught up', async () => {
    const found = await gather(foreign.nc, name);
    return logHasCaughtUp(found) ? found : undefined;
  });
  const { violations, revisions } = judge(name, evidence, goals);
  suite.check(
    `${goals.join(', ')}: the streams show no violation`,
    violations.length === 0,
    `${revisions} revisions${violations
      .slice(0, 5)
      .map((line) => `\n         ${line}`)
      .join('')}`,
  );
}
