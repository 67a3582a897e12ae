/** `make bench-consensus`: does voting help, and what does it cost? Real voters, broker and rounds, held against probability theory. */
import { startBroker, type TestBroker } from '../../support/broker.ts';
import { machine } from '../machine.ts';
import { pageOf } from '../page.ts';
import { startAsker } from './asker.ts';
import { startFleet } from './fleet.ts';
import { playHanoi } from './hanoi-run.ts';
import { measureRow, type Row } from './measure.ts';
import { DISCS_DEFAULT, type Options, readOptions, USAGE, UsageError } from './options.ts';
import { costChart, hanoiChart, majorityChart } from './pictures.ts';
import { hanoiText, planText, type Played, rowsText, singleText } from './report.ts';
import { rowSpecs } from './rows.ts';
import { ACCURACY, failuresOf, misfitsOf, planOf, SHARED, VOTERS } from './setting.ts';

const { writeBlock, writeChart } = pageOf('consensus');
const PROCESSES = 4;
/** Bytes that the streams take for one move, roughly, with some to spare. */
const STORE_BYTES_PER_MOVE = 4_096;

let passed = 0;
let failed = 0;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** One check; what is wrong with it, if anything. */
function check(name: string, problems: readonly string[]): void {
  if (problems.length === 0) {
    passed += 1;
    return;
  }
  failed += 1;
  for (const problem of problems) say(`FAILED ${name}: ${problem}`);
}

async function measureRows(broker: TestBroker, { rounds, seed }: Options): Promise<readonly Row[]> {
  const specs = rowSpecs();
  const mesh = 'rows';
  const asker = await startAsker(broker.url, mesh);
  const panels = specs.map(({ panel }) => panel);
  const fleet = await startFleet({ url: broker.url, mesh, seed, processes: PROCESSES, panels });
  say(`\n${specs.length} rows of ${rounds.toLocaleString('en-US')} rounds each`);
  const rows: Row[] = [];
  for (const spec of specs) {
    const row = await measureRow(asker, spec, rounds, seed);
    check(`${spec.group}, ${spec.label}`, row.misfits);
    rows.push(row);
  }
  await fleet.stop();
  await asker.close();
  say(`\n${rowsText(rows)}`);
  return rows;
}

async function play(broker: TestBroker, { discs, seed }: Options, shared: boolean): Promise<Played> {
  const plan = planOf(discs);
  const mesh = shared ? 'hanoi-shared' : 'hanoi';
  const correlation = shared ? SHARED : 0;
  say(`\n${planText(plan)}; errors ${shared ? `correlated ${SHARED}` : 'independent'}`);
  const { k, kills } = plan;
  const set = { broker, mesh, seed, discs, k, kills, voters: VOTERS, accuracy: ACCURACY, correlation };
  const run = await playHanoi({ ...set, setBack: shared, say });
  say(singleText(run));
  check(mesh, shared ? misfitsOf(run, plan) : failuresOf(run, plan));
  return { plan, run, shared };
}

async function main(options: Options): Promise<void> {
  const startedAt = performance.now();
  const on = machine();
  const { parts, discs, seed } = options;
  const storeBytes = planOf(discs).moves * STORE_BYTES_PER_MOVE;
  const broker = await startBroker({ jetstream: `max_file: ${Math.max(10 * 2 ** 30, 2 * storeBytes)}` });
  const where = `${on.cores} cores, ${on.model}; Node ${on.node}; one nats-server with file storage and its default sync_interval; ${PROCESSES} voter processes; everything on this machine`;
  say(`${where}\nseed ${seed}`);
  let rows: readonly Row[] = [];
  const played: Played[] = [];
  try {
    if (parts.includes('rows')) rows = await measureRows(broker, options);
    for (const shared of [false, true])
      if (parts.includes(shared ? 'correlated' : 'hanoi')) played.push(await play(broker, options, shared));
    if (played.length > 0) say(`\n${hanoiText(played)}`);
  } finally {
    await broker.stop();
  }
  say(`\ntook ${((performance.now() - startedAt) / 1_000).toFixed(0)} s`);
  if (options.docs && failed === 0) write(options, where, rows, played);
}

/** Only a whole run, in which everything fits, reaches the docs. */
function write({ discs, rounds, seed }: Options, where: string, rows: readonly Row[], played: readonly Played[]): void {
  const [independent, shared] = played;
  const config = `One run: ${where}; seed ${seed}.`;
  if (rows.length > 0 && independent !== undefined && shared !== undefined && discs === DISCS_DEFAULT) {
    writeBlock('rows', `${config} ${rounds.toLocaleString('en-US')} rounds a row.\n\n${rowsText(rows)}`);
    writeBlock('hanoi', `${config}\n\n${hanoiText(played)}`);
    writeChart('majority', majorityChart(rows));
    writeChart('cost', costChart(rows));
    writeChart('hanoi', hanoiChart(independent.plan, independent.run, shared.run));
    say('written: docs/consensus.md and docs/consensus/*.svg');
  } else if (writeBlock(`hanoi-${discs}`, `${config}\n\n${hanoiText(played)}`)) {
    say('written: docs/consensus.md');
  }
}

try {
  await main(readOptions(process.argv.slice(2)));
} catch (error) {
  if (error instanceof UsageError) {
    process.stderr.write(`${error.message}\n${USAGE}\n`);
    process.exit(2);
  }
  failed += 1;
  process.stdout.write(`FAILED: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
}
say(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
