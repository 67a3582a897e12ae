/** Measures Conclave beside a hand-written floor on the same broker, alternately, and prints both. Fails only when a goal does. */
import { writeFileSync } from 'node:fs';
import { type AgentCost, measureAgent } from './agents.ts';
import { type GoalSize, measureLinear } from './linear.ts';
import { loadNow, machine } from './machine.ts';
import { startMesh, type Sync } from './mesh.ts';
import { type Options, readOptions, USAGE, UsageError } from './options.ts';
import { measureOverhead, type Overhead } from './overhead.ts';
import { startFloor } from './raw.ts';
import {
  agentText,
  brokerText,
  linearText,
  loadText,
  machineText,
  overheadText,
  rowsText,
  writesText,
} from './report.ts';
import { measure, type Row, warmUp } from './rows.ts';
import { startVotes } from './votes.ts';
import type { Writes } from './writes.ts';

const WORKERS = 2;
const SLOTS = 128;

interface OfSync {
  readonly sync: Sync;
  readonly server: string;
  readonly rows: readonly Row[];
  readonly writes: Writes | undefined;
  readonly linear: readonly GoalSize[] | undefined;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function measureSync(sync: Sync, options: Options): Promise<OfSync> {
  const mesh = await startMesh({ sync, workers: WORKERS, slots: SLOTS });
  const floor = await startFloor(mesh.broker.url);
  const votes = await startVotes(mesh.broker.url);
  const server = mesh.nc.info?.version ?? 'unknown';
  say(`\n${brokerText(sync, server)}; ${WORKERS} workers with ${SLOTS} slots each`);
  const rows: Row[] = [];
  let writes: Writes | undefined;
  const bench = { sync, quick: options.quick, mesh, floor, votes };
  if (options.rows.length > 0) await warmUp(bench);
  for (const name of options.rows) {
    const measured = await measure(bench, name);
    rows.push(...measured.rows);
    writes ??= measured.writes;
  }
  if (rows.length > 0) say(`\n${rowsText(sync, rows)}`);
  if (writes !== undefined) say(`\n${writesText(sync, writes)}`);
  // A quick run does it once: the shape is the same with every kind of sync.
  const linear =
    options.linear && (!options.quick || sync === options.syncs[0])
      ? await measureLinear(mesh, options.quick)
      : undefined;
  if (linear !== undefined) say(`\n${linearText(sync, linear)}`);
  await votes.stop();
  await floor.stop();
  await mesh.stop();
  return { sync, server, rows, writes, linear };
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  const startedAt = performance.now();
  const on = machine();
  const before = loadNow();
  say(machineText(on));
  say(loadText('before', before, on.cores));
  const results: OfSync[] = [];
  if (options.rows.length > 0 || options.linear)
    for (const sync of options.syncs) results.push(await measureSync(sync, options));
  const overhead: Overhead[] = [];
  if (options.overhead)
    for (const sync of options.syncs) overhead.push(...(await measureOverhead(sync, options.quick)));
  if (overhead.length > 0) say(`\n${overheadText(overhead)}`);
  const agent: AgentCost | undefined = options.agent ? await measureAgent() : undefined;
  if (agent !== undefined) say(`\n${agentText(agent)}`);
  const after = loadNow();
  const tookMs = performance.now() - startedAt;
  say(`\n${loadText('after', after, on.cores)}; took ${(tookMs / 1_000).toFixed(0)} s`);
  if (options.json !== undefined) {
    const { quick } = options;
    const result = {
      machine: on,
      load: { before, after },
      quick,
      workers: WORKERS,
      slots: SLOTS,
      results,
      overhead,
      agent,
    };
    writeFileSync(options.json, `${JSON.stringify(result, undefined, 2)}\n`);
  }
}

try {
  await main();
  process.exit(0);
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\n${USAGE}\n`);
  process.exit(2);
}
