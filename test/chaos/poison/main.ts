/**
 * R11: messages that nobody can work with, mixed with good work. No agent ends, each of the messages is a dead letter exactly once and within its
 * attempts, and the good work goes on meanwhile.
 */
import { startBroker } from '../../support/broker.ts';
import { gather, judge, logHasCaughtUp } from '../../support/checker.ts';
import type { ForeignLetter } from '../../support/foreign-records.ts';
import { jsonOf, readStream } from '../../support/foreign.ts';
import { type Mesh, openMesh } from '../../support/open-mesh.ts';
import type { AgentProcess } from '../../support/processes.ts';
import { runSuite, type Suite } from '../../support/suite.ts';
import { waitUntil } from '../../support/wait.ts';
import { kindsText, mixture, type Poison } from './mixture.ts';

const POISON = Number(process.env['POISON'] ?? 10_000);
const GOOD = Math.max(20, Math.round(POISON / 20));
const PHASE_MS_MAX = 240_000;
/** More than any back-off: nothing more comes after it. */
const STALLED_MS = 60_000;
/** While good work waits, some of it must be completed at least so often. */
const STARVED_MS = 5_000;
const AT_ONCE = 32;
const MARK = /poison-\d+-x/;
const ECHOS = ['echo-1', 'echo-2'];
const NODDERS = ['nodder-1', 'nodder-2', 'nodder-3'];

await runSuite(`poison: ${POISON} messages that nobody can work with, ${GOOD} good goals among them`, async (suite) => {
  const broker = await startBroker();
  suite.onEnd(() => broker.stop());
  const mesh = await openMesh('poison', broker.url);
  suite.onEnd(() => mesh.close());
  suite.onFailure(() => mesh.tails());
  const agents = new Map<string, AgentProcess>(
    await Promise.all([
      ...ECHOS.map(async (id) => [id, await mesh.agent(id)] as const),
      ...NODDERS.map(async (id) => [id, await mesh.agent(id, { folder: 'test/support/agents/nodder' })] as const),
    ]),
  );
  suite.note(kindsText(POISON));

  const calm = await goodWork(
    mesh,
    'calm',
    Array.from({ length: 100 }, () => undefined),
  );
  suite.note(`before: ${timesText(calm)}`);
  const ballots = misvote(mesh);
  const during = await goodWork(mesh, 'good', mixture(POISON));
  suite.note(`during: ${timesText(during)}`);
  suite.check(
    'every good goal is completed',
    during.completed === during.goals,
    `${during.completed} of ${during.goals}`,
  );
  suite.check(
    `good work was not starved: something was completed at least every ${STARVED_MS} ms while any waited`,
    during.longestGapMs < STARVED_MS,
    `longest pause ${during.longestGapMs.toFixed(0)} ms`,
  );

  const letters = await accounted(suite, mesh, mixture(POISON));
  const misvotes = letters.filter(({ reason }) => reason.code.startsWith('ballot_')).length;
  suite.check(
    'malformed ballots of rounds under way are dead-lettered',
    misvotes > 0,
    `${misvotes} of ${ballots.sent()}`,
  );
  ballots.stop();
  await standing(suite, mesh, agents);
  const log = await readStream(mesh.foreign.nc, `${mesh.name}_log`, `${mesh.name}.msg.>`);
  const said = mixture(POISON).filter(({ origin }) => origin === 'message').length;
  suite.check('the log was not purged by a reply that aimed at it', log.length === said, `${log.length} messages`);
  await sound(suite, mesh);
});

interface Work {
  readonly goals: number;
  readonly completed: number;
  readonly seconds: number;
  /** Of completed goals, from submission to the record as it is seen in the log, ms, ascending. */
  readonly tookMs: readonly number[];
  readonly longestGapMs: number;
}

/** Sends all poison with good goals evenly among it, and waits for the good ones. */
async function goodWork(mesh: Mesh, label: string, poison: readonly (Poison | undefined)[]): Promise<Work> {
  const { foreign } = mesh;
  const goals = label === 'calm' ? poison.length : GOOD;
  const every = Math.max(1, Math.floor(poison.length / goals));
  const sentAt = new Map<string, number>();
  const endedAt = new Map<string, number>();
  const statuses = new Map<string, string>();
  const watch = await (await foreign.bucket()).watch({ key: 'goal.>' });
  const watching = (async () => {
    for await (const entry of watch) {
      const goalId = entry.key.slice('goal.'.length);
      const { status } = entry.json<{ readonly status: string }>();
      if (!sentAt.has(goalId) || status === 'running' || status === 'planning') continue;
      endedAt.set(goalId, performance.now());
      statuses.set(goalId, status);
    }
  })();
  const startedAt = performance.now();
  let next = 0;
  const send = async (): Promise<void> => {
    for (let index = next++; index < poison.length; index = next++) {
      if (index % every === 0 && index / every < goals) {
        const goalId = `${label}-${index / every}`;
        sentAt.set(goalId, performance.now());
        await foreign.submit({ goalId, description: 'good', tasks: goodTasks(index / every) });
      }
      await poison[index]?.send(mesh);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, send));
  const goesOn = progress();
  await waitUntil(
    'every good goal is terminal',
    () => goesOn(endedAt.size, sentAt.size) || endedAt.size === sentAt.size,
    PHASE_MS_MAX,
  );
  watch.stop();
  await watching;
  return {
    goals: sentAt.size,
    completed: [...statuses.values()].filter((status) => status === 'completed').length,
    seconds: (performance.now() - startedAt) / 1_000,
    tookMs: [...endedAt].map(([goalId, at]) => at - (sentAt.get(goalId) ?? at)).sort((a, b) => a - b),
    longestGapMs: longestGap([...sentAt.values()], [...endedAt.values()]),
  };
}

/** False while the count grows; throws once it has not for STALLED_MS. */
function progress(): (count: number, wanted: number) => false {
  let last = -1;
  let since = performance.now();
  return (count, wanted) => {
    if (count !== last) since = performance.now();
    last = count;
    if (performance.now() - since > STALLED_MS)
      throw new Error(`stopped at ${count} of ${wanted}: nothing more for ${STALLED_MS} ms`);
    return false;
  };
}

/** The longest time in which goals waited and none ended. */
function longestGap(sent: readonly number[], ended: readonly number[]): number {
  const events = [...sent.map((at) => [at, 1] as const), ...ended.map((at) => [at, -1] as const)].sort(
    ([a], [b]) => a - b,
  );
  let open = 0;
  let since = 0;
  let longest = 0;
  for (const [at, change] of events) {
    if (open > 0 && change < 0) longest = Math.max(longest, at - since);
    if (open === 0 || change < 0) since = at;
    open += change;
  }
  return longest;
}

/** Every fifth is voted on. */
function goodTasks(index: number): object[] {
  const vote = { capability: 'nod', rule: { method: 'majority' }, onReject: 'fail' };
  const a = { taskId: 'a', capability: 'echo', description: '', input: { words: `good ${index}` } };
  const b = { taskId: 'b', capability: index % 2 === 0 ? 'echo' : 'nod', description: '', dependencies: ['a'] };
  return [a, index % 5 === 0 ? { ...b, vote } : b];
}

/** Answers every vote request that it sees with ballots that are none. */
function misvote({ foreign, name }: Mesh): { sent(): number; stop(): void } {
  let sent = 0;
  const subscription = foreign.nc.subscribe(`${name}.vote.nod`, {
    callback: (_error, { reply = '', data }) => {
      if (!reply.startsWith(`${name}.ballot.`) || (jsonOf(data) as { roster: unknown[] }).roster.length === 0) return;
      sent += 1;
      foreign.nc.publish(`${reply}.stranger`, sent % 2 === 0 ? `ballot ${sent} {` : JSON.stringify({ ballot: sent }));
    },
  });
  return { sent: () => sent, stop: () => subscription.unsubscribe() };
}

/** One letter for each poison, and no other. */
async function accounted(suite: Suite, mesh: Mesh, poison: readonly Poison[]): Promise<readonly ForeignLetter[]> {
  const marks = new Map(poison.map((each) => [each.mark, each]));
  const found = new Map<string, ForeignLetter[]>();
  let letters: readonly ForeignLetter[] = [];
  const missing = (): Poison[] => poison.filter(({ mark }) => !found.has(mark));
  const goesOn = progress();
  await waitUntil(
    'every poison is a dead letter',
    async () => {
      const { state } = await (await mesh.foreign.manager()).streams.info(`${mesh.name}_dead`);
      if (state.messages < poison.length) return goesOn(state.messages, poison.length);
      letters = await mesh.foreign.deadLetters();
      found.clear();
      for (const letter of letters) {
        const mark = markOf(letter);
        if (mark === undefined || !marks.has(mark)) continue;
        found.set(mark, [...(found.get(mark) ?? []), letter]);
      }
      return missing().length === 0;
    },
    PHASE_MS_MAX,
  ).catch((error: unknown) => suite.note(String(error)));
  const lost = missing();
  suite.check(
    'each is a dead letter',
    lost.length === 0,
    `${found.size} of ${poison.length}${lost
      .slice(0, 5)
      .map((each) => `, not ${each.mark} (${each.origin} ${each.code})`)
      .join('')}`,
  );
  const twice = [...found].filter(([, of]) => of.length > 1);
  suite.check(
    'and only one',
    twice.length === 0,
    `${twice.length} twice ${twice
      .slice(0, 3)
      .map(([mark]) => mark)
      .join()}`,
  );
  const wrong = [...found].flatMap(([mark, [letter]]) => {
    const wanted = marks.get(mark);
    const fits =
      letter?.origin === wanted?.origin &&
      letter?.reason.code === wanted?.code &&
      letter?.attempts === wanted?.attempts;
    const says = (each: { origin?: string; attempts?: number | undefined } | undefined, code: string | undefined) =>
      `${each?.origin} ${code} ${each?.attempts ?? ''}`;
    return fits ? [] : [`${mark}: ${says(letter, letter?.reason.code)} instead of ${says(wanted, wanted?.code)}`];
  });
  suite.check('with its cause, and after as many attempts as it has', wrong.length === 0, wrong.slice(0, 5).join('; '));
  const others = letters.filter((letter) => {
    const mark = markOf(letter);
    return !letter.reason.code.startsWith('ballot_') && (mark === undefined || !marks.has(mark));
  });
  suite.check(
    'nothing good is a dead letter',
    others.length === 0,
    others
      .slice(0, 3)
      .map(({ subject }) => subject)
      .join(),
  );
  return letters;
}

function markOf({ payload, goalId }: ForeignLetter): string | undefined {
  return goalId !== undefined && MARK.test(goalId)
    ? goalId
    : MARK.exec(Buffer.from(payload, 'base64').toString('latin1'))?.[0];
}

/** All are the processes that were started, and each still writes. */
async function standing(suite: Suite, mesh: Mesh, agents: ReadonlyMap<string, AgentProcess>): Promise<void> {
  const { foreign } = mesh;
  const dead = [...agents].filter(([, agent]) => !alive(agent.pid)).map(([id]) => id);
  suite.check('no agent ended', dead.length === 0, dead.join());
  const pages = await Promise.all([...agents.values()].map((agent) => agent.metrics()));
  const rss = pages.map((page) => Number(/^process_resident_memory_bytes (\S+)/m.exec(page)?.[1]) / 1024 / 1024);
  suite.note(`memory afterwards: ${rss.map((mb) => `${mb.toFixed(0)} MB`).join(', ')}`);
  const workers = new Set<string>();
  for (let round = 0; workers.size < agents.size && round < 20; round += 1) {
    const wide = ['echo', 'nod'].flatMap((capability) =>
      Array.from({ length: 40 }, (_, index) => ({ taskId: `${capability}${index}`, capability, description: '' })),
    );
    await foreign.submit({ goalId: `last-${round}`, description: 'last', tasks: wide });
    await foreign.ended(`last-${round}`, PHASE_MS_MAX);
    for (const { agentId } of (await foreign.tasks(`last-${round}`)).values()) workers.add(agentId ?? '');
  }
  suite.check(
    'each agent still commits work',
    [...agents.keys()].every((id) => workers.has(id)),
    [...workers].join(),
  );
  const settled = await waitUntil('queues are empty', async () => {
    const queues = [...(await foreign.queues()).values()];
    return (await foreign.unsettled()) === 0 && queues.every(({ waiting, held }) => waiting + held === 0);
  }).catch(() => false);
  suite.check('nothing is left over in submissions and queues', settled);
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function sound(suite: Suite, { foreign, name }: Mesh): Promise<void> {
  const evidence = await waitUntil('the log has caught up', async () => {
    const found = await gather(foreign.nc, name);
    return logHasCaughtUp(found) ? found : undefined;
  });
  const { violations, revisions, goals } = judge(name, evidence, []);
  suite.check(
    'the streams show no violation',
    violations.length === 0,
    `${goals} goals, ${revisions} revisions${violations
      .slice(0, 5)
      .map((line) => `\n         ${line}`)
      .join('')}`,
  );
}

function timesText({ goals, completed, seconds, tookMs, longestGapMs }: Work): string {
  const at = (share: number): string => (tookMs[Math.floor(share * (tookMs.length - 1))] ?? 0).toFixed(0);
  return `${completed} of ${goals} good goals in ${seconds.toFixed(1)} s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest pause ${longestGapMs.toFixed(0)} ms`;
}
