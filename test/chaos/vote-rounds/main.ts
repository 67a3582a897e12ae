/**
 * R10: vote rounds on a real broker, held by two proposers at once that are killed and replaced, with voters who misbehave in every way that the wire
 * allows. Judged by a process that reads the streams alone; in the end that one is put to the test itself. `ROUNDS=n`, `SEED=s`.
 */
import { connectBroker } from '../../../shared/adapters/nats-connect.ts';
import { ensureStreams } from '../../../shared/adapters/streams.ts';
import { subjectsOf } from '../../../shared/protocol/subjects.ts';
import { endChild, startChild } from '../../bench/children.ts';
import { startBroker } from '../../support/broker.ts';
import { runSuite } from '../../support/suite.ts';
import { holdBy, type Run } from './incarnations.ts';
import { FAILPOINTS, SLOTS, STRANGER, VOTERS } from './plan.ts';
import { tamper } from './tamper.ts';
import { verdictOf } from './verdict.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 10_000);
const SEED = process.env['SEED'] ?? '1';
const MESH = 'rounds';
const VOTER_PROCESSES = 2;
/** Of each kind of fault: a run in which it hardly happened proves nothing. One in so many rounds. */
const ROUNDS_PER_BITE = 200;
const ROUNDS_PER_KILL = 250;

await runSuite(`vote rounds: ${ROUNDS} of them, seed ${SEED}`, async (suite) => {
  const broker = await startBroker();
  suite.onEnd(() => broker.stop());
  const nc = await connectBroker({ url: broker.url, name: 'admin' });
  suite.onEnd(() => nc.close());
  await ensureStreams(nc, subjectsOf(MESH), { replicas: 1 });

  const crews = Array.from({ length: VOTER_PROCESSES }, (_, crew) =>
    [...VOTERS, STRANGER].filter((__, index) => index % VOTER_PROCESSES === crew).join(),
  );
  const common = { NATS_URL: broker.url, MESH, SEED };
  const voters = new URL('./voters/main.ts', import.meta.url).pathname;
  for (const crew of crews) {
    const child = await startChild([voters], { ...common, VOTERS: crew }, 'voters.ready');
    suite.onEnd(() => endChild(child));
  }
  const startedAt = performance.now();
  const runs: readonly Run[] = await Promise.all(SLOTS.map((slot) => holdBy(slot, { ...common, ROUNDS: `${ROUNDS}` })));
  const seconds = (performance.now() - startedAt) / 1_000;
  suite.note(`held in ${seconds.toFixed(0)} s, ${(ROUNDS / seconds).toFixed(0)} rounds/s`);

  const killed = sumOf(runs, (run) => run.killed);
  const frozen = sumOf(runs, (run) => run.frozen);
  for (const failpoint of FAILPOINTS)
    suite.note(`${sumOf(runs, ({ diedAt }) => diedAt.get(failpoint) ?? 0)} proposers ended ${failpoint}`);
  const enough = Math.floor(ROUNDS / ROUNDS_PER_KILL);
  suite.check('proposers were killed (SIGKILL) and replaced', killed >= enough, `${killed} processes`);
  suite.check(
    'some were frozen (SIGSTOP), replaced, and thawed while their replacement worked',
    frozen >= Math.floor(enough / 10),
    `${frozen} of them`,
  );
  const told = runs.flatMap((run) => [...run.told]);
  const words = new Map<string, Set<string>>();
  for (const [roundId, decision] of told) words.set(roundId, (words.get(roundId) ?? new Set()).add(decision));
  const split = [...words].filter(([, decisions]) => decisions.size > 1).map(([roundId]) => roundId);
  suite.check('no two proposers were told different decisions', split.length === 0, `${split.length} of ${words.size}`);

  const verdict = await verdictOf({ url: broker.url, mesh: MESH, rounds: ROUNDS });
  suite.note(`the checker read the streams in ${verdict.seconds.toFixed(0)} s`);
  const { report } = verdict;
  suite.check('0 rounds decided two ways', report.decidedTwice === 0, `${report.decidedTwice}`);
  suite.check('0 ballots counted twice', report.countedTwice === 0, `${report.countedTwice}`);
  suite.check('every round was decided', report.decided === ROUNDS, `${report.decided} of ${ROUNDS}`);
  suite.check('nothing else is wrong', report.violationsFound === 0, `${report.violationsFound} violations`);
  for (const violation of report.violations) suite.note(violation);
  suite.note(`outcomes: ${listed(report.outcomes)}`);
  for (const [fault, count] of Object.entries(report.bites))
    suite.check(`${fault} really happened`, count >= Math.floor(ROUNDS / ROUNDS_PER_BITE), `${count} times`);
  for (const outcome of ['consensus', 'insufficient_votes', 'no_majority', 'tie'])
    suite.check(`some rounds ended with ${outcome}`, (report.outcomes[outcome] ?? 0) > 0);

  for (const { what, found } of await tamper({ nc, url: broker.url, mesh: MESH, rounds: ROUNDS }))
    suite.check(`the checker sees ${what}`, found);
});

function sumOf(runs: readonly Run[], count: (run: Run) => number): number {
  return runs.reduce((sum, run) => sum + count(run), 0);
}

function listed(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}
