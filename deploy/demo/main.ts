/** `make demo`: a whole mesh on this machine, each agent a process of its own, and one goal that runs through it. */
import { mkdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CommandFailure, EXIT } from '../../services/cli/failure.ts';
import { readInput } from '../../services/cli/input.ts';
import { processTerminal } from '../../services/cli/terminal.ts';
import { runGoal } from './goal.ts';
import { crew, startMesh } from './mesh.ts';
import { optionsFrom } from './options.ts';
import { type Fleet, newFleet } from './processes.ts';

const logFolder = fileURLToPath(new URL('../../.cache/demo/logs', import.meta.url));
const interrupted = new AbortController();
const terminal = processTerminal(interrupted.signal);

async function run(fleet: Fleet): Promise<number> {
  const startedAt = performance.now();
  const options = optionsFrom(process.env);
  // Before anything is started: a wrong file name is no reason to wait.
  if (options.input !== '-') await readInput(terminal, options.input);
  rmSync(logFolder, { recursive: true, force: true });
  mkdirSync(logFolder, { recursive: true });
  terminal.note(`starting ${crew()} ...`);
  const mesh = await startMesh(fleet, options, terminal.signal);
  return runGoal(mesh, options, terminal, { readyMs: performance.now() - startedAt, logFolder });
}

function explain(error: unknown): number {
  if (interrupted.signal.aborted) return EXIT.interrupted;
  terminal.note(`demo: ${error instanceof Error ? error.message : String(error)}`);
  return error instanceof CommandFailure ? error.exitCode : EXIT.failed;
}

const fleet = newFleet(logFolder);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    // The second time somebody means it.
    if (interrupted.signal.aborted) fleet.kill();
    else terminal.note('demo: stopping everything');
    interrupted.abort();
  });
}
// Whatever happens to this process, it leaves no other behind.
process.on('exit', () => fleet.kill());
// A reader that has seen enough (`| head`) ends the demo as Ctrl-C does.
process.stdout.on('error', () => interrupted.abort());

try {
  process.exitCode = await run(fleet);
} catch (error) {
  process.exitCode = explain(error);
} finally {
  const killed = await fleet.stop();
  if (killed.length > 0) terminal.note(`demo: had to be killed: ${killed.join(', ')}`);
}
